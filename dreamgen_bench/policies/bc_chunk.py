"""Behavior cloning with action chunks (Zhao et al., RSS 2023), conditioned on language, from one 64x64 picture.

No proprioception: neural trajectories have none, and the paper sets the state to zero for them (sec. 2.4). The recipe
is part of the measuring instrument: two success rates compare only if the same recipe consumed both sets of videos.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import WAYPOINT, Trajectory, UserError

if TYPE_CHECKING:
    import torch

CHUNK = 6
"""Waypoints predicted at once,"""
EXECUTED = 3
"""of which so many are followed before the next look."""
WORDS = 512
"""Size of the hashed bag of words."""
STEPS, BATCH, RATE, SHIFT = 900, 48, 1e-3, 4


def bag(instruction: str) -> np.ndarray:
    """Hashed bag of words of an instruction, of unit length; float32 [WORDS]. Unknown words have a place too."""
    vector = np.zeros(WORDS, np.float32)
    for word in re.findall(r"\w+", instruction.lower()):
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % WORDS] += 1
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _network() -> Any:
    import torch
    from torch import nn

    class ChunkPolicy(nn.Module):
        """A CNN whose feature maps the instruction scales and shifts (FiLM, Perez et al. 2018)."""

        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Sequential(nn.Linear(WORDS, 64), nn.SiLU(), nn.Linear(64, 2 * 64))
            self.see = nn.Sequential(
                nn.Conv2d(5, 32, 8, 4, 2), nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.SiLU(), nn.Conv2d(64, 64, 3, 1, 1)
            )
            self.act = nn.Sequential(nn.Flatten(), nn.Linear(64 * 64, 256), nn.SiLU(), nn.Linear(256, CHUNK * 4))

        def forward(self, pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            """float [N, 3, 64, 64] in -1..1 and [N, WORDS] to normalized waypoints [N, CHUNK, 4]."""
            count = len(pictures)
            line = torch.linspace(-1, 1, 64)
            x, y = line.view(1, 1, 1, 64).expand(count, 1, 64, 64), line.view(1, 1, 64, 1).expand(count, 1, 64, 64)
            seen = self.see(torch.cat([pictures, x, y], 1))
            scale, shift = self.words(words)[..., None, None].chunk(2, 1)
            return self.act(nn.functional.silu(seen * (1 + scale) + shift)).view(count, CHUNK, 4)

    return ChunkPolicy()


def fit(trajectories: Sequence[Trajectory], *, seed: int, out: Path, steps: int = STEPS) -> Path:
    """Train on trajectories, write model.safetensors and config.json into `out`, and return it.

    The same trajectories in the same order, seed and thread count give the same weights.
    """
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    pictures, words, targets = _examples(trajectories)
    mean, std = targets.reshape(-1, 4).mean(0), targets.reshape(-1, 4).std(0) + 1e-3
    goal = torch.from_numpy((targets - mean) / std)
    net = _network()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 50) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)
        index = torch.randint(len(goal), (BATCH,), generator=rng)
        batch = _shifted(torch.from_numpy(pictures[index.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1, rng)
        loss = (net(batch, torch.from_numpy(words[index.numpy()])) - goal[index]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    out.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), out / "model.safetensors")
    facts = {"mean": mean.tolist(), "std": std.tolist(), "steps": steps, "seed": seed, "examples": len(goal)}
    (out / "config.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    return out


def _examples(trajectories: Sequence[Trajectory]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures uint8 [N, 64, 64, 3], words [N, WORDS], and the next CHUNK waypoints [N, CHUNK, 4] of every frame."""
    pictures, words, targets = [], [], []
    for trajectory in trajectories:
        waypoints = trajectory.labels[:, WAYPOINT]
        steps = np.arange(len(waypoints))
        pictures.append(_resized(trajectory.frames[:-1]))
        words.append(np.repeat(bag(trajectory.instruction)[None], len(steps), 0))
        targets.append(waypoints[np.clip(steps[:, None] + np.arange(CHUNK), 0, len(steps) - 1)])
    return np.concatenate(pictures), np.concatenate(words), np.concatenate(targets).astype(np.float32)


def _resized(frames: np.ndarray) -> np.ndarray:
    from PIL import Image

    if frames.shape[1:3] == (64, 64):
        return frames
    return np.stack([np.asarray(Image.fromarray(frame).resize((64, 64), Image.Resampling.BOX)) for frame in frames])


def _shifted(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Every picture moved by up to SHIFT pixels, its edge repeated: what keeps such small sets from being memorized."""
    import torch

    padded = torch.nn.functional.pad(batch, (SHIFT,) * 4, mode="replicate")
    away = torch.randint(2 * SHIFT + 1, (len(batch), 2), generator=rng).tolist()
    return torch.stack([p[:, y : y + 64, x : x + 64] for p, (y, x) in zip(padded, away, strict=True)])


class ChunkedCloning:
    """A trained policy."""

    def __init__(self, net: Any, mean: np.ndarray, std: np.ndarray):
        self._net, self._mean, self._std = net.eval(), mean, std

    def reset(self) -> None:
        """Nothing to forget: it acts on what it sees."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """float32 [EXECUTED, 4]: hand x, y, z in metres and grip effort."""
        import torch

        picture = torch.from_numpy(_resized(observation["image"][None])).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            out = self._net(picture, torch.from_numpy(bag(observation["instruction"])[None]))[0].numpy()
        return (out * self._std + self._mean)[:EXECUTED].astype(np.float32)


def load(checkpoint: Path) -> ChunkedCloning:
    """From the folder that `fit` wrote."""
    import torch
    from safetensors.torch import load_file

    folder = Path(checkpoint)
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder}: no trained policy there; dreamgen-bench train makes it")
    torch.set_num_threads(1)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    net = _network()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return ChunkedCloning(net, np.array(config["mean"], np.float32), np.array(config["std"], np.float32))
