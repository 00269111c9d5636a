#!/usr/bin/env bash
# From simulator clips to the judge's folder. Needs the clips of baselines/sim-data: 10 to 50 s for each shard of 50 episodes and worker.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD OMP_NUM_THREADS=1
data=${1:-runs/sim-data} test=${2:-runs/judge-test} out=${3:-runs/qwen-s}

python baselines/sim-data/collect.py web --out "$data"
python baselines/sim-data/collect.py judge --out "$data"
python baselines/sim-data/collect.py objects --out "$data"
python baselines/sim-data/collect.py picks --out "$data"
python baselines/sim-data/collect.py ignored --out "$data"
mkdir -p "$test"
python - "$test" <<'PY'
import sys
from pathlib import Path
sys.path.insert(0, "baselines/sim-data")
from collect import write_shard
for what, shards in (("judge", range(80, 86)), ("picks", range(20, 23)), ("ignored", range(23, 25))):  # seeds that no training has seen
    for shard in shards:
        print(write_shard(what, shard, Path(sys.argv[1])))
PY
step() { python "baselines/qwen-s/$1" "$2" --data "$data" --test "$test" --out "$out" --chosen both "${@:3}"; }
step train.py train --minutes 139
step focus.py focus --minutes 55 --lr 1e-3
mkdir -p "$out-before" && cp "$out/state.pt" "$out-before/"
step focus.py focus --minutes 11 --lr 8e-4
step train.py blend --other "$out-before"
step focus.py focus --minutes 12 --lr 1e-3
cp "$out/state.pt" "$out-before/"
step focus.py focus --minutes 14 --lr 1e-3
step train.py blend --other "$out-before" --share 0.5
step focus.py focus --minutes 38 --lr 1e-3 --workers 2
step train.py finish
step train.py eval
