#!/bin/sh
# The default IDM, from the weights of `waypoint-cnn`, on two cores: play and teleoperation (250 MB), 24 minutes of
# training, then twice 16 minutes more side by side, and the mean of both.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data} work=${WORK:-/tmp/waypoint-play} weights=$here/../../dreamgen_bench/weights
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" teleop --out "$data"
python "$here/../sim-data/collect.py" play --out "$data"
train() {
  python "$here/../waypoint-cnn/train.py" --data "$data" --sets teleop play "$@"
}
train --init "$weights/waypoint-cnn" --rate 1e-3 --steps "${STEPS:-8000}" --out "$work/0"
train --init "$work/0" --rate 8e-4 --steps "${MORE:-5000}" --seed 1 --out "$work/1" &
train --init "$work/0" --rate 8e-4 --steps "${MORE:-5000}" --seed 2 --out "$work/2"
wait
python "$here/../waypoint-cnn/mean.py" "$work/1" "$work/2" --out "${OUT:-$weights/waypoint-play}"
