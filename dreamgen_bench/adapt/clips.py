"""Robot videos to adapt to: a folder with manifest.jsonl, rows of {"video", "instruction"}; files are hostile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..rows import check_texts, lines, located, parsed
from ..store import sha256_of
from ..types import UserError, Video
from ..video import MAX_FRAMES, VideoError, beside, read
from ..world_models.card import Card
from ..world_models.framing import letterboxed, resampled

MANIFEST = "manifest.jsonl"
MAX_MANIFEST = 64 * 2**20
_KEYS = ("instruction", "video")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the manifest, well-formed; its video was not looked at yet."""

    where: str  # manifest.jsonl:7
    video: str  # relative to the folder
    instruction: str


def rows(folder: Path) -> list[Row]:
    """All rows of a folder's manifest, in order. Raises UserError with file, line and key."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{path}: no such file; a data folder has videos and JSON lines of {{video, instruction}}")
    if path.stat().st_size > MAX_MANIFEST:
        raise UserError(f"{path}: larger than {MAX_MANIFEST // 2**20} MiB")
    found = [_row(line, f"{path.name}:{number}") for number, line in lines(path)]
    if not found:
        raise UserError(f"{path}: holds no row, so there is nothing to adapt to")
    return found


def _row(line: str, where: str) -> Row:
    with located(where):
        said = parsed(line, _KEYS)
        check_texts(said, _KEYS)
    return Row(where=where, video=said["video"], instruction=said["instruction"])


def opened(row: Row, folder: Path) -> tuple[str, Video]:
    """The sha256 and the frames of a row's video. Raises VideoError with the reason where it can't be learnt from."""
    path = beside(folder, row.video)
    video = read(path)
    if not (math.isfinite(video.fps) and video.fps > 0):
        raise VideoError(f"{row.video}: says no frame rate")
    return sha256_of(path), video


def windows(video: Video, card: Card) -> list[np.ndarray]:
    """A video at the model's rate, in windows of the model's length; the last one ends with the video.

    Raises VideoError for a video that lasts less than the model's: a frozen or slowed end would be learnt.
    """
    most = math.floor(len(video.frames) * card.fps / video.fps) + 1
    if most > MAX_FRAMES:
        raise VideoError(f"has {most} frames at the model's rate of {card.fps:g}, more than {MAX_FRAMES}")
    frames = resampled(video.frames, video.fps, to_fps=card.fps, num_frames=most)
    length = card.num_frames
    if len(frames) < length:
        lasts, needed = len(video.frames) / video.fps, length / card.fps
        raise VideoError(f"lasts {lasts:.2f} s, where the model's videos last {needed:.2f} s")
    starts = sorted({*range(0, len(frames) - length + 1, length), len(frames) - length})
    return [frames[start : start + length] for start in starts]


def pictures(frames: np.ndarray, card: Card) -> Iterator[Image.Image]:
    """Frames as the adapter gives a first frame to the pipeline: letterboxed, never stretched."""
    for frame in frames:
        yield letterboxed(Image.fromarray(frame), (card.width, card.height))
