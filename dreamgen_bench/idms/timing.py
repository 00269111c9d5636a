"""The rate at which an IDM's robot is controlled, and the rate of the video that it is shown.

An IDM was trained on frames that stand one control step apart. A video of another rate is looked at where the control
steps fall, and its labels are put back onto its own steps, so that a trajectory has one row per step whatever its rate.
The published code reads frames half as far apart as in training and writes the actions one per frame all the same.
"""

from __future__ import annotations

import numpy as np

from ..types import UserError


def control_frames(count: int, fps: float, rate: float) -> np.ndarray:
    """Which of a video's `count` frames stand nearest to control steps 0, 1, 2, ...; int [N], N >= 2.

    rate: control steps a second. Raises UserError where it can't be done: fewer frames a second than control steps
    (what happened between two frames was never seen), or a video shorter than one control step.
    """
    if not np.isfinite(fps) or fps < rate * 0.999:
        raise UserError(
            f"a video of {fps:g} frames a second does not show what a robot controlled {rate:g} times a second does "
            f"in between: dream at {rate:g} frames a second or more, or use an IDM of a slower robot"
        )
    steps = int((count - 1) * rate / fps + 1e-6)
    if steps < 1:
        raise UserError(f"{count} frames at {fps:g} a second are less than one control step of {1 / rate:g} s")
    return np.rint(np.arange(steps + 1) * fps / rate).astype(int)


def on_video_steps(labels: np.ndarray, count: int, fps: float, rate: float) -> np.ndarray:
    """Labels of control steps [N, D], each true at its step's end, as those of a video's steps; float32 [count - 1, D].

    Between control steps they are interpolated, before the first and after the last they are held: waypoints move
    evenly there, and a mean action is of a step's strength, not of its length.
    """
    if len(labels) == count - 1 and abs(fps - rate) < 1e-6 * rate:
        return labels.astype(np.float32)
    ends, wanted = np.arange(1, len(labels) + 1) / rate, np.arange(1, count) / fps
    return np.stack([np.interp(wanted, ends, column) for column in labels.T], 1).astype(np.float32)
