"""Tell a trained mover anew where the hand is: `python retell.py regression-full --minutes 8`.

What a mover says of the hand is as right as the reader that told it (NOTES, "Seventh round"). With a better reader
(`lab.py hand`) no mover need begin again: in the lab it is told what teleoperation knows, of siblings what the reader
finds, and of all else, which is what will be drawn, it goes on saying what it said. No encoder is needed.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from clips import columns, paths_of, read_aloud, vocabulary
from hands import HandReader
from pictures import disguised, pixels
from torch import Tensor, nn
from train import MATTERS, Course, Scale, keep_mover, read, trained_mover

from dreamgen_bench.world_models.motion_networks import CODE, REACH, SHOWN, reached

BATCH = 16
"""Clips to a step, half of them of the lab."""


@dataclass(frozen=True)
class Told:
    """Clips' first frames, uint8 [N, H, W, 3], what is known of hands after them [N, STEPS, HAND], behaviors."""

    first: np.ndarray
    hands: Tensor
    behavior: list[str]


def by_teleoperation(data: Path) -> Told:
    frames, states = columns(data, "demos", "states")
    behaviors = columns(data, "demos", "behavior")[1]
    return Told(frames[:, 0], reached(torch.from_numpy(states[..., :4]))[:, 1:], behaviors.tolist())


@torch.no_grad()
def by_reader(data: Path, what: str, reader: HandReader) -> Told:
    """Shard by shard: all siblings at once are gigabytes."""
    first, hands, behaviors = [], [], []
    for path in paths_of(data, what):
        with np.load(path) as shard, torch.autocast("cpu", torch.bfloat16):
            frames = shard["frames"]
            hands += [reader.read(pixels(part)).float() for part in np.array_split(frames, len(frames) // 16 + 1)]
            first.append(frames[:, 0])
            behaviors += shard["behavior"].tolist()
    return Told(np.concatenate(first), torch.cat(hands), behaviors)


@torch.no_grad()
def apart(mover: nn.Module, told: Told, scale: Scale) -> float:
    """Millimetres between what a mover says of hands and what was told, on average over clips and frames."""
    words = read_aloud(told.behavior, vocabulary(), torch.Generator().manual_seed(1))
    said = mover.sample(pixels(told.first), words, torch.Generator().manual_seed(1)) * scale[1] + scale[0]
    size = torch.tensor(REACH[1]) - torch.tensor(REACH[0])
    return 1000 * ((said[..., SHOWN:] - told.hands) * size / 2)[..., :3].norm(dim=-1).mean().item()


def retell(course: Course, sources: list[Told], scale: Scale, report: Callable[[], None]) -> None:
    """Steps by the clock. What is not the hand is what the mover itself said before."""
    before = copy.deepcopy(course.network).eval()
    rng, draw = np.random.default_rng(0), torch.Generator().manual_seed(0)
    matters = torch.where(torch.arange(CODE) < SHOWN, 1.0, MATTERS)
    while course.share < 1:
        picks = [(told, rng.integers(len(told.first), size=BATCH // len(sources))) for told in sources]
        first = pixels(np.concatenate([told.first[index] for told, index in picks]))
        words = read_aloud([told.behavior[i] for told, index in picks for i in index], vocabulary(), draw)
        hands = torch.cat([told.hands[index] for told, index in picks])
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                codes = before.sample(first, words, draw).float()
            codes[..., SHOWN:] = (hands - scale[0][SHOWN:]) / scale[1][SHOWN:]
            loss = course.network.loss(disguised(first[:, None])[:, 0], words, codes)
        if course.learn((loss.float() * matters).mean()):
            report()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of a mover's weights in the work folder; they are replaced")
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"), help="of baselines/sim-data")
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"), help="with hand.safetensors")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--rate", type=float, default=7e-4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    reader = read(HandReader(), args.work / "hand.safetensors").eval()
    mover, size, scale, before = trained_mover(args.work, args.name)
    sources = [by_teleoperation(args.data), by_reader(args.data, "siblings", reader)]
    held = by_reader(args.data, "siblings-held", reader)
    course = Course(mover, args.minutes, args.rate, horizon=0.995)

    def report() -> None:
        keep_mover(course, args.work / f"{args.name}.safetensors", scale, size, before)
        course.report(held=apart(course.average, held, scale))

    report()
    retell(course, sources, scale, report)
    report()


if __name__ == "__main__":
    main()
