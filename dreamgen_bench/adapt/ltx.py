"""LTX-Video: latents in one row of tokens, the first frame's at time 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..world_models.card import Card
from .questions import (
    ATTENTION,
    FEED_FORWARD,
    Asked,
    Cached,
    Objective,
    Tensors,
    Window,
    all_but_the_first,
    argument,
    cached,
    encoded,
    mixed,
    pixels_of,
)


def encode(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """Latents, those of the first frame alone, and the rate, by which positions in time are told."""
    vae, pixels = pipeline.vae, pixels_of(pipeline, card, window.frames, device)
    latents, condition = (
        pipeline._normalize_latents(encoded(pipeline, part), vae.latents_mean, vae.latents_std)
        for part in (pixels, pixels[:1])
    )
    return cached({"latents": latents, "condition": condition, "fps": torch.tensor([card.fps])})


def embed(pipeline: Any, card: Card, prompt: str, device: torch.device) -> Tensors:
    """Words, and which of them are only there to fill."""
    length = argument(pipeline, card, "max_sequence_length")
    embeds, mask, *_ = pipeline.encode_prompt(prompt, None, False, max_sequence_length=length, device=device)
    return cached({"prompt": embeds, "mask": mask})


def ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """The first frame is in the noise's place."""
    transformer, latents = pipeline.transformer, batch["latents"]
    counts = all_but_the_first(latents)
    noisy = mixed(latents, noise, sigma)
    shown = (1 - counts) * batch["condition"] + counts * noisy

    def tokens(maps: Tensor) -> Tensor:
        packed: Tensor = pipeline._pack_latents(
            maps, pipeline.transformer_spatial_patch_size, pipeline.transformer_temporal_patch_size
        )
        return packed

    frames, height, width = latents.shape[2:]
    time = sigma * pipeline.scheduler.config.num_train_timesteps
    side = pipeline.vae_spatial_compression_ratio
    inputs = {
        "hidden_states": tokens(shown).to(transformer.dtype),
        "encoder_hidden_states": batch["prompt"].to(transformer.dtype),
        "encoder_attention_mask": batch["mask"],
        "timestep": time[:, None] * tokens(counts)[..., 0],
        "num_frames": frames,
        "height": height,
        "width": width,
        "rope_interpolation_scale": (pipeline.vae_temporal_compression_ratio / float(batch["fps"][0]), side, side),
    }
    return Asked(inputs, tokens(noise - latents), tokens(counts)[..., :1])


OBJECTIVE = Objective(encode, embed, ask, lora=(*ATTENTION, *FEED_FORWARD))
