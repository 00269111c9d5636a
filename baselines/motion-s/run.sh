#!/bin/sh
# All of it again, from nothing: about five and a half hours of one core. Movers can be trained side by side, one core each.
set -eu
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1 MUJOCO_GL=egl
DATA="${DATA:-../../runs/sim-data}" WORK="${WORK:-../../runs/motion-s}"
for what in siblings teleop demos; do python ../sim-data/collect.py $what --out "$DATA"; done
train() { python train.py "$@" --data "$DATA" --work "$WORK"; }
lab() { python lab.py "$@" --data "$DATA" --work "$WORK"; }
train code --minutes 60
lab hand --minutes 60
train codes
lab arm --minutes 9 --rate 2e-3
lab renderer --minutes 48 --rate 1e-3
train renderer --minutes 2 --rate 2e-3
mover() { # kind, minutes, minutes of every weight in the lab, shares of it that LoRA takes to the lab
    train mover --kind "$1" --minutes "$2" --batch 16
    train sft --name "$1" --lora 0 --minutes "$3" --rate 5e-4 --batch 16
    for name in "$1" $4; do
        train sft --name "$name" --minutes 1 --rate 2e-3 --batch 16
    done
}
mover regression 79 8 regression-35
mover flow 24 3 ""
mover recurrent 8 1 ""
python examine.py --work "$WORK" regression flow recurrent
python shelf.py --work "$WORK" --ship motion-regression motion-regression-sft motion-regression-full motion-flow-full motion-recurrent-full
