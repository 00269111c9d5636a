"""What motion-s learns from: clips, the looks they are disguised in, the words they are told with, their codes."""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from dreamgen_bench.world_models import motion_movers as movers
from dreamgen_bench.world_models import motion_networks as networks

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


def pixels(frames: np.ndarray) -> Tensor:
    """uint8 [..., H, W, 3] to float [..., 3, H, W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, -3))).float() / 127.5 - 1


def disguised(clips: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W], half of them in another look: colors mixed, dark for light, a grain like wood's.

    What moves is the same in any look, so its code must be. Meta-World's table is of planks and dark, every drawn room
    is plain and most are lighter than the arm.
    """
    count, _, _, height, width = clips.shape
    mixed = in_other_colors(clips, wild=0.2, light=(0.6, 1.3))
    turned = (torch.rand(count, 1, 1, 1, 1) < 0.4) & (torch.rand(count, 1, 3, 1, 1) < 0.7)
    mixed = torch.where(turned, -mixed.clamp(-1, 1), mixed)
    y, x = networks.coordinates(count, height)[:, :, None].unbind(1)
    waves, along = 2 + 30 * torch.rand(count, 1, 1, 1), math.pi * torch.rand(count, 1, 1, 1)
    bent = 0.3 * F.interpolate(torch.randn(count, 1, 5, 5), size=(height, width), mode="bicubic")
    grain = torch.sin(waves * (x * along.cos() + y * along.sin() + bent))
    patches = F.interpolate(torch.randn(count, 1, 12, 12), size=(height, width))
    strength = 0.35 * torch.rand(count, 2, 1, 1) ** 2
    pattern = 1 + strength[:, :1] * grain + strength[:, 1:] * patches
    worn = ((mixed + 1) * pattern[:, None] - 1).clamp(-1, 1)
    return torch.where(torch.rand(count, 1, 1, 1, 1) < 0.5, worn, clips)


def furnished(clips: Tensor, empty: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W], those of the empty room with pieces of the others' first frames standing in it.

    An arm that was only seen above a bare table is drawn as a haze beside anything else. Clips of other rooms differ
    from the empty one nearly everywhere, and stay as they are.
    """
    side, out = clips.shape[-1], clips.clone()
    for i in range(len(clips)):
        shown = standing(clips[i], empty)
        if shown.float().mean() > 0.5 or torch.rand(()) < 0.3:
            continue
        room = empty.clone()
        for _ in range(int(torch.randint(1, 5, ()))):
            height, width = (int(size) for size in torch.randint(6, 36, (2,)))
            top, left, y, x = (int(torch.randint(side - size, ())) for size in (height, width, height, width))
            piece = clips[int(torch.randint(len(clips), ())), 0, :, y : y + height, x : x + width]
            color = 2 * torch.rand(3, 1, 1) - 1
            room[:, top : top + height, left : left + width] = piece if torch.rand(()) < 0.6 else color
        out[i] = torch.where(shown, clips[i], room)
    return out


def recolored(clips: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W], four of five in colors that are mixed much more than any disguise: other robots' arms."""
    count = len(clips)
    mixed = in_other_colors(clips, wild=0.35, light=(0.5, 1.4)) + 0.3 * torch.randn(count, 1, 3, 1, 1)
    return torch.where(torch.rand(count, 1, 1, 1, 1) < 0.8, mixed.clamp(-1, 1), clips)


def in_other_colors(clips: Tensor, *, wild: float, light: tuple[float, float]) -> Tensor:
    """Clips [N, T, 3, H, W], colors of each in another order and mixed so `wild`ly, in a `light` from least to most."""
    count, (least, most) = len(clips), light
    mix = torch.stack([torch.eye(3)[torch.randperm(3)] for _ in range(count)]) + wild * torch.randn(count, 3, 3)
    shine = least + (most - least) * torch.rand(count, 1, 1, 1, 1)
    return torch.einsum("ntchw,ncd->ntdhw", clips + 1, mix) * shine - 1


def standing(pictures: Tensor, empty: Tensor, least: float = 0.17) -> Tensor:
    """Where pictures [..., 3, H, W] differ from the empty room [3, H, W]; bool [..., 1, H, W]."""
    return (pictures - empty).abs().amax(-3, keepdim=True) > least


def warped(clips: Tensor) -> Tensor:
    """Clips as cameras see them that are mounted slightly otherwise: turned by 5 degrees, nearer, aside."""
    count, steps, _, height, width = clips.shape
    turn, scale = math.radians(10) * (torch.rand(count) - 0.5), 1 + 0.14 * (torch.rand(count) - 0.5)
    aside = 0.16 * (torch.rand(count, 2) - 0.5)
    rows = [
        torch.stack([scale * turn.cos(), -scale * turn.sin(), aside[:, 0]], 1),
        torch.stack([scale * turn.sin(), scale * turn.cos(), aside[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), (count, 3, height, width), align_corners=False)
    flat = F.grid_sample(
        clips.flatten(0, 1), grid.repeat_interleave(steps, 0), padding_mode="border", align_corners=False
    )
    return flat.unflatten(0, (count, steps))


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
    """A set's first frames, codes (of unit spread over the siblings) and behaviors, drawn at random."""

    def __init__(self, work: Path, what: str):
        with np.load(work / f"codes-{what}.npz") as found:
            self.first, self.codes, self.behavior = found["first"], found["codes"], found["behavior"].tolist()
        self.mean, self.spread = scale(work)
        self.known = vocabulary()

    def take(self, index: np.ndarray, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """First frames, words, codes."""
        words = read_aloud([self.behavior[i] for i in index], self.known, draw)
        return pixels(self.first[index]), words, self.scaled(torch.from_numpy(self.codes[index]))

    def scaled(self, codes: Tensor) -> Tensor:
        """Codes as movers say them."""
        return (codes.float() - self.mean) / self.spread
