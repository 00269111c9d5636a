"""What motion-s learns from: clips, the words they are told with, their codes."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from dreamgen_bench.world_models import motion_movers as movers

sys.path.append(str(Path(__file__).parents[1] / "sim-data"))  # last: it has a clips.py too
from pictures import pixels

ROOT = Path(__file__).parents[2]
INSTRUCTIONS = yaml.safe_load((ROOT / "dreamgen_bench/envs/instructions.yaml").read_text("utf-8"))
WORDINGS = 6  # of each behavior's eight; the last two are never trained on
HELD = ("siblings-0000.npz", "demos-0000.npz")  # never trained on
SETS = {
    "siblings": ("siblings-*.npz",),
    "siblings-held": HELD[:1],
    "demos-held": HELD[1:],
    "demos": ("demos-*.npz",),
    "lab": ("teleop-*.npz", "demos-*.npz"),  # whoever only draws may also learn from hands that take nothing
}
UNKNOWN = 0.1  # share of words taken away, so that a paraphrase with a new word is still read


def paths_of(folder: Path, what: str) -> list[Path]:
    """The shards of a set; the held-out ones are in no other."""
    paths = sorted(path for pattern in SETS[what] for path in folder.glob(pattern))
    return [path for path in paths if what.endswith("held") or path.name not in HELD]


def columns(folder: Path, what: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a set, and another column of its shards."""
    found = [(shard["frames"], shard[name]) for shard in map(np.load, paths_of(folder, what))]
    frames, others = zip(*found, strict=True)
    return np.concatenate(frames), np.concatenate(others)


def shards(folder: Path, what: str) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Frames and behaviors of each shard of a set."""
    for path in paths_of(folder, what):
        with np.load(path) as shard:
            yield shard["frames"], shard["behavior"].tolist() if "behavior" in shard else []


def vocabulary() -> dict[str, int]:
    """Every word of the training instructions, numbered from 2."""
    taught = [text for wordings in INSTRUCTIONS.values() for text in wordings[:WORDINGS]]
    words = {word for text in taught for word in movers.words(text)}
    return {word: number for number, word in enumerate(sorted(words), 2)}


def read_aloud(behaviors: list[str], known: dict[str, int], draw: torch.Generator) -> Tensor:
    """One of each behavior's wordings, as word numbers, some words taken away."""
    picks = torch.randint(WORDINGS, (len(behaviors),), generator=draw).tolist()
    told = [movers.numbers(INSTRUCTIONS[name][pick], known) for name, pick in zip(behaviors, picks, strict=True)]
    words = torch.tensor(told)
    lost = (torch.rand(words.shape, generator=draw) < UNKNOWN) & (words > 0)
    return torch.where(lost, 1, words)


def explained(said: Tensor, codes: Tensor) -> float:
    """Share of the variance of `codes`."""
    return 1 - ((said - codes).square().mean() / codes.var()).item()


@cache
def scale(work: Path) -> tuple[Tensor, Tensor]:
    """Mean and spread of each number of the siblings' codes, to which all codes are scaled."""
    with np.load(work / "codes-siblings.npz") as found:
        codes = torch.from_numpy(found["codes"]).float()
    return codes.mean((0, 1)), codes.std((0, 1))


class Clips:
    """A set's first frames, codes and behaviors, drawn at random.

    Codes have unit spread over the siblings, or `told`: the mean and spread by which a trained mover says them.
    """

    def __init__(self, work: Path, what: str, told: tuple[Tensor, Tensor] | None = None):
        with np.load(work / f"codes-{what}.npz") as found:
            self.first, self.codes, self.behavior = found["first"], found["codes"], found["behavior"].tolist()
        self.scale = self.mean, self.spread = told or scale(work)
        self.known = vocabulary()

    def take(self, index: np.ndarray, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """First frames, words, codes."""
        words = read_aloud([self.behavior[i] for i in index], self.known, draw)
        return pixels(self.first[index]), words, self.scaled(torch.from_numpy(self.codes[index]))

    def scaled(self, codes: Tensor) -> Tensor:
        """Codes as movers say them."""
        return (codes.float() - self.mean) / self.spread
