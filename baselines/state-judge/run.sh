#!/usr/bin/env bash
# From simulator clips to the state judge's folder. Needs the `judge` clips of baselines/sim-data.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD OMP_NUM_THREADS=1 MUJOCO_GL=${MUJOCO_GL:-egl}
data=${1:-runs/sim-data} out=${2:-runs/state-judge}

python baselines/state-judge/collect.py "$data" --out "$out"
step() { python baselines/state-judge/train.py "$1" --data "$data" --states "$out" --out "$out"; }
step see
step fit
step eval
