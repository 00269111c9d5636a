#!/bin/sh
# The IDM, on one core: teleoperation clips, then the network. DATA needs 150 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" teleop --out "$data"
python "$here/train.py" --data "$data" --steps "${STEPS:-4500}" --seed 0
