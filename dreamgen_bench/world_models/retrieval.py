"""Retrieval: the clip of the training videos whose first frame and instruction are nearest, played as it is.

A world model that is not better than this has learned nothing that memory would not do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..types import Spec, Task, UserError, Video

GRID = 16
"""Pictures are compared at GRID x GRID pixels."""
WORD_WEIGHT = 0.5
"""Of the share of the instruction's words that a clip's lacks, against the mean color difference (both 0-1)."""


class Retrieval:
    """A library of clips: uint8 [N, T, H, W, 3] and their instructions."""

    def __init__(self, clips: np.ndarray, instructions: Sequence[str]):
        self._clips = clips
        self._grids = np.stack([_grid(clip[0]) for clip in clips])
        self._words = [_words(text) for text in instructions]

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task, resampled to its length and size; the seed changes nothing."""
        for task in tasks:
            with Image.open(task.first_frame) as picture:
                first = np.asarray(picture.convert("RGB"))
            clip = self._clips[int(np.argmin(self._distances(first, task.instruction)))]
            index = np.linspace(0, len(clip) - 1, task.num_frames).round().astype(int)
            yield Video(frames=_sized(clip[index], first.shape[1], first.shape[0]), fps=task.fps)

    def _distances(self, first: np.ndarray, instruction: str) -> np.ndarray:
        pictures = np.abs(self._grids - _grid(first)).mean((1, 2, 3))
        asked = _words(instruction)
        words = np.array([1 - len(asked & has) / max(len(asked | has), 1) for has in self._words])
        return pictures + WORD_WEIGHT * words


def _grid(frame: np.ndarray) -> np.ndarray:
    small = Image.fromarray(frame).resize((GRID, GRID), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _sized(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in frames])


def load(library: str) -> Retrieval:
    """From a folder with clips.mp4 (all clips one after another) and clips.jsonl ({"instruction", "frames"} each)."""
    from ..video import read

    folder = Path(__file__).parents[1] / library
    if not (folder / "clips.jsonl").is_file():
        raise UserError(f"{folder}: no clips.jsonl there; baselines/retrieval/library.py makes it")
    rows = [json.loads(line) for line in (folder / "clips.jsonl").read_text("utf-8").splitlines()]
    frames = read(folder / "clips.mp4").frames
    lengths = {row["frames"] for row in rows}
    if len(lengths) != 1 or len(frames) != len(rows) * rows[0]["frames"]:
        raise UserError(f"{folder}: clips.mp4 has {len(frames)} frames, clips.jsonl says otherwise")
    return Retrieval(frames.reshape(len(rows), -1, *frames.shape[1:]), [row["instruction"] for row in rows])


SPECS = [
    Spec(
        name="retrieval",
        revision="1",
        load="dreamgen_bench.world_models.retrieval:load",
        args={"library": "weights/retrieval"},
        license="Apache-2.0",
        summary="the nearest of the training videos, by first frame and instruction",
        group="trained",
        family="retrieval",
        weights="shipped",
        stochastic=False,
        trained_on=(
            "sim-data web: all 50 behaviors, never in the lab's look",
            "sim-data teleop: pick-and-place in the lab",
        ),
    )
]
