#!/bin/sh
# The paper's IDM for the sim track, on one core: teleoperation and play, then the transformer. DATA needs 270 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" teleop --out "$data"
python "$here/../sim-data/collect.py" play --out "$data"
python "$here/train.py" --data "$data" --sets ${SETS:-teleop play} --backbone "${BACKBONE:-waypoint-play}" --steps "${STEPS:-4500}" --seed 0
