"""A regression IDM: a small CNN sees the frames around a step and says where the hand is after it, and what it did.

It sees four frames (before, at, after, and after that), because whether the fingers grip shows only a little later.
Convolution 5x5 and three of 3x3, each halving the picture but the last, two coordinate channels, two linear layers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import LABELS, UserError, Video
from ..video import resized
from .timing import control_frames, on_video_steps

if TYPE_CHECKING:
    import torch

RATE = 10.0
"""Control steps a second of the robot that it was trained on, and its frames."""
OFFSETS = (-1, 0, 1, 2)
"""Frames seen, counted from the step's first; the ends of a video are repeated."""


def network(width: int = 32) -> Any:
    """The untrained network: float32 [N, 14, 64, 64] in -1..1 to normalized labels [N, 8]."""
    return tower(3 * len(OFFSETS) + 2, len(LABELS), width)


def tower(channels: int, out: int, width: int) -> Any:
    """Untrained layers from pictures [N, channels, 64, 64] to [N, out]."""
    from torch import nn

    def block(inner: int, outer: int, kernel: int, stride: int) -> Any:
        return nn.Sequential(nn.Conv2d(inner, outer, kernel, stride, kernel // 2), nn.GroupNorm(8, outer), nn.SiLU())

    return nn.Sequential(
        block(channels, width, 5, 2),
        block(width, 2 * width, 3, 2),
        block(2 * width, 3 * width, 3, 2),
        block(3 * width, 3 * width, 3, 1),
        nn.Conv2d(3 * width, 48, 1),
        nn.Flatten(),
        nn.Linear(48 * 64, 256),
        nn.SiLU(),
        nn.Linear(256, out),
    )


def windows(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] -> uint8 [T - 1, len(OFFSETS), H, W, 3], a window for each step."""
    steps = np.arange(len(frames) - 1)[:, None] + np.array(OFFSETS)
    return frames[np.clip(steps, 0, len(frames) - 1)]


def prepared(batch: torch.Tensor) -> torch.Tensor:
    """float [N, 4, 64, 64, 3] in 0..255 -> [N, 14, 64, 64] with coordinate channels."""
    import torch

    count, _, height, width, _ = batch.shape
    pictures = batch.permute(0, 1, 4, 2, 3).flatten(1, 2) / 127.5 - 1
    y = torch.linspace(-1, 1, height).view(1, 1, height, 1).expand(count, 1, height, width)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, width).expand(count, 1, height, width)
    return torch.cat([pictures, y, x], 1)


class WaypointCNN:
    """Labels videos of the robot in front of its own camera, at the rate at which it was trained."""

    def __init__(self, net: Any, mean: np.ndarray, std: np.ndarray, size: int):
        self._net, self._mean, self._std, self._size = net.eval(), mean, std, size

    def label(self, videos: Sequence[Video]) -> Iterator[np.ndarray]:
        """For each video, float32 [T - 1, 8] in the order of LABELS; pictures of other sizes are resized.

        Raises UserError for a video whose rate does not show the robot's control steps.
        """
        import torch

        for video in videos:
            count = len(video.frames)
            frames = resized(video.frames[control_frames(count, video.fps, RATE)], self._size, self._size)
            with torch.inference_mode():
                out = self._net(prepared(torch.from_numpy(windows(frames)).float()))
            labels = (out.numpy() * self._std + self._mean).astype(np.float32)
            yield on_video_steps(labels, count, video.fps, RATE)


def load(checkpoint: str) -> WaypointCNN:
    """From a folder with model.safetensors and config.json; a relative path is one inside the package."""
    from safetensors.torch import load_file

    folder = Path(__file__).parents[1] / checkpoint
    if not (folder / "model.safetensors").is_file():
        recipes = "baselines/waypoint-cnn/run.sh or baselines/waypoint-play/run.sh"
        raise UserError(f"{folder}: no model.safetensors there; {recipes} makes it")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    net = network(config["width"])
    net.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    mean, std = (np.array(config[key], np.float32) for key in ("mean", "std"))
    return WaypointCNN(net, mean, std, config["size"])
