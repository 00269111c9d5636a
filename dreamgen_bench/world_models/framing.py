"""How a task's first frame enters a model, and how the model's video leaves it: sizes, aspect, rate and length.

    first frame 320x240 --letterbox--> 832x480, black beside the picture, nothing stretched --> model
    model --crop the black off, resize--> 320x240 --resample--> the task's rate and length --> video

Everything here is a pure function, and every card goes through it: no adapter resizes or cuts anywhere else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..types import Task

Size = tuple[int, int]
"""Width, height, as PIL has it."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def picture_box(picture: Size, frame: Size) -> Box:
    """Where in the frame the picture lies when it is scaled to fit, centered, its aspect kept."""
    scale = min(frame[0] / picture[0], frame[1] / picture[1])
    width, height = (max(1, round(side * scale)) for side in picture)
    left, top = (frame[0] - width) // 2, (frame[1] - height) // 2
    return left, top, left + width, top + height


def letterboxed(picture: Image.Image, frame: Size) -> Image.Image:
    """The picture within a black frame, scaled (anti-aliased) but never stretched; itself where the sizes agree."""
    if picture.size == frame:
        return picture
    left, top, right, bottom = picture_box(picture.size, frame)
    canvas = Image.new("RGB", frame)
    canvas.paste(picture.resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
    return canvas


def unboxed(frames: np.ndarray, size: Size) -> np.ndarray:
    """Letterboxed frames, uint8 [T, H, W, 3], without the black, scaled (anti-aliased) to the picture's size."""
    if frames.shape[1:3] == size[::-1]:
        return frames
    box = picture_box(size, (frames.shape[2], frames.shape[1]))
    # Crop first: a resize with a box would let the filter reach into the black beside it.
    cut = [Image.fromarray(frame).crop(box).resize(size, Image.Resampling.LANCZOS) for frame in frames]
    return np.stack([np.asarray(frame) for frame in cut])


def resampled(frames: np.ndarray, fps: float, *, to_fps: float, num_frames: int) -> np.ndarray:
    """The frames shown at 0, 1/to_fps, 2/to_fps .. seconds, num_frames of them.

    A model of 81 frames at 16 a second gives a task of 17 frames at 10 a second its frames 0, 2, 3, 5 .. 26: its first
    1.6 seconds, at its own speed. Each is the nearest that the model made: blending two would make ghosts that a judge
    of physics must punish. What lies later is cut. A model with too few seconds yields fewer frames than the task asks
    for, since a frozen end would look like the model's; the contract then holds it at fault (no_video).
    """
    index = np.floor(np.arange(num_frames) * fps / to_fps + 0.5).astype(int)
    return frames[index[index < len(frames)]]


def fitted(frames: np.ndarray, fps: float, task: Task, first: Image.Image) -> np.ndarray:
    """A model's frames at its fps, uint8 [T, H, W, 3], as the task asks for them, frame 0 replaced by the given one."""
    chosen = resampled(frames, fps, to_fps=task.fps, num_frames=task.num_frames)
    result = unboxed(chosen, first.size).copy()
    if len(result):
        result[0] = np.asarray(first)
    return result
