"""CogVideoX and CogVideoX 1.5: diffusion by a table of noise levels, frames before channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..world_models.card import Card
from .questions import ATTENTION, Asked, Cached, Objective, Tensors, Window, cached, embed, encoded, pixels_of


def encode(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """Latents [T, C, H, W], and the first frame's beside them.

    1.5 takes frames by twos: where one is missing the first is there twice, and the pipeline drops it again.
    """
    transformer = pipeline.transformer
    pixels = pixels_of(pipeline, card, window.frames, device)
    latents = encoded(pipeline, pixels).transpose(1, 2) * pipeline.vae_scaling_factor_image
    missing = -latents.shape[1] % (transformer.config.patch_size_t or 1)
    latents = torch.cat([latents[:, :1]] * missing + [latents], 1)
    frames = card.num_frames + missing * pipeline.vae_scale_factor_temporal
    _, condition = pipeline.prepare_latents(
        pixels[:1].to(pipeline.vae.dtype), 1, transformer.config.in_channels // 2, frames, card.height, card.width,
        torch.float32, device, latents=torch.zeros_like(latents),
    )  # fmt: skip
    return cached({"latents": latents, "condition": condition})


def step_of(scheduler: Any, sigma: Tensor) -> Tensor:
    """The place in the scheduler's table [B] of levels in (0, 1]: their share of all its steps."""
    steps = scheduler.config.num_train_timesteps
    return ((sigma * steps).ceil().long() - 1).clamp(0, steps - 1)


def answer(scheduler: Any, latents: Tensor, noise: Tensor, step: Tensor) -> Tensor:
    """What the scheduler takes a transformer's answer for."""
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        velocity: Tensor = scheduler.get_velocity(latents, noise, step)
        return velocity
    return noise if kind == "epsilon" else latents


def ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """The first frame is beside the noise; positions are turned as the pipeline turns them."""
    transformer, scheduler, latents = pipeline.transformer, pipeline.scheduler, batch["latents"]
    step = step_of(scheduler, sigma)
    mixed = scheduler.add_noise(latents, noise, step)
    inputs: dict[str, Any] = {
        "hidden_states": torch.cat([mixed, batch["condition"]], 2).to(transformer.dtype),
        "encoder_hidden_states": batch["prompt"].to(transformer.dtype),
        "timestep": step,
    }
    if transformer.config.use_rotary_positional_embeddings:
        height, width = (side * pipeline.vae_scale_factor_spatial for side in latents.shape[-2:])
        turned = pipeline._prepare_rotary_positional_embeddings(height, width, latents.shape[1], latents.device)
        inputs["image_rotary_emb"] = turned
    if transformer.config.ofs_embed_dim is not None:
        inputs["ofs"] = inputs["hidden_states"].new_full((1,), 2.0)
    return Asked(inputs, answer(scheduler, latents, noise, step), torch.ones_like(latents[:, :, :1]))


OBJECTIVE = Objective(encode, embed, ask, lora=ATTENTION)
"""The matrices are those of diffusers' own CogVideoX trainer."""
