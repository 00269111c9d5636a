#!/bin/sh
# All of wan-s, on one core: clips, autoencoder, transformer, pipeline. DATA takes 150 MB, WORK 350 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data} work=${WORK:-/tmp/wan-s} minutes=${MINUTES:-30}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" web --out "$data"
python "$here/../sim-data/collect.py" teleop --out "$data"
python "$here/train.py" vae --data "$data" --work "$work" --minutes "$minutes" --rate 1e-3
python "$here/train.py" video --data "$data" --work "$work" --minutes "$minutes" --rate 1.5e-3
python "$here/train.py" video --data "$data" --work "$work" --clips teleoperation --lora 4 --init "$work/video.pt" \
  --name sft --minutes 5 --rate 1e-3
python "$here/train.py" assemble --work "$work" --name sft
