"""Diffusion policy (Chi et al., RSS 2023): a chunk of waypoints is denoised, given one 64x64 picture and the words.

As there: denoising with a squared-cosine schedule of 100 steps in training and DDIM in fewer to act, the picture
encoded once per look. Other than there: the chunk is short (24 numbers), so residual layers that the condition scales
and shifts stand for the 1-D U-Net, the network says the clean chunk instead of the noise, and there is one picture and
no state, as for neural trajectories (DreamGen, sec. 2.4).
"""

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

WIDTH, BLOCKS = 256, 3
NOISE_LEVELS, DENOISING = 100, 10
"""Noise levels in training, and of these so many in acting."""
DRAWS = 8
"""Noises that each encoded picture is asked about: the encoder is what costs."""


def _scheduler() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=NOISE_LEVELS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )


def _network() -> Any:
    import torch
    from diffusers.models.embeddings import get_timestep_embedding
    from torch import nn

    class Denoiser(nn.Module):
        """A noisy chunk, how noisy it is, and what was seen and said, to the clean chunk."""

        def __init__(self) -> None:
            super().__init__()
            self.words, self.see = imitation.senses()
            self.gist = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, WIDTH), nn.SiLU())
            self.time = nn.Sequential(nn.Linear(64, WIDTH), nn.SiLU())
            self.enter = nn.Linear(CHUNK * 4 + WIDTH, WIDTH)
            self.steer = nn.ModuleList(nn.Linear(2 * WIDTH, 2 * WIDTH) for _ in range(BLOCKS))
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
                for _ in range(BLOCKS)
            )
            self.leave = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CHUNK * 4))

        def condition(self, pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            """float [N, 3, 64, 64] in -1..1 and [N, WORDS] to [N, WIDTH], once for all noise levels."""
            return self.gist(imitation.looked((self.words, self.see), pictures, words))

        def forward(self, noisy: torch.Tensor, level: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            """[N, CHUNK, 4], integer [N], [N, WIDTH] to the clean chunk, normalized [N, CHUNK, 4]."""
            given = torch.cat([condition, self.time(get_timestep_embedding(level, 64))], 1)
            hidden = self.enter(torch.cat([noisy.flatten(1), condition], 1))
            for steer, block in zip(self.steer, self.blocks, strict=True):
                scale, shift = steer(given).chunk(2, 1)
                normal = nn.functional.layer_norm(hidden, (WIDTH,))
                hidden = hidden + block(normal * (1 + scale) + shift)
            return self.leave(hidden).view(-1, CHUNK, 4)

    return Denoiser()


def fit(trajectories: Sequence[Trajectory], *, seed: int, out: Path, steps: int = STEPS) -> Path:
    """Train on trajectories, write model.safetensors and config.json into `out`, and return it.

    The same trajectories in the same order, seed and thread count give the same weights.
    """
    import torch

    scheduler = _scheduler()

    def loss(net: Any, pictures: Any, words: Any, chunks: Any, rng: Any) -> Any:
        condition = net.condition(pictures, words).repeat(DRAWS, 1)
        clean = chunks.repeat(DRAWS, 1, 1)
        level = torch.randint(NOISE_LEVELS, (len(clean),), generator=rng)
        noise = torch.randn(clean.shape, generator=rng)
        return (net(scheduler.add_noise(clean, noise, level), level, condition) - clean).square().mean()

    found = imitation.examples(trajectories)
    net = imitation.train(_network, loss, found, seed=seed, steps=steps)
    return imitation.save(net, found, out, steps=steps, seed=seed)


class DiffusionPolicy:
    """A trained policy. Its noise comes from a generator of its own, which a reset winds back."""

    def __init__(self, net: Any, mean: np.ndarray, std: np.ndarray):
        import torch

        self._net, self._mean, self._std = net, mean, std
        self._scheduler, self._rng, self._seed = _scheduler(), torch.Generator(), 0
        self._scheduler.set_timesteps(DENOISING)
        self.reset()

    def seed(self, number: int) -> None:
        """The same number gives the same episode."""
        self._seed = number
        self.reset()

    def reset(self) -> None:
        """Draw the same noises again."""
        self._rng.manual_seed(self._seed)

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """float32 [EXECUTED, 4]: hand x, y, z in metres and grip effort."""
        import torch

        chunk = torch.randn((1, CHUNK, 4), generator=self._rng)
        with torch.inference_mode():
            condition = self._net.condition(*imitation.seen(observation))
            for level in self._scheduler.timesteps:
                clean = self._net(chunk, level[None], condition)
                chunk = self._scheduler.step(clean, level, chunk).prev_sample
        return (chunk[0].numpy() * self._std + self._mean)[:EXECUTED].astype(np.float32)


def load(checkpoint: Path) -> DiffusionPolicy:
    """From the folder that `fit` wrote."""
    return DiffusionPolicy(*imitation.restore(_network(), checkpoint))
