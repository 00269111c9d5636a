"""Windows of frames as latents and embeddings, encoded once and kept: the encoders are then needed no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ..store import digest, whole_file
from ..types import Record, Spec
from ..video import VideoError
from ..world_models.card import Card
from .clips import Row, opened, pictures, windows
from .questions import Objective, Tensors, Window

ENCODERS = ("vae", "text_encoder", "image_encoder")


class ClipRecord(Record):
    """One line of data.jsonl: what became of one row of the manifest."""

    key: str
    where: str
    video: str
    instruction: str
    sha256: str | None = None
    windows: int = 0
    reason: str | None = None  # why it is not learnt from


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A pipeline that encodes, and where it leaves what it made."""

    spec: Spec
    card: Card
    pipeline: Any
    objective: Objective
    device: torch.device
    folder: Path

    def move(self, device: torch.device | str) -> None:
        """Encoders wait in main memory while the transformer learns."""
        for name in ENCODERS:
            part = getattr(self.pipeline, name, None)
            if part is not None:
                part.to(device)


def encoded(encoder: Encoder, rows: Sequence[Row], data: Path, tell: Callable[[str], None]) -> list[ClipRecord]:
    """Encode every row whose latents are not there yet. A video that can't be used costs no other."""
    made, told = [], time.monotonic()
    encoder.move(encoder.device)
    for number, row in enumerate(rows, 1):
        made.append(_encoded(encoder, row, data))
        if time.monotonic() - told > 15:
            told = time.monotonic()
            tell(f"encoded {number} of {len(rows)} videos")
    encoder.move("cpu")
    return made


def _encoded(encoder: Encoder, row: Row, data: Path) -> ClipRecord:
    said = {"where": row.where, "video": row.video, "instruction": row.instruction}
    try:
        sha256, video = opened(row, data)
        shown = windows(video, encoder.card)
    except VideoError as error:
        return ClipRecord(key=digest("unusable", row.video, row.instruction), reason=str(error), **said)
    key = digest(sha256, row.instruction, encoder.spec.id, dict(encoder.spec.args))
    path = latents_of(encoder.folder, key)
    if not path.is_file():
        tensors: Tensors = {}
        prompt = encoder.card.prompt.replace("{instruction}", row.instruction)
        with torch.no_grad():
            for number, frames in enumerate(shown):
                window = Window(frames=list(pictures(frames, encoder.card)), prompt=prompt)
                found = encoder.objective.encode(encoder.pipeline, encoder.card, window, encoder.device)
                tensors |= {f"{number}.{name}": value for name, value in found.items()}
            tensors |= encoder.objective.embed(encoder.pipeline, encoder.card, prompt, encoder.device)
        with whole_file(path) as file:
            file.write(save(tensors))
    return ClipRecord(key=key, sha256=sha256, windows=len(shown), **said)


def latents_of(folder: Path, key: str) -> Path:
    """Where a video's latents lie."""
    return folder / f"{key}.safetensors"


def batch_of(chosen: Sequence[tuple[Path, int]], device: torch.device) -> dict[str, Tensor]:
    """Windows, each (file, number), read and stacked."""
    read = [_window(path, number) for path, number in chosen]
    return {name: torch.stack([one[name] for one in read]).to(device) for name in read[0]}


@cache
def size_of(path: Path) -> int:
    """How many latent numbers a window has, without reading them."""
    with safe_open(path, "pt") as file:
        return prod(file.get_slice("0.latents").get_shape())


def _window(path: Path, number: int) -> dict[str, Tensor]:
    """A window's own tensors, and those that all windows of its video share."""
    with safe_open(path, "pt") as file:
        names = [(name.partition("."), name) for name in file.keys()]
        return {
            after or before: file.get_tensor(n) for (before, _, after), n in names if not after or before == str(number)
        }
