#!/bin/sh
# The small movers, and LoRA with the lab's arm, from what is shipped: 70 minutes of one core, and 50 for the data.
# Two of these commands can run side by side, one core each, but no mover before `codes`.
set -eu
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1 MUJOCO_GL=egl
DATA="${DATA:-../../runs/sim-data}" WORK="${WORK:-../../runs/motion-small}"
python ../sim-data/collect.py siblings --out "$DATA" --episodes 7500 # movers saw these; encoder and hand reader 15,000
for what in teleop demos; do python ../sim-data/collect.py $what --out "$DATA"; done
mkdir -p "$WORK" && cp ../../dreamgen_bench/weights/motion-s/*.safetensors "$WORK"
train() { python train.py "$@" --data "$DATA" --work "$WORK" --batch 16; }
python lab.py hand --init waypoint-play --minutes 16 --data "$DATA" --work "$WORK"
python encoder.py --minutes 17 --data "$DATA" --work "$WORK"
train codes
small() { train mover --kind "$1" --name "$1-small" --width 64 --depth 2 --minutes "$2"; }
arm() { train sft --name "$1" --variant arm --lora "$2" --minutes "$3" --rate 2e-3; }
small regression 9
arm regression-small 8 1.5
train sft --name regression-small --lora 0 --minutes 2.5 --rate 5e-4
arm regression-small-12 8 1
arm regression 32 3
small flow 5
arm flow-small 8 1.2
small recurrent 4
arm recurrent-small 8 1.2
python shelf.py --work "$WORK" --ship motion-regression-arm motion-flow-small motion-flow-small-arm \
    motion-recurrent-small motion-recurrent-small-arm motion-regression-small motion-regression-small-12 \
    motion-regression-small-35 motion-regression-small-arm motion-regression-small-12-arm motion-regression-small-full
