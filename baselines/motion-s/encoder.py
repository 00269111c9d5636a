"""An encoder anew for a renderer that is settled: `python encoder.py --mover regression --minutes 20`.

The renderer's weights are shipped, the encoder's are not; with this one new movers can be trained that say what the
shipped renderer draws. It begins at what a trained mover says of a clip (its loss fades with the time) and goes on by
drawing, the renderer unchanged.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from clips import read_aloud, shards, vocabulary
from pictures import disguised, pixels
from safetensors.torch import save_file
from torch.nn import functional as F
from train import Course, drawing_loss, drawn_steps, psnr, read, trained_mover

from dreamgen_bench.world_models import motion_networks as networks

CLIPS = 4
"""To a step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"), help="of baselines/sim-data")
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"), help="with renderer and mover")
    parser.add_argument("--mover", default="regression", help="name of the weights that say where to begin")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    learn(args)


def learn(args: argparse.Namespace) -> None:
    """Steps by the clock; keeps the averaged weights every minute."""
    frames, behaviors = zip(*shards(args.data, "siblings"), strict=True)
    frames, behaviors = np.concatenate(frames), [name for part in behaviors for name in part]
    held = pixels(np.concatenate([clips for clips, _ in shards(args.data, "siblings-held")])[:24])
    renderer = read(networks.Renderer(), args.work / "renderer.safetensors").eval().requires_grad_(False)
    mover, _, (mean, spread), _ = trained_mover(args.work, args.mover)
    course, rng = Course(networks.Encoder(), args.minutes, args.rate), np.random.default_rng(0)
    draw, known = torch.Generator().manual_seed(0), vocabulary()

    def keep() -> None:
        save_file(course.average.state_dict(), args.work / "encoder.safetensors")  # its spread is beyond float16
        with torch.no_grad():
            again = renderer(held[:, 0], course.average(held[:, 0], held[:, 1:]))
        course.report(**psnr(again, held[:, 1:], held[:, 0]))

    while course.share < 1:
        index = rng.integers(len(frames), size=CLIPS)
        steps = drawn_steps(rng, CLIPS)
        clips = pixels(frames[index[:, None], steps])
        wanted, shown = disguised(clips), disguised(clips)
        with torch.autocast("cpu", torch.bfloat16):  # 1.7 times as fast
            codes = course.network(shown[:, 0], shown[:, 1:])
            drawn = renderer(wanted[:, 0], codes)
            loss = drawing_loss(drawn, wanted[:, 1:], wanted[:, 0])
            if (begun := 1 - 2 * course.share) > 0:
                with torch.no_grad():
                    words = read_aloud([behaviors[i] for i in index], known, draw)
                    said = mover.sample(pixels(frames[index, 0]), words, draw).float()
                told = said[np.arange(CLIPS)[:, None], steps[:, 1:] - 1, : networks.SHOWN]
                scaled = (codes.float() - mean[: networks.SHOWN]) / spread[: networks.SHOWN]
                loss = loss + 0.3 * begun * F.smooth_l1_loss(scaled, told)
        if course.learn(loss.float()):
            keep()
    keep()


if __name__ == "__main__":
    main()
