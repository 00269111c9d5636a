"""HunyuanVideo from an image: a language model reads the words beside the first frame."""

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
    argument,
    cached,
    encoded,
    mixed,
    pixels_of,
)

IMAGE_TOKENS = {"latent_concat": 2, "token_replace": 4}
"""Every so many tokens of the first frame are read, by how the checkpoint is given it; as the pipeline has it."""


def replaces(pipeline: Any) -> bool:
    """Whether the first frame's latents are in the noise's place, instead of beside it."""
    return bool(pipeline.transformer.config.image_condition_type == "token_replace")


def encode(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """Latents, the first frame's, the words as read beside that frame, and the guidance that the card asks for."""
    config = pipeline.transformer.config
    pixels = pixels_of(pipeline, card, window.frames, device)
    latents = encoded(pipeline, pixels) * pipeline.vae_scaling_factor
    _, condition = pipeline.prepare_latents(
        pixels[:1].to(pipeline.vae.dtype), 1, latents.shape[1], card.height, card.width, card.num_frames,
        torch.float32, device, latents=torch.zeros_like(latents), image_condition_type=config.image_condition_type,
    )  # fmt: skip
    length = argument(pipeline, card, "max_sequence_length")
    said = {key: card.call[key] for key in ("prompt_template", "image_embed_interleave") if key in card.call}
    prompt, pooled, mask = pipeline.encode_prompt(
        image=window.frames[0], prompt=window.prompt, device=device, max_sequence_length=length,
        **{"image_embed_interleave": IMAGE_TOKENS[config.image_condition_type], **said},
    )  # fmt: skip
    made = {"latents": latents, "condition": condition, "prompt": prompt, "pooled": pooled, "mask": mask}
    if config.guidance_embeds:
        made["guidance"] = torch.tensor([float(argument(pipeline, card, "guidance_scale")) * 1000])
    return cached(made)


def embed(pipeline: Any, card: Card, prompt: str, device: torch.device) -> Tensors:
    """Nothing: no word is read without the first frame."""
    return {}


def ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """The first frame is in the noise's place, or beside it with a map of where it is."""
    transformer, latents = pipeline.transformer, batch["latents"]
    noisy = mixed(latents, noise, sigma)
    if replaces(pipeline):
        counts = all_but_the_first(latents)
        shown = torch.cat([batch["condition"], noisy[:, :, 1:]], 2)
    else:
        counts, first = torch.ones_like(latents[:, :1]), 1 - all_but_the_first(latents)
        shown = torch.cat([noisy, batch["condition"] * first, first], 1)
    inputs = {
        "hidden_states": shown,
        "encoder_hidden_states": batch["prompt"],
        "encoder_attention_mask": batch["mask"],
        "pooled_projections": batch["pooled"],
        **({"guidance": batch["guidance"]} if "guidance" in batch else {}),
    }
    inputs = {name: value.to(transformer.dtype) for name, value in inputs.items()}
    time = sigma * pipeline.scheduler.config.num_train_timesteps
    return Asked(inputs | {"timestep": time}, noise - latents, counts)


OBJECTIVE = Objective(encode, embed, ask, lora=(*ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"))
