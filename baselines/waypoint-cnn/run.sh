#!/bin/sh
# The IDM, on one core: teleoperation clips, the same redrawn, then the network. DATA needs 250 MB. MOTION is where
# `motion-s` was trained (`lab.py renderer`), whose renderer softens half of the clips.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data} motion=${MOTION:-/tmp/motion-s}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" teleop --out "$data"
python "$here/redraw.py" --data "$data" --motion "$motion"
python "$here/train.py" --data "$data" --steps "${STEPS:-7500}" --seed 0
