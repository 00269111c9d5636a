"""What a run folder has to export: the trajectories that the policies of one row are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import downstream
from ..types import Trajectory, UserError, Video
from ..video import encode, read
from .clips import Clip

if TYPE_CHECKING:
    from ..loop import Run

RATE = 10.0
"""Frames a second of teleoperation, which no suite says."""


def clips(run: Run, name: str) -> Iterator[Clip]:
    """Neural trajectories with their own files' bytes, or demonstrations, encoded as our videos are.

    Raises UserError for a row that has none, and for a file outside of the run folder.
    """
    rows = [row for row in downstream.trainees(run) if row != "random"]
    if name not in rows:
        raise UserError(f"{name!r} has no trajectories in {run.out}: choose from {', '.join(rows)}")
    if name == "teleoperation":
        for number, made in enumerate(downstream.material(run, name, ())):
            mp4 = encode(Video(frames=made.frames, fps=RATE))
            yield _clip(f"demonstration {number}", mp4, RATE, made)
        return
    for suite in run.dreamed:
        records = downstream.recipe(replace(run, mixture="neural"), suite, name, 0).records
        for path, made in downstream.dreamed(run, name, records):
            yield _clip(path.name, path.read_bytes(), read(path).fps, made)


def _clip(name: str, mp4: bytes, fps: float, made: Trajectory) -> Clip:
    return Clip(name=name, mp4=mp4, frames=made.frames, fps=fps, labels=made.labels, instruction=made.instruction)
