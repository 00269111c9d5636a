"""Some tasks' videos beside each other: `python baselines/sheet.py runs/family --models replay,wan-s --out sheet.png`.

One row a model and task, ten frames of each video, the models of one task below each other in the order given.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from dreamgen_bench import latest
from dreamgen_bench.types import UserError, VideoRecord
from dreamgen_bench.video import read

FRAMES, SIDE = 10, 64


def strip(run: Path, record: VideoRecord) -> np.ndarray:
    """uint8 [SIDE, FRAMES * SIDE, 3]; grey where there is no video."""
    if record.file is None:
        return np.full((SIDE, FRAMES * SIDE, 3), 128, np.uint8)
    frames = read(run / record.file).frames
    chosen = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    return np.concatenate([np.asarray(Image.fromarray(frame).resize((SIDE, SIDE))) for frame in chosen], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--models", required=True, help="separated by commas; replay is the true video")
    parser.add_argument("--tasks", default="", help="separated by commas; without it every eighth of the first model's")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    args = parser.parse_args()
    models = args.models.split(",")
    there = {(r.model, r.task): r for r in latest.videos(args.run)}
    tasks = args.tasks.split(",") if args.tasks else [task for model, task in there if model == models[0]][::8]
    missing = [key for task in tasks for key in ((model, task) for model in models) if key not in there]
    if missing:
        raise UserError(f"{args.run} has no video of {missing[0][0]} for {missing[0][1]}")
    rows = [strip(args.run, there[model, task]) for task in tasks for model in models]
    Image.fromarray(np.concatenate(rows)).save(args.out, optimize=True)
    print(f"{args.out}: {len(rows)} rows; tasks {', '.join(tasks)}")


if __name__ == "__main__":
    main()
