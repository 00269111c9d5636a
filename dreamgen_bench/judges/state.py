"""A judge of the simulated robot that speaks no language: it estimates state from pictures and checks laws and goals.

A small network says what each pixel shows (arm, object, or neither), where the hand is, and, for the behavior that the
instruction asks for, where its object is and where that should come to. Physics: the laws of `invariants.py`.
Instruction: how near the object came to its goal, and what the hand had to do with it. Both end in a logistic over
these numbers, fitted on training clips alone. Nothing else is learned from answers, so that it errs otherwise than a
vision-language model does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..registry import PACKAGED
from ..types import Question, Reply, UserError
from .invariants import measured

SIDE = 64
GOALS = (
    "start_apart",
    "end_apart",
    "least_apart",
    "progress",
    "object_moved",
    "object_rose",
    "hand_to_goal",
    "hand_to_object",
    "hand_to_object_end",
    "opening_end",
    "last_opening_change",
)
"""Of the numbers that `approached` gives, in order; metres, but for the share of the way and the opening."""


def network(behaviors: int) -> Any:
    """The untrained network, `Sight`."""
    import torch
    from torch import nn

    def block(inner: int, outer: int, stride: int = 1) -> Any:
        return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1), nn.GroupNorm(4, outer), nn.SiLU())

    class Sight(nn.Module):
        """Frames float [N, 6, 64, 64] (this one and the first, 0-1) and behaviors int64 [N]."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = block(6, 24, 2), block(24, 48, 2), block(48, 64, 2)
            self.mid = block(64, 64)
            self.join2 = nn.Sequential(nn.Conv2d(112, 32, 1), block(32, 32))
            self.join1 = nn.Sequential(nn.Conv2d(56, 16, 1), block(16, 16))
            self.paint = nn.Conv2d(16, 12, 1)
            self.flat = nn.Sequential(nn.Flatten(), nn.Linear(4096, 112), nn.SiLU())
            self.asked = nn.Embedding(behaviors, 24)
            self.state = nn.Sequential(nn.Linear(136, 128), nn.SiLU(), nn.Linear(128, 10))

        def forward(self, x: torch.Tensor, behavior: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """Logits [N, 3, 64, 64], and hand, opening, object and goal [N, 10]."""
            one = self.one(x)
            two = self.two(one)
            mid = self.mid(self.three(two))
            up = nn.functional.interpolate
            joined = self.join2(torch.cat([up(mid, scale_factor=2), two], 1))
            joined = self.join1(torch.cat([up(joined, scale_factor=2), one], 1))
            painted = nn.functional.pixel_shuffle(self.paint(joined), 2)
            return painted, self.state(torch.cat([self.flat(mid), self.asked(behavior)], 1))

    return Sight()


def pairs(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, 64, 64, 3] -> float32 [T, 6, 64, 64]: each frame with the first."""
    both = np.concatenate([frames, np.broadcast_to(frames[:1], frames.shape)], -1)
    return np.ascontiguousarray(both.transpose(0, 3, 1, 2), np.float32) / 255


def approached(states: np.ndarray) -> np.ndarray:
    """float64 [len(GOALS)] of estimated states [T, 10]: hand, opening, object, goal."""
    hand, opening, thing = states[:, :3], states[:, 3], states[:, 4:7]
    goal = np.median(states[:, 7:], axis=0)
    apart = np.linalg.norm(thing - goal, axis=1)
    to_goal, to_thing = (np.linalg.norm(hand - other, axis=1) for other in (goal, thing))
    return np.array(
        [
            apart[0],
            apart[-1],
            apart.min(),
            (apart[0] - apart.min()) / (apart[0] + 0.02),
            np.linalg.norm(thing - thing[0], axis=1).max(),
            (thing[:, 2] - thing[0, 2]).max(),
            to_goal.min(),
            to_thing.min(),
            to_thing[-1],
            opening[-1],
            opening[-1] - opening.max(),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Logistic:
    """P(yes) of standardized numbers; one row of weights for each behavior, or one for all."""

    mean: np.ndarray  # [F]
    spread: np.ndarray  # [F]
    weight: np.ndarray  # [rows, F]
    bias: np.ndarray  # [rows]

    def evidence(self, numbers: np.ndarray, row: int = 0) -> float:
        """Its logit."""
        return float(self.weight[row] @ standardized(numbers, self.mean, self.spread) + self.bias[row])


def standardized(numbers: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Numbers as a logistic takes them: none counts for more than four spreads, however wild the video."""
    return np.clip((squeezed(numbers) - mean) / spread, -4, 4)


def squeezed(numbers: np.ndarray) -> np.ndarray:
    """The logarithm of what may be hundreds of pixels, and nearly the number itself where it is metres."""
    return np.sign(numbers) * np.log1p(np.abs(numbers))


class StateJudge:
    """Sees a clip, then measures it."""

    def __init__(self, net: Any, behaviors: Mapping[str, Sequence[str]], physics: Logistic, instruction: Logistic):
        self.net, self.physics, self.instruction = net.eval(), physics, instruction
        self.wordings = [(words_of(text), row) for row, texts in enumerate(behaviors.values()) for text in texts]

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One reply per question, in order."""
        for question in questions:
            try:
                yield self._reply(question)
            except Exception as error:  # a question that can't be asked must not take the others with it
                yield Reply(text="", error=f"{type(error).__name__}: {error}".strip())

    def _reply(self, question: Question) -> Reply:
        if len(question.options) != 2:
            raise ValueError(f"two options are needed, the better first, not {list(question.options)}")
        frames = sized(question.frames)
        if question.instruction:
            row = self.behavior(question.instruction)
            evidence = self.instruction.evidence(approached(self.seen(frames, row)[1]), row)
        else:
            shown, states = self.seen(frames, 0)
            evidence = self.physics.evidence(measured(frames, shown, states[:, :3]))
        chances = -math.log1p(math.exp(-evidence)), -math.log1p(math.exp(evidence))
        said = question.options[0 if evidence > 0 else 1]
        return Reply(text=said, logprobs=dict(zip(question.options, chances, strict=True)))

    def seen(self, frames: np.ndarray, behavior: int) -> tuple[np.ndarray, np.ndarray]:
        """What each pixel shows, int [T, 64, 64], and the states [T, 10]."""
        import torch

        with torch.inference_mode():
            painted, states = self.net(torch.from_numpy(pairs(frames)), torch.full((len(frames),), behavior))
        return painted.argmax(1).numpy(), states.numpy().astype(float)

    def behavior(self, instruction: str) -> int:
        """The behavior whose wording shares most words with the instruction. Raises ValueError where none does."""
        mine = words_of(instruction)
        likeness, row = max(((len(mine & theirs) / len(mine | theirs), -row) for theirs, row in self.wordings))
        if not likeness:
            raise ValueError(f"no word of {instruction!r} is in an instruction that this judge knows")
        return -row


def words_of(text: str) -> frozenset[str]:
    """The words of a text, without order."""
    return frozenset(re.findall(r"[a-z]+", text.lower()))


def sized(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, 64, 64, 3] of frames of any size."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames must be uint8 [N, H, W, 3] with N > 0, not {frames.dtype} {list(frames.shape)}")
    if frames.shape[1:3] == (SIDE, SIDE):
        return frames
    return np.stack([np.asarray(Image.fromarray(f).resize((SIDE, SIDE), Image.Resampling.BOX)) for f in frames])


def load(checkpoint: str) -> StateJudge:
    """The judge of a folder with model.safetensors and config.json, or of package://dreamgen_bench/FOLDER."""
    from safetensors.numpy import load_file
    from torch import from_numpy

    inside = checkpoint.removeprefix(PACKAGED)
    folder = Path(__file__).parents[1] / inside if inside != checkpoint else Path(checkpoint)
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder}: no model.safetensors there; baselines/state-judge/train.py makes it")
    behaviors = json.loads((folder / "config.json").read_text("utf-8"))["behaviors"]
    kept = load_file(folder / "model.safetensors")
    net = network(len(behaviors))
    net.load_state_dict({k[4:]: from_numpy(v.astype(np.float32)) for k, v in kept.items() if k.startswith("net.")})
    rules = {
        name: Logistic(**{part: kept[f"{name}.{part}"].astype(float) for part in ("mean", "spread", "weight", "bias")})
        for name in ("physics", "instruction")
    }
    return StateJudge(net, behaviors, **rules)
