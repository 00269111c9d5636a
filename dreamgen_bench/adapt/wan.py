"""Wan, and SkyReels V2, whose image-to-video pipeline is Wan's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..types import UserError
from ..world_models.card import Card
from .questions import (
    ATTENTION,
    Asked,
    Cached,
    Objective,
    Tensors,
    Window,
    all_but_the_first,
    cached,
    embed,
    encoded,
    mixed,
    pixels_of,
)


def refused(pipeline: Any) -> str:
    """Two experts are two models."""
    if getattr(pipeline, "transformer_2", None) is not None or getattr(pipeline, "transformer", None) is None:
        return "it has two experts, and each would need a training and a LoRA of its own, which a card can't name yet"
    return ""


def expands(pipeline: Any) -> bool:
    """Whether the first latent frame is kept clean at time 0 (Wan 2.2 5B), instead of given beside the noise."""
    return bool(pipeline.config.get("expand_timesteps"))


def normalized(vae: Any, latents: Tensor) -> Tensor:
    """As Wan's autoencoder wants them, which Cosmos uses too."""
    mean, std = (
        torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return (latents - mean) / std


def encode(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """Latents, the first frame's beside them, and for some checkpoints what CLIP sees of it."""
    vae, pixels = pipeline.vae, pixels_of(pipeline, card, window.frames, device)
    latents = normalized(vae, encoded(pipeline, pixels))
    _, condition, *_ = pipeline.prepare_latents(
        pixels[:1], 1, vae.config.z_dim, card.height, card.width, card.num_frames, torch.float32, device,
        latents=torch.zeros_like(latents),
    )  # fmt: skip
    if not expands(pipeline) and condition.shape[2:] != latents.shape[2:]:
        sizes = f"latents of {list(latents.shape[2:])} with a first frame of {list(condition.shape[2:])}"
        raise UserError(f"{sizes}: num_frames of the card must be 4k+1, and its sides divisible by 16")
    made = {"latents": latents, "condition": condition.float()}
    if pipeline.transformer.config.image_dim is not None:
        made["image"] = pipeline.encode_image(window.frames[0], device)
    return cached(made)


def ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """The first frame is beside the noise, or in its place."""
    transformer, latents = pipeline.transformer, batch["latents"]
    noisy = mixed(latents, noise, sigma)
    time = sigma * pipeline.scheduler.config.num_train_timesteps
    counts = torch.ones_like(latents[:, :1])
    if expands(pipeline):
        counts = all_but_the_first(latents)
        shown = (1 - counts) * batch["condition"] + counts * noisy
        _, rows, columns = transformer.config.patch_size
        time = (counts[:, 0, :, ::rows, ::columns] * time.view(-1, 1, 1, 1)).flatten(1)
    else:
        shown = torch.cat([noisy, batch["condition"]], 1)
    inputs = {"hidden_states": shown, "encoder_hidden_states": batch["prompt"]}
    if "image" in batch:
        inputs["encoder_hidden_states_image"] = batch["image"]
    inputs = {name: value.to(transformer.dtype) for name, value in inputs.items()}
    return Asked(inputs | {"timestep": time}, noise - latents, counts)


# The matrices are those of DiffSynth-Studio's Wan trainer.
OBJECTIVE = Objective(encode, embed, ask, lora=(*ATTENTION, "ffn.net.0.proj", "ffn.net.2"), refused=refused)
