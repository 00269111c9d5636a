"""Cosmos-Predict2 and Cosmos-Predict2.5 from an image: the first latent frame is given, nearly without noise.

Predict2's pipeline counts noise as sigma / (1 - sigma) of ours, up to 80; what its transformer sees and answers is flow
matching all the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..types import UserError
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
    embed,
    encoded,
    mixed,
    pixels_of,
    spread,
)
from .wan import normalized


def encode(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """Latents, those of the first frame, the rate, and what time the given frame is said to be at."""
    pixels, scale = pixels_of(pipeline, card, window.frames, device), pipeline.scheduler.config.sigma_data
    latents, condition = (normalized(pipeline.vae, encoded(pipeline, part)) * scale for part in (pixels, pixels[:1]))
    noise = float(argument(pipeline, card, "sigma_conditioning"))
    told = {"fps": torch.tensor([card.fps]), "given": torch.tensor([noise / (noise + 1)])}
    return cached({"latents": latents, "condition": condition, **told})


def encode_later(pipeline: Any, card: Card, window: Window, device: torch.device) -> Tensors:
    """The same of Predict2.5, which is told no rate. Raises UserError where a card gives no time to the given frame."""
    pixels = pixels_of(pipeline, card, window.frames, device)
    latents, condition = (normalized(pipeline.vae, encoded(pipeline, part)) for part in (pixels, pixels[:1]))
    name = "conditional_frame_timestep"
    time = float(argument(pipeline, card, name))
    if time < 0:
        raise UserError(f"call: {name} is {time}, all frames at one time: leave it out to adapt the model")
    return cached({"latents": latents, "condition": condition, "given": torch.tensor([time])})


def ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """The first frame is in the noise's place, with a map of where it is and a time of its own."""
    transformer, latents = pipeline.transformer, batch["latents"]
    counts = all_but_the_first(latents)
    noisy, learnt = mixed(latents, noise, sigma), counts[..., :1, :1]
    height, width = (side * pipeline.vae_scale_factor_spatial for side in latents.shape[-2:])
    inputs = {
        "hidden_states": (1 - counts) * batch["condition"] + counts * noisy,
        "encoder_hidden_states": batch["prompt"],
        "condition_mask": 1 - counts,
        "padding_mask": latents.new_zeros(1, 1, height, width),
    }
    inputs = {name: value.to(transformer.dtype) for name, value in inputs.items()}
    time = (1 - learnt) * spread(batch["given"], latents) + learnt * spread(sigma, latents)
    return Asked(inputs | {"timestep": time}, noise - latents, counts)


def ask_with_rate(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    """As Predict2 asks: times as coarse as its weights, and the rate beside them."""
    asked = ask(pipeline, batch, noise, sigma)
    time = asked.inputs["timestep"].to(pipeline.transformer.dtype)
    return asked._replace(inputs=asked.inputs | {"timestep": time, "fps": float(batch["fps"][0])})


LAYERS = (*ATTENTION, *FEED_FORWARD)
PREDICT2 = Objective(encode, embed, ask_with_rate, lora=LAYERS)
PREDICT2_5 = Objective(encode_later, embed, ask, lora=LAYERS)
