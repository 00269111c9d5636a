"""The network of `flow_dit`: two frames become tokens, a diffusion transformer makes noise into the labels between.

Source: Jang et al., DreamGen (CoRL 2025), sec. 2.3, and the head of its released code. Ours differs in that every
block attends to itself and then to the frames, where theirs takes turns, and in having one robot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import LABELS, UserError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that the weights need in order to be read, and the video in order to be looked at."""

    backbone: str  # one of BACKBONES
    size: int  # sides of the square picture that the backbone sees, in pixels
    rate: float  # control steps a second
    horizon: int  # control steps between the two frames: as many labels come out
    width: int  # of the transformer
    heads: int
    layers: int
    mixing: int  # self-attention layers over the frames' tokens, before the transformer
    tokens: int  # a frame
    dropout: float
    euler: int  # steps from noise to labels
    vision: Mapping[str, Any] = field(default_factory=dict)  # the backbone's own sizes


PAPER = Config(
    backbone="siglip2",
    size=256,
    rate=16,
    horizon=16,
    width=1024,
    heads=16,
    layers=8,
    mixing=4,
    tokens=16,
    dropout=0.2,
    euler=16,
    vision={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
    },
)
"""DreamGen sec. 2.3 and its released base.yaml: SigLIP-2 large of 256 pixels in patches of 16, pooled to 16 tokens a
frame, 4 layers of 16 heads of 64 over them, 8 blocks of the same width, 16 labels at 16 a second, 16 Euler steps."""
SMALL = Config(
    backbone="cnn",
    size=64,
    rate=10,
    horizon=4,
    width=96,
    heads=4,
    layers=2,
    mixing=0,
    tokens=4,
    dropout=0.0,
    euler=16,
    vision={"width": 32, "rank": 112},
)
"""The sim track's: frames 0.4 s apart, of a robot that is controlled 10 times a second."""


