#!/bin/sh
# All of wan-s, on one core: clips, autoencoder, transformer, pipeline. DATA takes 150 MB, WORK 350 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/tmp/sim-data} work=${WORK:-/tmp/wan-s} minutes=${MINUTES:-30}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
python "$here/../sim-data/collect.py" web --out "$data"
python "$here/../sim-data/collect.py" demos --out "$data"
python "$here/train.py" vae --data "$data" --work "$work" --minutes "$minutes" --rate 1e-3
python "$here/train.py" video --data "$data" --work "$work" --minutes "$minutes" --rate 1.5e-3
python "$here/train.py" assemble --work "$work"
# `wan-s-sft`: what LoRA adds, by the same command that adapts anyone's model.
python "$here/../sim-data/clips.py" --data "$data" --out "$work/clips"
dreamgen-bench adapt wan-s --data "$work/clips" --out "$work/sft" --steps 260 --rate 1e-3 --batch 8
