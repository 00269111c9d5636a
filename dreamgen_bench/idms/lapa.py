"""Latent actions: what changed between two frames, learned from videos without any action.

An encoder sees a frame and a later one, its answer is squeezed through a small codebook, and a decoder has to make the
later frame of the earlier one and the code. What the encoder says *before* it is quantized is the label. It fills the
IDM's slot, with columns of its own; nothing can be replayed from it.

Source: Ye et al., LAPA (ICLR 2025), as DreamGen uses it (sec. 2.4); quantization by noise substitution (NSVQ, Vali and
Baeckstroem 2022). The difference of the two orders of the frames is encoded, so that frames that are equal give zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Video
from ..video import resized
from .checkpoint import restore
from .flow_dit_network import pictures
from .timing import control_frames, on_video_steps

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that the weights need in order to be read, and the video in order to be looked at."""

    size: int  # sides of the square picture, in pixels; a multiple of 8
    rate: float  # control steps a second
    horizon: int  # control steps from the frame to the later one
    width: int  # of the convolutions
    codes: int  # in the codebook
    side: int  # tokens an edge: side * side of them
    dim: int  # numbers a token

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a label's numbers, token by token."""
        return tuple(f"latent{token}.{place}" for token in range(self.side**2) for place in range(self.dim))


SMALL = Config(size=32, rate=10, horizon=4, width=32, codes=8, side=2, dim=32)
"""The sim track's. The paper: frames 1 s apart, 8 codes, 16 tokens; LAPA's code: 8 codes, 4 tokens of 32 numbers."""


def network(config: Config) -> Any:
    """The untrained network.

    `encode`: two batches of pictures [N, 3, S, S] in -1..1 to embeddings [N, tokens, dim]; `quantize`: those to the
    nearest codes [N, tokens] and their vectors; `substitute`: those to themselves with the error's length of noise,
    through which the codebook learns; `decode`: the earlier pictures and vectors to the later pictures.
    """
    import torch
    from torch import nn

    width = config.width

    def block(inner: int, outer: int, stride: int) -> Any:
        return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1), nn.GroupNorm(8, outer), nn.SiLU())

    def wider(inner: int, outer: int) -> Any:
        return nn.Sequential(nn.Upsample(scale_factor=2), block(inner, outer, 1))

    class LatentActions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.see = nn.Sequential(block(3, width, 2), block(width, 2 * width, 2), block(2 * width, 2 * width, 2))
            self.compare = nn.Sequential(
                block(4 * width, 3 * width, 1), nn.AdaptiveAvgPool2d(config.side), nn.Conv2d(3 * width, config.dim, 1)
            )
            self.codebook = nn.Parameter(torch.randn(config.codes, config.dim) * 0.1)
            self.spread = nn.Linear(config.side**2 * config.dim, 2 * width * (config.size // 8) ** 2)
            self.fine = block(3, width, 2)
            self.up = nn.ModuleList(
                [wider(4 * width, 2 * width), wider(2 * width, width), wider(2 * width, width // 2)]
            )
            self.draw = nn.Conv2d(width // 2, 3, 3, 1, 1)

        def encode(self, earlier: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
            first, last = self.see(torch.cat([earlier, later])).chunk(2)
            pair = self.compare(torch.cat([torch.cat([last, first], 1), torch.cat([first, last], 1)]))
            forwards, backwards = pair.flatten(2).transpose(1, 2).chunk(2)
            return forwards - backwards

        def quantize(self, embedded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            codes = torch.cdist(embedded, self.codebook.expand(len(embedded), -1, -1)).argmin(-1)
            return codes, self.codebook[codes]

        def substitute(self, embedded: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
            noise = torch.randn_like(embedded)
            error = (embedded - vectors).norm(dim=-1, keepdim=True)
            return embedded + error * noise / noise.norm(dim=-1, keepdim=True).clamp_min(1e-6)

        def decode(self, earlier: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
            edge = config.size // 8
            told = self.spread(vectors.flatten(1)).unflatten(1, (2 * width, edge, edge))
            hidden = self.up[0](torch.cat([self.see(earlier), told], 1))
            hidden = torch.cat([self.up[1](hidden), self.fine(earlier)], 1)
            return earlier + self.draw(self.up[2](hidden))

    return LatentActions()


class LatentActionModel:
    """Labels videos with latent actions; `columns` names their numbers."""

    def __init__(self, net: Any, config: Config):
        self._net, self._config = net.eval(), config
        self.columns = config.columns
        self.codes, self.horizon = config.codes, config.horizon

    def label(self, videos: Sequence[Video]) -> Iterator[np.ndarray]:
        """For each video, float32 [T - 1, len(columns)]: the embedding before it is quantized.

        A step is compared with the frame `horizon` control steps after its first, or the last one near the end.
        Raises UserError for a video whose rate does not show the robot's control steps.
        """
        import torch

        for video in videos:
            count, rate = len(video.frames), self._config.rate
            with torch.inference_mode():
                embedded = self._embedded(video).flatten(1).numpy()
            yield on_video_steps(embedded, count, video.fps, rate)

    def used(self, video: Video) -> np.ndarray:
        """The code of each token at each control step; int [N, tokens]."""
        import torch

        with torch.inference_mode():
            return self._net.quantize(self._embedded(video))[0].numpy()

    def foreseen(self, video: Video) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Earlier pictures, later ones, and those made of the earlier and the codes; float [N, 3, S, S] in -1..1."""
        import torch

        with torch.inference_mode():
            earlier, later = self._pairs(video)
            made = self._net.decode(earlier, self._net.quantize(self._net.encode(earlier, later))[1])
            return earlier.numpy(), later.numpy(), made.numpy()

    def _embedded(self, video: Video) -> torch.Tensor:
        return self._net.encode(*self._pairs(video))

    def _pairs(self, video: Video) -> tuple[torch.Tensor, torch.Tensor]:
        frames = video.frames[control_frames(len(video.frames), video.fps, self._config.rate)]
        earlier = np.arange(len(frames) - 1)
        shown = pictures(resized(frames, self._config.size, self._config.size))
        return shown[earlier], shown[np.minimum(earlier + self._config.horizon, len(frames) - 1)]


def load(checkpoint: str) -> LatentActionModel:
    """From a folder that `checkpoint.save` wrote; a relative path is one inside the package. UserError otherwise."""
    net, config, _ = restore(checkpoint, "lapa-s", Config, network)
    return LatentActionModel(net, config)
