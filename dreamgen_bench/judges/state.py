"""A judge of the simulated robot that speaks no language: it estimates state from pictures and checks laws and goals.

A small network says what each pixel shows (arm, object, or neither), where the hand is, and, for the behavior that the
instruction asks for, where its object is, where that should come to, and how far its success predicate is from holding.
Physics: the laws of `invariants.py`. Instruction: how near the predicate came, and what the hand had to do with it.
Both end in a logistic over these numbers, fitted on training clips alone. Nothing else is learned from answers, so that
it errs otherwise than a vision-language model does.
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

from ..registry import PACKAGED
from ..types import Question, Reply, UserError
from ..video import resized
from .invariants import measured

SIDE = 64
WIDTH = 320
GOALS = (
    "margin_start",
    "margin_end",
    "margin_least",
    "margin_less",
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
"""Of the numbers that `approached` gives, in order; metres, but for margins, the share of the way and the opening."""
STATES = 11
"""Numbers that are estimated of a frame: hand x, y, z in metres, finger opening 0-1, the behavior's object and its goal
in metres, and its success predicate's margin, in doublings of how near is near enough: at most 0 where it holds."""


def network(behaviors: int) -> Any:
    """The untrained network, `Sight`: small enough to be trained in an hour of one core."""
    import torch
    from torch import nn
    from torch.nn.functional import avg_pool2d

    def block(inner: int, outer: int, kernel: int, stride: int) -> Any:
        return nn.Sequential(nn.Conv2d(inner, outer, kernel, stride, kernel // 2), nn.GroupNorm(8, outer), nn.SiLU())

    class Sight(nn.Module):
        """Frames float [N, 6, 64, 64] (this one and the first, 0-1)."""

        def __init__(self) -> None:
            super().__init__()
            inner = [nn.Conv2d(20, 40, 1), nn.SiLU(), nn.Conv2d(40, 40, 1), nn.SiLU()]
            self.paint = nn.Sequential(*inner, nn.Conv2d(40, 3, 1))
            layers = [block(8, 32, 5, 2), block(32, 64, 3, 2), block(64, 96, 3, 2), block(96, 96, 3, 1)]
            flat = [nn.Conv2d(96, 48, 1), nn.Flatten(), nn.Linear(48 * (SIDE // 8) ** 2, WIDTH), nn.SiLU()]
            self.look = nn.Sequential(*layers, *flat)
            self.hand = nn.Linear(WIDTH, 4)
            self.thing = nn.Linear(WIDTH, behaviors * (STATES - 4))

        def around(self, x: torch.Tensor) -> torch.Tensor:
            """At half the size, what a place and its surroundings look like, and looked like, and where it is; 20."""
            x = avg_pool2d(x, 2)
            now, first = x[:, :3], x[:, 3:]
            stir = (now - first).abs().mean(1, keepdim=True)
            boxes = [avg_pool2d(torch.cat([now, stir], 1), n, 1, n // 2, count_include_pad=False) for n in (3, 7)]
            return torch.cat([now, first, now - first, stir, *boxes, where(x)], 1)

        def painted(self, x: torch.Tensor) -> torch.Tensor:
            """Logits of what each place shows [N, 3, 32, 32]."""
            out: torch.Tensor = self.paint(self.around(x))
            return out

        def states(self, x: torch.Tensor, behaviors: Sequence[int]) -> torch.Tensor:
            """The states, for each of the behaviors, [N, len(behaviors), STATES]."""
            seen = self.look(torch.cat([x * 2 - 1, where(x)], 1))
            things = self.thing(seen).unflatten(1, (-1, STATES - 4))[:, list(behaviors)]
            return torch.cat([self.hand(seen)[:, None].expand(-1, len(behaviors), -1), things], 2)

    def where(x: torch.Tensor) -> torch.Tensor:
        line = torch.linspace(-1, 1, x.shape[-1])
        return torch.stack(torch.meshgrid(line, line, indexing="ij")).expand(len(x), 2, *x.shape[2:])

    return Sight()


def pairs(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, 64, 64, 3] -> float32 [T, 6, 64, 64], 0-1: each frame with the first."""
    both = np.concatenate([frames, np.broadcast_to(frames[:1], frames.shape)], -1)
    return np.ascontiguousarray(both.transpose(0, 3, 1, 2), np.float32) / 255


def approached(states: np.ndarray) -> np.ndarray:
    """float64 [len(GOALS)] of estimated states [T, STATES]."""
    hand, opening, thing, margin = states[:, :3], states[:, 3], states[:, 4:7], states[:, 10]
    goal = np.median(states[:, 7:10], axis=0)
    apart = np.linalg.norm(thing - goal, axis=1)
    to_goal, to_thing = (np.linalg.norm(hand - other, axis=1) for other in (goal, thing))
    return np.array(
        [
            margin[0],
            margin[-1],
            margin.min(),
            np.sort(margin)[:2].max(),  # that one frame alone looks well is little
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
            evidence = self.instruction.evidence(approached(self.seen(frames, row)[1][0]), row)
        else:
            shown, [states] = self.seen(frames, 0)
            evidence = self.physics.evidence(measured(frames, shown, states[:, :3]))
        chances = -math.log1p(math.exp(-evidence)), -math.log1p(math.exp(evidence))
        said = question.options[0 if evidence > 0 else 1]
        return Reply(text=said, logprobs=dict(zip(question.options, chances, strict=True)))

    def seen(self, frames: np.ndarray, *behaviors: int) -> tuple[np.ndarray, np.ndarray]:
        """What each pixel shows, int [T, 64, 64], and for each of the behaviors the states, [B, T, STATES]."""
        import torch

        x = torch.from_numpy(pairs(frames))
        with torch.inference_mode():
            shown = self.net.painted(x).argmax(1).numpy()
            states = self.net.states(x, behaviors).numpy().astype(float)
        return shown.repeat(2, 1).repeat(2, 2), states.swapaxes(0, 1)

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
    return resized(frames, SIDE, SIDE)


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
