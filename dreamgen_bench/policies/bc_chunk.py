"""Behavior cloning with action chunks (Zhao et al., RSS 2023), conditioned on language, from one 64x64 picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Trajectory
from . import imitation
from .imitation import CHUNK, EXECUTED, FEATURES, STEPS

if TYPE_CHECKING:
    import torch

LONGER = 4
"""24 behaviors are four times the six that STEPS suffices for; baselines/bc-chunk/NOTES.md has both measured."""


def network() -> Any:
    """The untrained network: pictures and words to the next CHUNK normalized waypoints."""
    from torch import nn

    class ChunkPolicy(nn.Module):
        """Senses, and two layers that say the next waypoints."""

        def __init__(self) -> None:
            super().__init__()
            self.words, self.see = imitation.senses()
            self.act = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 256), nn.SiLU(), nn.Linear(256, CHUNK * 4))

        def forward(self, pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            """float [N, 3, 64, 64] in -1..1 and [N, WORDS] to normalized waypoints [N, CHUNK, 4]."""
            return self.act(imitation.looked((self.words, self.see), pictures, words)).view(-1, CHUNK, 4)

    return ChunkPolicy()


def loss(net: Any, pictures: torch.Tensor, words: torch.Tensor, chunks: torch.Tensor, rng: Any) -> torch.Tensor:
    """Mean distance of the waypoints said from those shown."""
    return (net(pictures, words) - chunks).abs().mean()


def fit(trajectories: Sequence[Trajectory], *, seed: int, out: Path, steps: int = STEPS) -> Path:
    """Train on trajectories, write model.safetensors and config.json into `out`, and return it.

    The same trajectories in the same order, seed and thread count give the same weights.
    """
    found = imitation.examples(trajectories)
    net = imitation.train(network, loss, found, seed=seed, steps=steps)
    return imitation.save(net, found, out, steps=steps, seed=seed)


def fit_long(trajectories: Sequence[Trajectory], *, seed: int, out: Path, steps: int = LONGER * STEPS) -> Path:
    """The same with LONGER times the steps: for many behaviors at once, which STEPS leaves half learned."""
    return fit(trajectories, seed=seed, out=out, steps=steps)


class ChunkedCloning:
    """A trained policy."""

    def __init__(self, net: Any, mean: np.ndarray, std: np.ndarray):
        self._net, self._mean, self._std = net, mean, std

    def reset(self) -> None:
        """Nothing to forget: it acts on what it sees."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """float32 [EXECUTED, 4]: hand x, y, z in metres and grip effort."""
        import torch

        with torch.inference_mode():
            out = self._net(*imitation.seen(observation))[0].numpy()
        return (out * self._std + self._mean)[:EXECUTED].astype(np.float32)


def load(checkpoint: Path) -> ChunkedCloning:
    """From the folder that `fit` wrote."""
    return ChunkedCloning(*imitation.restore(network(), checkpoint))
