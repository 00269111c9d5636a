"""What a judge of this kind is held to: the share of each group of held-out videos that it answers 1."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import clips as C
import model as M
import numpy as np
import torch
from scipy.optimize import minimize

from dreamgen_bench import rubrics
from dreamgen_bench.envs.defects import LEVELS, VISIBLE


class Prompts:
    """Token ids of every question, padded on the right: [8 * 50 + 1, L]."""

    def __init__(self, tokenizer: object) -> None:
        instruction, physics = rubrics.load("instruction-following-v1"), rubrics.load("physics-alignment-v1")
        texts = [instruction.prompt.format(instruction=t) for b in C.BEHAVIORS for t in C.INSTRUCTIONS[b]]
        video = "<|video_pad|>" * (M.SIDE // M.PATCH // M.MERGE) ** 2
        rows = []
        for text in [*texts, physics.prompt]:
            content = [{"type": "video"}, {"type": "text", "text": text}]
            chat = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            rows.append(tokenizer(chat.replace("<|video_pad|>", video))["input_ids"])
        self.pad = tokenizer.pad_token_id
        longest = max(map(len, rows))
        self.ids = torch.tensor([row + [self.pad] * (longest - len(row)) for row in rows])
        self.answers = torch.tensor(tokenizer.convert_tokens_to_ids(["0", "1"]))

    def row(self, behavior: int, wording: int) -> int:
        """Where the question stands about a behavior in one of its 8 wordings, or about PHYSICS."""
        return len(self.ids) - 1 if behavior == C.PHYSICS else 8 * behavior + wording


def stacked(asked: Sequence[C.Asked], rng: np.random.Generator | None) -> torch.Tensor:
    """Patches of the videos [B, 64, 3264]; jittered where there is a generator."""
    frames = [C.jittered(a.frames, rng) if rng is not None else a.frames for a in asked]
    return M.patches(torch.from_numpy(np.stack(frames)))


@torch.no_grad()
def states(net: torch.nn.Module, asked: Sequence[C.Asked], prompts: Prompts) -> torch.Tensor:
    """What the output layer sees of the first question of each video, wordings in turn; float [len(asked), width]."""
    found = []
    for start in range(0, len(asked), 50):
        part = asked[start : start + 50]
        rows = torch.tensor([prompts.row(a.questions[0][0], (start + i) % 8) for i, a in enumerate(part)])
        found.append(M.last_state(net, M.see(net, stacked(part, None)), prompts.ids[rows]))
    return torch.cat(found) if found else torch.zeros(0, net.config.text_config.hidden_size)


@torch.no_grad()
def margins(net: torch.nn.Module, hidden: torch.Tensor, prompts: Prompts) -> np.ndarray:
    """Logit of the answer 1 less that of 0."""
    out = hidden @ net.lm_head.weight[prompts.answers].T
    return (out[:, 1] - out[:, 0]).numpy()


def examination(held: Sequence[C.Clip]) -> dict[str, list[C.Asked]]:
    """The held-out videos by what is asked of them; one question each."""
    rng = np.random.default_rng(0)

    def of(clip: C.Clip, frames: np.ndarray, behavior: int) -> C.Asked:
        return C.Asked(frames=frames, questions=[(behavior, 1, 1.0)], behavior=clip.behavior, done=None)

    unmoved, held = [c for c in held if c.kind == "ignored"], [c for c in held if c.kind != "ignored"]
    well = [c for c in held if c.behavior in c.done]
    ill = [c for c in held if c.behavior not in c.done]
    near = [(c, b) for c in held for b in c.partners if b not in c.done]
    groups = {
        "IF success": [of(c, c.frames, c.behavior) for c in well],
        "IF failed": [of(c, c.frames, c.behavior) for c in ill],
        "IF partner": [of(c, c.frames, b) for c, b in near],
        "IF other": [of(c, c.frames, C.other(dataclasses.replace(c, partners=()), rng)) for c in well],
        "IF static": [of(c, C.static(c, rng).frames, c.behavior) for c in held],
        "IF reversed": [of(c, c.frames[::-1], c.behavior) for c in well],
        "IF ignored": [of(c, c.broken, c.behavior) for c in unmoved],
        "IF not ignored": [of(c, c.frames, c.behavior) for c in unmoved],
        "PA sound": [of(c, c.frames, C.PHYSICS) for c in held],
        "PA static": [of(c, C.static(c, rng).frames, C.PHYSICS) for c in held],
    }
    recorded = [c for c in held if c.kind]
    groups["PA hardly broken"] = [of(c, c.broken, C.PHYSICS) for c in recorded if c.magnitude < VISIBLE]
    groups["PA broken"] = [of(c, c.broken, C.PHYSICS) for c in recorded if c.magnitude >= VISIBLE]
    for kind in C.KINDS:
        for level, (low, high) in LEVELS.items():
            chosen = [c for c in held if c.kind == kind and low <= c.magnitude <= high]
            groups[f"PA {kind} {level}"] = [of(c, c.broken, C.PHYSICS) for c in chosen]
    return groups


def report(net: torch.nn.Module, held: Sequence[C.Clip], prompts: Prompts) -> dict[str, tuple[float, int]]:
    """Share of each group answered 1, and its size."""
    table = {}
    for name, asked in examination(held).items():
        margin = margins(net, states(net, asked, prompts), prompts)
        table[name] = (float((margin > 0).mean()) if len(margin) else math.nan, len(margin))
    return table


def line(table: dict[str, tuple[float, int]]) -> str:
    """A table on one line: shares of 1; of defects those of the three levels."""
    parts = [f"{name} {share:.2f}" for name, (share, _) in table.items() if not name[-1].isdigit()]
    for kind in C.KINDS:
        parts.append(kind + " " + "/".join(f"{table[f'PA {kind} {level}'][0]:.2f}" for level in LEVELS))
    return ", ".join(parts)


def markdown(table: dict[str, tuple[float, int]]) -> str:
    """A table of groups, and one of defects by level."""
    rows = ["| videos | answered 1 | of |", "|---|---|---|"]
    rows += [f"| {name} | {share:.3f} | {n} |" for name, (share, n) in table.items() if not name[-1].isdigit()]
    rows += ["", "| defect | level 1 | level 2 | level 3 |", "|---|---|---|---|"]
    for kind in C.KINDS:
        cells = [table[f"PA {kind} {level}"] for level in LEVELS]
        rows.append(f"| {kind} | " + " | ".join(f"{share:.2f} of {n}" for share, n in cells) + " |")
    return "\n".join(rows)


DESERVED = {
    "IF": (("IF success",), ("IF failed", "IF partner", "IF other", "IF reversed")),
    "PA": (("PA sound", "PA hardly broken"), ("PA broken",)),
}
"""Groups that deserve a 1, and a 0, by which each score is calibrated."""
KEPT = 0.90
"""Share of the sound clips that are answered 1: kinds of defects that no calibration knows call for caution."""


Seen = dict[str, torch.Tensor]


def deserving(net: torch.nn.Module, held: Sequence[C.Clip], prompts: Prompts) -> Seen:
    """What the output layer sees of each group of DESERVED."""
    groups = examination(held)
    return {name: states(net, groups[name], prompts) for sides in DESERVED.values() for side in sides for name in side}


def calibration(net: torch.nn.Module, seen: Seen, prompts: Prompts) -> dict[str, tuple[float, float]]:
    """For each score, what its margins are to be multiplied by, and what is to be added, so that they are log odds.

    By logistic regression (Platt, 1999), both classes of equal weight; of PA only the factor, the rest by KEPT.
    """
    found = {}
    for score, names in DESERVED.items():
        parts = {name: margins(net, seen[name], prompts) for side in names for name in side}
        well, ill = (np.concatenate([parts[n] for n in side]) for side in names)
        scale, shift = regression(well, ill)
        if score == "PA":
            shift = -float(np.quantile(scale * parts["PA sound"], 1 - KEPT))
        found[score] = (scale, shift)
    return found


def regression(well: np.ndarray, ill: np.ndarray) -> tuple[float, float]:
    """Factor and shift after which margins are log odds of deserving a 1, were both as frequent."""

    def loss(line: np.ndarray) -> float:
        right, wrong = line[0] * well + line[1], line[0] * ill + line[1]
        return float(np.logaddexp(0, -right).mean() + np.logaddexp(0, wrong).mean())

    scale, shift = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(scale), float(shift)


@torch.no_grad()
def fold(net: torch.nn.Module, lines: dict[str, tuple[float, float]], seen: Seen, prompts: Prompts) -> float:
    """Put the lines into the output row of the answer 1, which has no bias: by ridge regression on what it sees.

    Returns the root mean square by which the wanted margins are missed.
    """
    wanted = []
    for name, hidden in seen.items():
        scale, shift = lines[name[:2]]
        wanted.append(torch.from_numpy((scale - 1) * margins(net, hidden, prompts) + shift))
    x, y = torch.cat(list(seen.values())), torch.cat(wanted)
    v = torch.linalg.solve(x.T @ x + 1e-2 * len(x) * torch.eye(x.shape[1]), x.T @ y)
    net.lm_head.weight[prompts.answers[1]] += v
    return float((x @ v - y).square().mean().sqrt())
