"""Any image-to-video pipeline of diffusers, by card alone.

A card (card.py, cards/NAME.yaml) says which pipeline class, which checkpoint and revision, at what size, length and
rate, with how many steps and what guidance. This module knows how diffusers calls its pipelines, and no model by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from PIL import Image

from ..types import Task, UserError, Video, seed_for
from .card import Card, cards, folder_of
from .framing import fitted, letterboxed

__all__ = ["DiffusersImageToVideo", "cards", "load"]


class DiffusersImageToVideo:
    """A loaded pipeline. Videos are made one at a time, so that no batch can change a frame."""

    def __init__(self, pipeline: Any, card: Card):
        self._pipeline, self._card = pipeline, card
        self._takes = set(inspect.signature(pipeline.__call__).parameters)

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task; its noise is drawn from (task, seed) alone."""
        for task in tasks:
            with Image.open(task.first_frame) as picture:
                first = picture.convert("RGB")
            made = self._dreamed(task, first, seed)
            # Frames with NaN stay floats, so that the contract names them instead of a judge seeing black.
            frames = fitted(made, self._card.fps, task, first) if made.dtype == np.uint8 else made
            yield Video(frames=frames, fps=task.fps)

    def _dreamed(self, task: Task, first: Image.Image, seed: int) -> np.ndarray:
        import torch

        number = seed_for(task, seed)
        card = self._card
        offered = {
            "image": letterboxed(first, (card.width, card.height)),
            "prompt": card.prompt.replace("{instruction}", task.instruction),
            "width": card.width,
            "height": card.height,
            "num_frames": card.num_frames,
            "fps": card.fps,
            "frame_rate": card.fps,
            "generator": torch.Generator("cpu").manual_seed(number),
            "output_type": "np",
            **card.call,
        }
        gpus = [] if card.device == "cpu" else [torch.device(card.device)]
        # Some pipelines draw from the global generator beside the one they are given.
        with torch.inference_mode(), torch.random.fork_rng(gpus):
            torch.manual_seed(number)
            output = self._pipeline(**{key: value for key, value in offered.items() if key in self._takes})
        frames = as_uint8(output.frames[0])
        if frames.shape[1:3] != (card.height, card.width):
            made, said = f"{frames.shape[2]}x{frames.shape[1]}", f"{card.width}x{card.height}"
            raise UserError(f"{card.pipeline} made {made} where the card says {said}; mend the card")
        return frames


def as_uint8(frames: Any) -> np.ndarray:
    """What pipelines give for one video, floats of 0-1 or pictures, as uint8 [T, H, W, 3]; as floats if it has NaN."""
    if isinstance(frames[0], Image.Image):
        return np.stack([np.asarray(frame.convert("RGB")) for frame in frames])
    array = np.asarray(frames, np.float32)
    return (array.clip(0, 1) * 255).round().astype(np.uint8) if np.isfinite(array).all() else array


def load(**said: Any) -> DiffusersImageToVideo:
    """Load what a card says: the arguments are the fields of `Card`.

    Only safetensors are read, and no code that comes with a checkpoint is run. Before any weight is read, a UserError
    says what this machine lacks (class, package, device, memory, checkpoint), with the cure.
    """
    if wrong := set(said) - {f.name for f in fields(Card)}:
        raise UserError(f"no card has a key {sorted(wrong)[0]!r}; it has {', '.join(f.name for f in fields(Card))}")
    card = Card(**said)
    pipeline = assembled(card)
    return DiffusersImageToVideo(placed(pipeline, card), card)


def assembled(card: Card) -> Any:
    """The pipeline in main memory, configured and with its LoRA, on no device yet."""
    from .machine import findings

    for finding in findings(card):
        if not finding.ok and not finding.optional:
            raise UserError(f"{finding.found}: {finding.cure}")
    pipeline = _read(card)
    for component, changes in card.config.items():
        _configure(pipeline, component, changes)
    if card.lora:
        _adapt(pipeline, card.lora)
    if card.tiling:
        pipeline.vae.enable_tiling()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _read(card: Card) -> Any:
    import diffusers
    import torch
    import transformers

    from .machine import pipeline_class

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    if isinstance(card.dtype, str):
        dtype: Any = getattr(torch, card.dtype)
    else:
        dtype = {component: getattr(torch, name) for component, name in card.dtype.items()}
    try:
        return pipeline_class(card.pipeline).from_pretrained(
            **_where(card.checkpoint, card.revision), dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        cure = f"; {card.obtain}" if card.obtain else ""
        raise UserError(f"{card.checkpoint!r} can't be loaded as {card.pipeline}: {reason}{cure}") from error


def _where(checkpoint: str, revision: str) -> dict[str, str]:
    folder = folder_of(checkpoint)
    if folder is not None:
        return {"pretrained_model_name_or_path": str(folder)}
    return {"pretrained_model_name_or_path": checkpoint, "revision": revision}


def _configure(pipeline: Any, component: str, changes: Mapping[str, Any]) -> None:
    """Make a component without weights (a scheduler, a guider) again with changes to its configuration."""
    part: Any = getattr(pipeline, component, None)
    known = dict(getattr(part, "config", {}))
    for key in changes:
        if key not in known:
            there = ", ".join(sorted(k for k in known if not k.startswith("_"))) or "no configuration"
            raise UserError(f"config: {component} of {type(pipeline).__name__} has no {key!r}; it has {there}")
    setattr(pipeline, component, type(part).from_config(part.config, **changes))


def _adapt(pipeline: Any, lora: Mapping[str, Any]) -> None:
    name, weight = type(pipeline).__name__, lora["weight"]
    if not hasattr(pipeline, "load_lora_weights"):
        raise UserError(f"{name} of diffusers loads no LoRA; merge {weight} into a checkpoint of your own")
    where = _where(lora["checkpoint"], lora["revision"])
    where["pretrained_model_name_or_path_or_dict"] = where.pop("pretrained_model_name_or_path")
    try:
        pipeline.load_lora_weights(**where, weight_name=weight, adapter_name="card", use_safetensors=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"LoRA {weight} can't be loaded into {name}: {reason}") from error
    # diffusers only warns where no key of the file fits the model, and would dream without the LoRA.
    if not any("card" in names for names in pipeline.get_list_adapters().values()):
        raise UserError(f"no weight of LoRA {weight} fits {name}: it was made for another model")
    pipeline.set_adapters(["card"], [float(lora["scale"])])


def placed(pipeline: Any, card: Card) -> Any:
    """The pipeline on its device, whole, or a component or a layer at a time while the rest waits in main memory."""
    if card.offload == "model":
        pipeline.enable_model_cpu_offload(device=card.device)
    elif card.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=card.device)
    else:
        pipeline.to(card.device)
    return pipeline
