#!/bin/sh
# The latent action model, on one core: action-free clips, then the network. DATA needs 300 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" web --episodes 1500 --out "$data"
python "$here/train.py" --data "$data" --steps "${STEPS:-700}" --seed 0
