#!/bin/sh
# The paper's IDM for the sim track, on one core: teleoperation clips, then the transformer. DATA needs 150 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" teleop --out "$data"
python "$here/train.py" --data "$data" --episodes "${EPISODES:-play}" --steps "${STEPS:-4500}" --seed 0
