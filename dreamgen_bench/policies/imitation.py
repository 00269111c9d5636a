"""What policies that imitate trajectories share: what they see and read, their examples, their training, their files.

No proprioception: neural trajectories have none, and the paper sets the state to zero for them (sec. 2.4). The recipe
is part of the measuring instrument: two success rates compare only if the same recipe consumed both sets of videos.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import WAYPOINT, Trajectory, UserError
from ..video import resized

if TYPE_CHECKING:
    import torch

CHUNK = 6
"""Waypoints predicted at once,"""
EXECUTED = 3
"""of which so many are followed before the next look."""
WORDS = 512
"""Size of the hashed bag of words."""
STEPS, BATCH, RATE, SHIFT = 900, 48, 1e-3, 4
SIDE = 64
"""Of the pictures, in pixels."""
FEATURES = 64 * 8 * 8
"""Numbers that `looked` makes of a picture."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Every frame of some trajectories, and what came after it."""

    pictures: np.ndarray  # uint8 [N, 64, 64, 3]
    words: np.ndarray  # float32 [N, WORDS]
    chunks: np.ndarray  # float32 [N, CHUNK, 4]: the next waypoints, normalized
    mean: np.ndarray  # float32 [4], metres and grip effort
    std: np.ndarray  # float32 [4]


Loss = Callable[[Any, "torch.Tensor", "torch.Tensor", "torch.Tensor", "torch.Generator"], "torch.Tensor"]
"""(net, pictures, words, chunks, generator) -> a scalar, for a batch."""


def bag(instruction: str) -> np.ndarray:
    """Hashed bag of words of an instruction, of unit length; float32 [WORDS]. Unknown words have a place too."""
    vector = np.zeros(WORDS, np.float32)
    for word in re.findall(r"\w+", instruction.lower()):
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % WORDS] += 1
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def seen(observation: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """An observation as networks take it: float [1, 3, 64, 64] in -1..1, and the bag of its instruction [1, WORDS]."""
    import torch

    picture = torch.from_numpy(resized(observation["image"][None], SIDE, SIDE)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return picture, torch.from_numpy(bag(observation["instruction"])[None])


def senses() -> tuple[Any, Any]:
    """The untrained layers behind `looked`: for words, and for the picture."""
    from torch import nn

    words = nn.Sequential(nn.Linear(WORDS, 64), nn.SiLU(), nn.Linear(64, 2 * 64))
    see = nn.Sequential(
        nn.Conv2d(5, 32, 8, 4, 2), nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.SiLU(), nn.Conv2d(64, 64, 3, 1, 1)
    )
    return words, see


def looked(senses: tuple[Any, Any], pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Feature maps [N, 64, 8, 8] of a CNN, which the instruction scales and shifts (FiLM, Perez et al. 2018)."""
    import torch

    read, see = senses
    count, line = len(pictures), torch.linspace(-1, 1, SIDE)
    x, y = line.view(1, 1, 1, -1).expand(count, 1, SIDE, SIDE), line.view(1, 1, -1, 1).expand(count, 1, SIDE, SIDE)
    maps = see(torch.cat([pictures, x, y], 1))
    scale, shift = read(words)[..., None, None].chunk(2, 1)
    return torch.nn.functional.silu(maps * (1 + scale) + shift)


def examples(trajectories: Sequence[Trajectory]) -> Examples:
    """One example of every frame but the last; the last waypoint is repeated where a chunk goes past the end.

    Raises UserError where labels are latent actions.
    """
    if any(trajectory.latent for trajectory in trajectories):
        raise UserError("latent actions name no waypoints: train latent-then-actions on them, with real ones beside")
    pictures, words, chunks = [], [], []
    for trajectory in trajectories:
        waypoints = trajectory.labels[:, WAYPOINT]
        steps = np.arange(len(waypoints))
        pictures.append(resized(trajectory.frames[:-1], SIDE, SIDE))
        words.append(np.repeat(bag(trajectory.instruction)[None], len(steps), 0))
        chunks.append(waypoints[np.clip(steps[:, None] + np.arange(CHUNK), 0, len(steps) - 1)])
    targets = np.concatenate(chunks).astype(np.float32)
    mean, std = targets.reshape(-1, 4).mean(0), targets.reshape(-1, 4).std(0) + 1e-3
    return Examples(
        pictures=np.concatenate(pictures),
        words=np.concatenate(words),
        chunks=(targets - mean) / std,
        mean=mean,
        std=std,
    )


def train(make: Callable[[], Any], loss: Loss, found: Examples, *, seed: int, steps: int) -> Any:
    """A network made and trained on random batches, each picture moved a little.

    The same examples in the same order, seed and thread count give the same weights.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    chunks, net = torch.from_numpy(found.chunks), make()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 50) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)
        index = torch.randint(len(chunks), (BATCH,), generator=rng)
        rows = index.numpy()
        batch = _shifted(torch.from_numpy(found.pictures[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1, rng)
        amount = loss(net, batch, torch.from_numpy(found.words[rows]), chunks[index], rng)
        optimizer.zero_grad()
        amount.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net


def save(net: Any, found: Examples, out: Path, **facts: Any) -> Path:
    """Write model.safetensors and config.json into `out`, and return it."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), out / "model.safetensors")
    scale = {"mean": found.mean.tolist(), "std": found.std.tolist()}
    text = json.dumps(scale | facts | {"examples": len(found.chunks)}, indent=1)
    (out / "config.json").write_text(text + "\n", "utf-8")
    return out


def restore(net: Any, checkpoint: Path) -> tuple[Any, np.ndarray, np.ndarray]:
    """The network with what `save` wrote, and mean and std of its waypoints. UserError: nothing is there."""
    import torch
    from safetensors.torch import load_file

    folder = Path(checkpoint)
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder}: no trained policy there; dreamgen-bench train makes it")
    torch.set_num_threads(1)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return net.eval(), np.array(config["mean"], np.float32), np.array(config["std"], np.float32)


def _shifted(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Every picture moved by up to SHIFT pixels, its edge repeated: what keeps such small sets from being memorized."""
    import torch

    padded = torch.nn.functional.pad(batch, (SHIFT,) * 4, mode="replicate")
    away = torch.randint(2 * SHIFT + 1, (len(batch), 2), generator=rng).tolist()
    return torch.stack([p[:, y : y + SIDE, x : x + SIDE] for p, (y, x) in zip(padded, away, strict=True)])
