"""Any image-to-video pipeline of diffusers, by card alone.

A card (cards/NAME.yaml) says which pipeline class, which checkpoint and revision, at what size, length and rate, with
how many steps and what guidance. This module knows nothing else of any model.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from ..types import Spec, Task, UserError, Video

_CARD = {
    "name", "revision", "summary", "license", "paper", "group", "adaptation", "weights", "parameters", "trained_on",
    "pipeline", "checkpoint", "dtype", "device", "width", "height", "num_frames", "fps", "prompt", "call",
}  # fmt: skip
_LOADED = (
    "pipeline", "checkpoint", "revision", "dtype", "device", "width", "height", "num_frames", "fps", "prompt", "call",
)  # fmt: skip


def cards(folder: Path | None = None) -> list[Spec]:
    """A Spec for each card. Imports no torch. Raises UserError for an unknown or missing key."""
    folder = folder or Path(__file__).parent / "cards"
    return [_spec(path) for path in sorted(folder.glob("*.yaml"))]


def _spec(path: Path) -> Spec:
    card = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(card, dict) or set(card) != _CARD:
        wrong = sorted(_CARD ^ set(card)) if isinstance(card, dict) else ["no keys"]
        raise UserError(f"{path}: unknown or missing key {wrong[0]!r}; a card has {', '.join(sorted(_CARD))}")
    described = {key: card[key] for key in _CARD - set(_LOADED)}
    return Spec(
        **described | {"trained_on": tuple(card["trained_on"])},
        revision=str(card["revision"]),
        load="dreamgen_bench.world_models.diffusers_i2v:load",
        args={key: card[key] for key in _LOADED},
    )


class DiffusersImageToVideo:
    """A loaded pipeline. Videos are made one at a time, so that no batch can change a frame."""

    def __init__(self, pipeline: Any, settings: Mapping[str, Any]):
        self._pipeline, self._settings = pipeline, settings
        self._known = set(inspect.signature(pipeline.__call__).parameters)

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task; its noise is drawn from (task, seed) alone."""
        for task in tasks:
            with Image.open(task.first_frame) as picture:
                first = picture.convert("RGB")
            yield Video(frames=fitted(self._dreamed(task, first, seed), task, first), fps=task.fps)

    def _dreamed(self, task: Task, first: Image.Image, seed: int) -> np.ndarray:
        import torch

        number = int.from_bytes(hashlib.sha256(f"{task.suite}/{task.id}/{seed}".encode()).digest()[:8], "big") >> 1
        settings = self._settings
        size = (settings["width"], settings["height"])
        arguments = {
            "image": first.resize(size, Image.Resampling.LANCZOS) if first.size != size else first,
            "prompt": settings["prompt"].replace("{instruction}", task.instruction),
            "width": settings["width"],
            "height": settings["height"],
            "num_frames": settings["num_frames"],
            "fps": settings["fps"],
            "generator": torch.Generator("cpu").manual_seed(number),
            "output_type": "np",
            **settings["call"],
        }
        if unknown := sorted(set(settings["call"]) - self._known):
            raise UserError(f"{type(self._pipeline).__name__} takes no {unknown[0]!r}; mend `call` in the card")
        with torch.inference_mode():
            frames = self._pipeline(**{key: value for key, value in arguments.items() if key in self._known}).frames[0]
        return (np.asarray(frames, np.float32).clip(0, 1) * 255).round().astype(np.uint8)


def fitted(frames: np.ndarray, task: Task, first: Image.Image) -> np.ndarray:
    """What a model made, as the task asks for it: the given first frame, its size, the task's length.

    uint8 [T, H, W, 3] in; a longer video is cut, a shorter one stays short, and is then the model's fault.
    """
    if frames.shape[1:3] != (first.height, first.width):
        resized = [Image.fromarray(frame).resize(first.size, Image.Resampling.LANCZOS) for frame in frames]
        frames = np.stack([np.asarray(frame) for frame in resized])
    frames = frames[: task.num_frames].copy()
    if len(frames):
        frames[0] = np.asarray(first)
    return frames


def load(
    pipeline: str, checkpoint: str, revision: str, dtype: str, device: str, call: Mapping[str, Any], **size: Any
) -> DiffusersImageToVideo:
    """Load a pipeline by class name from a folder (a relative path is one inside the package) or from the hub.

    Only safetensors are read, and no code that comes with a checkpoint is run. Raises UserError for a class that
    diffusers does not have and for a checkpoint that can't be loaded, with the cure.
    """
    import diffusers
    import torch
    import transformers

    cls = getattr(diffusers, pipeline, None)
    if cls is None:
        known = [name for name in dir(diffusers) if "Video" in name and name.endswith("Pipeline")]
        raise UserError(f"diffusers {diffusers.__version__} has no pipeline {pipeline!r}; it has {', '.join(known)}")
    local = Path(__file__).parents[1] / checkpoint
    where = {"pretrained_model_name_or_path": str(local)}
    if not local.is_dir():
        where = {"pretrained_model_name_or_path": checkpoint, "revision": revision}
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    try:
        loaded = cls.from_pretrained(**where, torch_dtype=getattr(torch, dtype), use_safetensors=True)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{checkpoint!r} can't be loaded as {pipeline}: {reason}") from error
    loaded.set_progress_bar_config(disable=True)
    return DiffusersImageToVideo(loaded.to(device), {"call": dict(call), **size})
