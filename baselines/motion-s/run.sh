#!/bin/sh
# All of it again, from nothing: about three hours of one core. Movers can be trained side by side, one core each.
set -eu
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1 MUJOCO_GL=egl
DATA="${DATA:-../../runs/sim-data}" WORK="${WORK:-../../runs/motion-s}"
python ../sim-data/collect.py siblings --out "$DATA" --episodes 6650
python ../sim-data/collect.py teleop --out "$DATA"
train() { python train.py "$@" --data "$DATA" --work "$WORK"; }
train code --minutes 60
train codes
train renderer --minutes 10
train renderer --adapt --minutes 5 --rate 2e-3
train renderer --adapt --lora 0 --minutes 5 --rate 1e-3
for kind in regression recurrent flow; do
    train mover --kind "$kind" --minutes 20 --batch 16
    for name in "$kind" "$kind-35" "$kind-12" "$kind-4"; do
        train sft --kind "$kind" --name "$name" --minutes 1.5 --rate 2e-3 --batch 16
    done
done
python shelf.py --work "$WORK" --ship regression recurrent flow
