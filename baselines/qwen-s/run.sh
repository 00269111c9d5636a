#!/usr/bin/env bash
# From simulator clips to the judge's folder. Needs the clips of baselines/sim-data: 10 to 50 s for each shard of 50 episodes and worker.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD OMP_NUM_THREADS=1
data=${1:-runs/sim-data} test=${2:-runs/judge-test} out=${3:-runs/qwen-s}

python baselines/sim-data/collect.py web --out "$data"
python baselines/sim-data/collect.py judge --out "$data"
python baselines/sim-data/collect.py objects --out "$data"
mkdir -p "$test"
python - "$test" <<'PY'
import sys
from pathlib import Path
sys.path.insert(0, "baselines/sim-data")
from collect import write_shard
for shard in range(80, 86):  # seeds that no training has seen
    print(write_shard("judge", shard, Path(sys.argv[1])))
PY
for mode in train finish eval; do
    python baselines/qwen-s/train.py $mode --data "$data" --test "$test" --out "$out" --minutes 118 --chosen both
done
