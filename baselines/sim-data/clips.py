"""What the robot was shown by hand, as `dreamgen-bench adapt` takes it: `python clips.py --data DIR --out FOLDER`.

One mp4 a successful pick-and-place of `demos`, and manifest.jsonl, which gives each one of the behavior's wordings.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from dreamgen_bench.types import Video
from dreamgen_bench.video import encode

INSTRUCTIONS = Path(__file__).parents[2] / "dreamgen_bench/envs/instructions.yaml"
WORDINGS = 6  # of eight; the last two are never trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--out", type=Path, default=Path("runs/clips"))
    parser.add_argument("--count", type=int, default=450)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wordings = yaml.safe_load(INSTRUCTIONS.read_text("utf-8"))["pick-place"][:WORDINGS]
    frames = np.concatenate([np.load(path)["frames"] for path in sorted(args.data.glob("demos-*.npz"))])[: args.count]
    rows = []
    for number, clip in enumerate(frames):
        name = f"{number:04d}.mp4"
        (args.out / name).write_bytes(encode(Video(frames=clip, fps=10.0)))
        rows.append(json.dumps({"video": name, "instruction": wordings[number % len(wordings)]}))
    (args.out / "manifest.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    print(f"{len(rows)} clips in {args.out}")


if __name__ == "__main__":
    main()
