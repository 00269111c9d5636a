"""Make the library of `retrieval`: `python baselines/retrieval/library.py --data runs/sim-data`."""

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from dreamgen_bench.types import Video
from dreamgen_bench.video import encode

ROOT = Path(__file__).parents[2]
WORDS = yaml.safe_load((ROOT / "dreamgen_bench/envs/instructions.yaml").read_text("utf-8"))
PER_BEHAVIOR, TELEOP = 4, 36


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--out", type=Path, default=ROOT / "dreamgen_bench/weights/retrieval")
    args = parser.parse_args()
    clips, rows, have = [], [], {}
    for path in sorted(args.data.glob("web-*.npz")):
        data = np.load(path)
        for frames, behavior in zip(data["frames"], map(str, data["behavior"]), strict=True):
            if have.get(behavior, 0) < PER_BEHAVIOR:
                have[behavior] = have.get(behavior, 0) + 1
                clips.append(frames)
                rows.append({"instruction": WORDS[behavior][have[behavior] - 1], "frames": len(frames)})
    for path in sorted(args.data.glob("teleop-*.npz"))[:4]:
        data = np.load(path)
        for frames in data["frames"][data["success"]][: TELEOP // 4]:
            clips.append(frames)
            rows.append({"instruction": WORDS["pick-place"][len(rows) % 6], "frames": len(frames)})
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "clips.mp4").write_bytes(encode(Video(frames=np.concatenate(clips), fps=10), crf=16))
    (args.out / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    print(len(rows), "clips,", (args.out / "clips.mp4").stat().st_size // 1024, "KiB")


if __name__ == "__main__":
    main()
