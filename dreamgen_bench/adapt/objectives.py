"""What each pipeline's transformer is asked in training, and the right answer: exactly as the pipeline asks in a dream.

Flow matching: x = (1 - sigma) latents + sigma noise, and the answer is the velocity, noise - latents. What is the
pipeline's own, how the first frame and the words enter, is taken from the pipeline's own methods wherever it has them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..types import UserError
from ..world_models.card import Card

Cached = Mapping[str, Tensor]
"""Of a window, or of several in a batch: `latents`, and what goes with them."""


class Asked(NamedTuple):
    """One question to the transformer."""

    inputs: dict[str, Tensor]  # of its forward
    target: Tensor  # velocity, float32
    counts: Tensor  # broadcasts over the target: 0 where the answer is given and nothing is learnt


@dataclass(frozen=True)
class Objective:
    """How one pipeline class is trained."""

    refused: Callable[[Any], str]  # pipeline -> why this checkpoint of the class can't be trained; '' where it can
    encode: Callable[[Any, Card, Sequence[Image.Image], torch.device], dict[str, Tensor]]
    embed: Callable[[Any, Card, str, torch.device], dict[str, Tensor]]
    ask: Callable[[Any, Cached, Tensor, Tensor], Asked]  # pipeline, batch, noise, sigma [B]
    lora: tuple[str, ...]  # the matrices that get low-rank changes


def objective(pipeline: str) -> Objective:
    """That of a pipeline class by name. Raises UserError naming the classes there are."""
    if pipeline not in OBJECTIVES:
        raise UserError(f"{pipeline} can't be adapted yet; what can: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[pipeline]


def shift(scheduler: Any) -> float:
    """How far a pipeline's noise levels lean to the noisy side."""
    config = scheduler.config
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def noise_level(uniform: Tensor, shifted: float) -> Tensor:
    """Sigma in (0, 1]: the levels where the sampler walks, shifted as it shifts them; the paper gives none."""
    even = uniform.clamp(1e-3, 1.0)
    return shifted * even / (1 + (shifted - 1) * even)


# Wan, and SkyReels V2, whose image-to-video pipeline is Wan's


def _wan_refused(pipeline: Any) -> str:
    if getattr(pipeline, "transformer_2", None) is not None or getattr(pipeline, "transformer", None) is None:
        return "it has two experts, and each would need a training and a LoRA of its own, which a card can't name yet"
    return ""


def _expands(pipeline: Any) -> bool:
    """Whether the first latent frame is kept clean at time 0 (Wan 2.2 5B), instead of given beside the noise."""
    return bool(pipeline.config.get("expand_timesteps"))


def _wan_encode(pipeline: Any, card: Card, frames: Sequence[Image.Image], device: torch.device) -> dict[str, Tensor]:
    vae, size = pipeline.vae, {"height": card.height, "width": card.width}
    pixels = pipeline.video_processor.preprocess(list(frames), **size).to(device, torch.float32)
    clip = pixels.transpose(0, 1)[None].to(vae.dtype)
    raw = vae.encode(clip).latent_dist.mode().float()
    mean, std = (
        torch.tensor(values, device=device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    latents = (raw - mean) / std
    _, condition, *_ = pipeline.prepare_latents(
        pixels[:1], 1, vae.config.z_dim, card.height, card.width, card.num_frames, torch.float32, device,
        latents=torch.zeros_like(latents),
    )  # fmt: skip
    if not _expands(pipeline) and condition.shape[2:] != latents.shape[2:]:
        sizes = f"latents of {list(latents.shape[2:])} with a first frame of {list(condition.shape[2:])}"
        raise UserError(f"{sizes}: num_frames of the card must be 4k+1, and its sides divisible by 16")
    made = {"latents": latents, "condition": condition.float()}
    if pipeline.transformer.config.image_dim is not None:
        made["image"] = pipeline.encode_image(frames[0], device)
    return {name: value[0].cpu().contiguous() for name, value in made.items()}


def _wan_embed(pipeline: Any, card: Card, prompt: str, device: torch.device) -> dict[str, Tensor]:
    default = inspect.signature(pipeline.__call__).parameters["max_sequence_length"].default
    length = card.call.get("max_sequence_length", default)
    embeds, _ = pipeline.encode_prompt(prompt, None, False, max_sequence_length=length, device=device)
    return {"prompt": embeds[0].cpu().contiguous()}


def _wan_ask(pipeline: Any, batch: Cached, noise: Tensor, sigma: Tensor) -> Asked:
    transformer, latents = pipeline.transformer, batch["latents"]
    mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1, 1))
    time = sigma * pipeline.scheduler.config.num_train_timesteps
    counts = torch.ones_like(latents[:, :1])
    if _expands(pipeline):
        counts[:, :, 0] = 0
        shown = (1 - counts) * batch["condition"] + counts * mixed
        _, rows, columns = transformer.config.patch_size
        time = (counts[:, 0, :, ::rows, ::columns] * time.view(-1, 1, 1, 1)).flatten(1)
    else:
        shown = torch.cat([mixed, batch["condition"]], 1)
    inputs = {"hidden_states": shown, "encoder_hidden_states": batch["prompt"]}
    if "image" in batch:
        inputs["encoder_hidden_states_image"] = batch["image"]
    inputs = {name: value.to(transformer.dtype) for name, value in inputs.items()}
    return Asked(inputs | {"timestep": time}, noise - latents, counts)


_WAN = Objective(
    refused=_wan_refused,
    encode=_wan_encode,
    embed=_wan_embed,
    ask=_wan_ask,
    # Those of DiffSynth-Studio's Wan trainer: every attention's four, both of every feed-forward.
    lora=("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"),
)

OBJECTIVES: dict[str, Objective] = {"WanImageToVideoPipeline": _WAN, "SkyReelsV2ImageToVideoPipeline": _WAN}
"""A class gets its line here once a test shows that `ask` gives its transformer what the pipeline itself gives it."""
