#!/usr/bin/env bash
# From the simulator to the state judge's folder. Its rules are fitted on the `judge` clips of baselines/sim-data.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD OMP_NUM_THREADS=1 MUJOCO_GL=${MUJOCO_GL:-egl}
data=${1:-runs/sim-data} out=${2:-runs/state-judge}
# Every fifth of the sorted behaviors: nobody ever shows this judge how they are done, nor says of a clip that they are.
never=bin-picking,button-press-wall,disassemble,drawer-close,hand-insert,lever-pull,pick-place-wall,push,shelf-place,sweep-into

[ -e "$data/judge-0039.npz" ] || python baselines/sim-data/collect.py judge --out "$data" --episodes 2000
python baselines/state-judge/states.py --out "$out" --left-out "$never"
step() { python baselines/state-judge/train.py "$1" --data "$data" --states "$out" --out "$out" --weights "$out/weights" --left-out "$never"; }
step see
step fit
step eval
step exam
