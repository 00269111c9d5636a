"""HunyuanVideo 1.5 from an image: two readers of the words, one of the first frame, its latents beside the noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

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
    encoded,
    mixed,
    pixels_of,
)


def refused(pipeline: Any) -> str:
    """Few steps are learnt from a teacher."""
    if pipeline.transformer.config.use_meanflow:
        return (
            "it was distilled to few steps (mean flow), which flow matching would undo: adapt the model it comes from"
        )
    return ""


def encode(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """Latents, the first frame's, and what SigLIP sees of it."""
    pixels, dtype = pixels_of(pipeline, card, window.frames, device), pipeline.transformer.dtype
    latents = encoded(pipeline, pixels) * pipeline.vae.config.scaling_factor
    condition = pipeline._get_image_latents(
        vae=pipeline.vae, image_processor=pipeline.video_processor, image=window.frames[0],
        height=card.height, width=card.width, device=device,
    )  # fmt: skip
    image = pipeline.encode_image(image=window.frames[0], batch_size=1, device=device, dtype=dtype)
    return cached({"latents": latents, "condition": condition.float(), "image": image})


def embed(pipeline: Any, card: Card, prompt: str, device: torch.device) -> Tensors:
    """Words, and letters of what stands in quotation marks, each with which of them are only there to fill."""
    read = pipeline.encode_prompt(prompt, device=device, dtype=pipeline.transformer.dtype, batch_size=1)
    return cached(dict(zip(("prompt", "mask", "prompt_2", "mask_2"), read, strict=True)))


def ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """The first frame is beside the noise, with a map of where it is."""
    transformer, latents = pipeline.transformer, batch["latents"]
    noisy, first = mixed(latents, noise, sigma), 1 - all_but_the_first(latents)
    inputs = {
        "hidden_states": torch.cat([noisy, batch["condition"] * first, first], 1),
        "image_embeds": batch["image"],
        "encoder_hidden_states": batch["prompt"],
        "encoder_attention_mask": batch["mask"],
        "encoder_hidden_states_2": batch["prompt_2"],
        "encoder_attention_mask_2": batch["mask_2"],
        "timestep": sigma * pipeline.scheduler.config.num_train_timesteps,
    }
    inputs = {name: value.to(transformer.dtype) for name, value in inputs.items()}
    return Asked(inputs, noise - latents, torch.ones_like(latents[:, :1]))


OBJECTIVE = Objective(encode, embed, ask, lora=ATTENTION, refused=refused)