def _convolutions(config: Config) -> Any:
    """`waypoint_cnn`'s network for a single frame, its widest layer as two of low rank; [N, 3, S, S] to tokens."""
    import torch
    from torch import nn

    width, rank = config.vision["width"], config.vision["rank"]

    def block(inner: int, outer: int, kernel: int, stride: int) -> Any:
        return nn.Sequential(nn.Conv2d(inner, outer, kernel, stride, kernel // 2), nn.GroupNorm(8, outer), nn.SiLU())

    class Convolutions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.see = nn.Sequential(
                block(5, width, 5, 2),
                nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.GroupNorm(8, 2 * width), nn.SiLU()),
                nn.Sequential(nn.Conv2d(2 * width, 3 * width, 3, 2, 1), nn.GroupNorm(8, 3 * width), nn.SiLU()),
                nn.Sequential(nn.Conv2d(3 * width, 3 * width, 3, 1, 1), nn.GroupNorm(8, 3 * width), nn.SiLU()),
                nn.Conv2d(3 * width, 48, 1),
                nn.Flatten(),
                nn.Linear(48 * (config.size // 8) ** 2, rank, bias=False),
                nn.Linear(rank, 64 * config.tokens),
                nn.SiLU(),
            )
            self.project = nn.Linear(64, config.width)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            line = torch.linspace(-1, 1, config.size, device=pictures.device)
            x = line.view(1, 1, 1, -1).expand(len(pictures), 1, config.size, -1)
            seen = self.see(torch.cat([pictures, x.transpose(2, 3), x], 1))
            return self.project(seen.unflatten(1, (config.tokens, 64)))

    return Convolutions()


def _siglip(config: Config) -> Any:
    """SigLIP-2's vision tower, its patches pooled; float [N, 3, S, S] in -1..1 to [N, tokens, width]."""
    from torch import nn
    from transformers import SiglipVisionConfig, SiglipVisionModel

    side = round(config.tokens**0.5)

    class Siglip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            vision = {**config.vision, "image_size": config.size, "vision_use_head": False}
            self.see = SiglipVisionModel(SiglipVisionConfig(**vision))
            self.project = nn.Linear(config.vision["hidden_size"], config.width)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            patches = self.see(pixel_values=pictures).last_hidden_state.transpose(1, 2)
            edge = round(patches.shape[-1] ** 0.5)
            pooled = nn.functional.adaptive_avg_pool2d(patches.unflatten(2, (edge, edge)), side)
            return self.project(pooled.flatten(2).transpose(1, 2))

    return Siglip()


BACKBONES = {"cnn": _convolutions, "siglip2": _siglip}


def network(config: Config) -> Any:
    """The untrained network. Raises UserError for an unknown backbone.

    `see`: pictures float [N, 3, S, S] in -1..1 to tokens [N, tokens, width]. `forward`: noisy normalized labels
    [N, horizon, LABELS], their noise level [N], or [1] for all, in 0..1 and the tokens of both frames
    [N, 2, tokens, width] to the direction from labels to noise, [N, horizon, LABELS].
    """
    import torch
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.normalization import AdaLayerNormSingle
    from torch import nn

    if config.backbone not in BACKBONES:
        raise UserError(f"no backbone named {config.backbone!r}; known: {', '.join(sorted(BACKBONES))}")
    width, size = config.width, config.width // config.heads

    class FlowDiT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.see = BACKBONES[config.backbone](config)
            self.which = nn.Parameter(torch.randn(2, 1, width) * 0.02)
            self.mix = nn.Sequential(
                *(
                    nn.TransformerEncoderLayer(
                        width, config.heads, 4 * width, config.dropout, batch_first=True, norm_first=True
                    )
                    for _ in range(config.mixing)
                )
            )
            self.read = nn.Linear(len(LABELS), width)
            self.place = nn.Parameter(torch.randn(config.horizon, width) * 0.02)
            self.level = AdaLayerNormSingle(width)
            self.blocks = nn.ModuleList(
                BasicTransformerBlock(
                    width,
                    config.heads,
                    size,
                    dropout=config.dropout,
                    cross_attention_dim=width,
                    norm_type="ada_norm_single",
                    norm_elementwise_affine=False,
                    activation_fn="gelu-approximate",
                )
                for _ in range(config.layers)
            )
            self.write = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(LABELS)))

        def context(self, tokens: torch.Tensor) -> torch.Tensor:
            """Both frames' tokens [N, 2, tokens, width] to one sequence [N, 2 * tokens, width]."""
            return self.mix((tokens + self.which).flatten(1, 2))

        def forward(self, noisy: torch.Tensor, level: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
            """As told by `network`; `context` is what `context` made of the tokens."""
            hidden = self.read(noisy) + self.place
            ada, _ = self.level(level * 1000, batch_size=len(level), hidden_dtype=hidden.dtype)
            ada = ada.expand(len(noisy), -1)
            for block in self.blocks:
                hidden = block(hidden, encoder_hidden_states=context, timestep=ada)
            return self.write(hidden)

    return FlowDiT()


def pictures(frames: np.ndarray) -> torch.Tensor:
    """uint8 [N, S, S, 3] -> float [N, 3, S, S] in -1..1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def sample(net: Any, context: torch.Tensor, config: Config) -> torch.Tensor:
    """Normalized labels [N, horizon, LABELS] between N pairs of frames, by Euler steps from one fixed noise.

    The noise is the same for every pair: a video's labels depend on its frames alone, and two windows that see the
    same frames say the same.
    """
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler: Any = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / config.euler, config.euler).tolist())
    noise = torch.randn(1, config.horizon, len(LABELS), generator=torch.Generator().manual_seed(0))
    labels = noise.to(context.device).expand(len(context), -1, -1)
    for time in scheduler.timesteps:
        level = (time / 1000).to(context.device)[None]
        labels = scheduler.step(net(labels, level, context), time, labels).prev_sample
    return labels
