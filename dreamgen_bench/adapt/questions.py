"""What a transformer is asked in training, whatever its pipeline: the contract that every family's module fills.

Flow matching: x = (1 - sigma) latents + sigma noise, and the answer is the velocity, noise - latents. Older ones mix by
a table of their scheduler's, and answer what it says. What is the pipeline's own, how the first frame and the words
enter, is taken from the pipeline's own methods wherever it has them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..world_models.card import Card

Cached = Mapping[str, Tensor]
"""Of a window, or of several in a batch: `latents`, and what goes with them."""
Tensors = dict[str, Tensor]


class Asked(NamedTuple):
    """One question to the transformer."""

    inputs: dict[str, Any]  # of its forward
    target: Tensor  # the right answer, float32
    counts: Tensor  # broadcasts over the target: 0 where the answer is given and nothing is learnt


@dataclass(frozen=True, kw_only=True)
class Window:
    """What is encoded: frames of a video at the model's own size and length, and the words that go with them."""

    frames: Sequence[Image.Image]
    prompt: str


@dataclass(frozen=True)
class Objective:
    """How one pipeline class is trained."""

    encode: Callable[[Any, Card, Window, torch.device], Tensors]  # what a window has for itself
    embed: Callable[[Any, Card, str, torch.device], Tensors]  # what all windows of a video share: its words
    ask: Callable[[Any, Cached, Tensor, Tensor], Asked]  # pipeline, batch, noise, sigma [B]
    lora: tuple[str, ...]  # the matrices that get low-rank changes
    refused: Callable[[Any], str] = lambda pipeline: ""  # why this checkpoint of the class can't be trained


ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""Every attention's four matrices, by diffusers' names."""
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2")
"""Both of every feed-forward."""


def shift(scheduler: Any, positions: int) -> float:
    """How far a pipeline's noise levels lean to the noisy side, for so many latent positions."""
    config = scheduler.config
    if config.get("use_dynamic_shifting"):
        short, long = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        return math.exp(low + (high - low) * (positions - short) / (long - short))
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def noise_level(uniform: Tensor, shifted: float) -> Tensor:
    """Sigma in (0, 1]: the levels where the sampler walks, shifted as it shifts them; the paper gives none."""
    even = uniform.clamp(1e-3, 1.0)
    return shifted * even / (1 + (shifted - 1) * even)


def pixels_of(pipeline: Any, card: Card, frames: Sequence[Image.Image], device: torch.device) -> Tensor:
    """Frames as the pipeline prepares its image: float32 [T, 3, H, W] in -1..1."""
    prepared: Tensor = pipeline.video_processor.preprocess(list(frames), height=card.height, width=card.width)
    return prepared.to(device, torch.float32)


def encoded(pipeline: Any, pixels: Tensor) -> Tensor:
    """The autoencoder's most likely latents of a clip [T, 3, H, W]: float32 [1, C, t, h, w], not normalized."""
    latents: Tensor = pipeline.vae.encode(pixels.transpose(0, 1)[None].to(pipeline.vae.dtype)).latent_dist.mode()
    return latents.float()


def cached(tensors: Tensors) -> Tensors:
    """The first of a batch of one, as it is kept."""
    return {name: value[0].cpu().contiguous() for name, value in tensors.items()}


def argument(pipeline: Any, card: Card, name: str) -> Any:
    """What a dream gives the pipeline by that name: what the card says, or else the pipeline's own default."""
    return card.call.get(name, inspect.signature(pipeline.__call__).parameters[name].default)


def embed(pipeline: Any, card: Card, prompt: str, device: torch.device) -> Tensors:
    """Words alone, by a pipeline whose `encode_prompt` gives embeddings, and those of what is not wanted."""
    length = argument(pipeline, card, "max_sequence_length")
    embeds, *_ = pipeline.encode_prompt(prompt, None, False, max_sequence_length=length, device=device)
    return cached({"prompt": embeds})


def spread(sigma: Tensor, like: Tensor) -> Tensor:
    """Levels [B] so that they multiply [B, ...]."""
    return sigma.view(-1, *[1] * (like.ndim - 1))


def mixed(latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Latents [B, ...] with as much noise as the levels [B] say, by flow matching."""
    return torch.lerp(latents, noise, spread(sigma, latents))


def all_but_the_first(latents: Tensor) -> Tensor:
    """1 where latents [B, C, T, H, W] are to be learnt, 0 in the first frame, which is given; [B, 1, T, H, W]."""
    counts = torch.ones_like(latents[:, :1])
    counts[:, :, 0] = 0
    return counts
