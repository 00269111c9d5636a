"""The paper's IDM: two frames in, the chunk of labels between them out, by flow matching with a diffusion transformer.

A window of two frames slides over the video by one control step, and what all windows say of a step is averaged, in
order. No language, no proprioception. Source: Jang et al., DreamGen (CoRL 2025), sec. 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..types import UserError, Video
from ..video import resized
from .checkpoint import restore
from .flow_dit_network import Config, network, pictures, sample
from .timing import control_frames, on_video_steps

AT_ONCE = 16
"""Frames that are encoded together: what more of them leave behind between layers falls out of a core's cache."""


def averaged(chunks: np.ndarray, steps: int) -> np.ndarray:
    """What windows say of each step, averaged; chunks [W, H, D], window w tells of steps w to w + H - 1; [steps, D].

    A row that lies behind the last step (of a video shorter than a window) is dropped. Raises ValueError where some
    step is in no window.
    """
    windows, horizon, columns = chunks.shape
    total, count = np.zeros((windows + horizon - 1, columns)), np.zeros((windows + horizon - 1, 1))
    for place in range(horizon):
        total[place : place + windows] += chunks[:, place]
        count[place : place + windows] += 1
    if len(total) < steps:
        raise ValueError(f"{windows} windows of {horizon} labels do not cover {steps} steps")
    return (total / count)[:steps].astype(np.float32)


class FlowDiT:
    """Labels videos of the robot that it was trained on."""

    def __init__(self, net: Any, config: Config, mean: np.ndarray, std: np.ndarray):
        self._net, self._config, self._mean, self._std = net.eval(), config, mean, std

    def label(self, videos: Sequence[Video]) -> Iterator[np.ndarray]:
        """For each video, float32 [T - 1, 8] in the order of LABELS; pictures of other sizes are resized.

        Every frame is encoded once, and a video's windows go through the transformer together; not those of several
        videos, since a label must not depend, not even in its last bit, on what else was labeled by this process.
        Raises UserError for a video whose rate does not show the robot's control steps.
        """
        rate = self._config.rate
        for video in videos:
            count = len(video.frames)
            frames = video.frames[control_frames(count, video.fps, rate)]
            yield on_video_steps(self._chunked(frames), count, video.fps, rate)

    def _chunked(self, frames: np.ndarray) -> np.ndarray:
        """Frames at the control rate [N, H, W, 3] to labels [N - 1, 8]."""
        import torch

        starts = np.arange(max(1, len(frames) - self._config.horizon))
        ends = np.minimum(starts + self._config.horizon, len(frames) - 1)
        with torch.inference_mode():
            seen = pictures(resized(frames, self._config.size, self._config.size))
            tokens = torch.cat([self._net.see(few) for few in seen.split(AT_ONCE)])
            context = self._net.context(torch.stack([tokens[starts], tokens[ends]], 1))
            chunks = sample(self._net, context, self._config).numpy() * self._std + self._mean
        return averaged(chunks, len(frames) - 1)


def load(checkpoint: str) -> FlowDiT:
    """From a folder that `checkpoint.save` wrote, labels' `mean` and `std` [8] among its facts. UserError otherwise."""
    net, config, facts = restore(checkpoint, "flow-dit", Config, network)
    try:
        mean, std = (np.array(facts[key], np.float32) for key in ("mean", "std"))
    except (KeyError, ValueError) as error:
        raise UserError(f"{checkpoint}: config.json gives no scale of the labels: {error}") from error
    return FlowDiT(net, config, mean, std)
