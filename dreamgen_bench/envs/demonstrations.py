"""True actions: what the ceilings and floors of the downstream table are trained on."""

from __future__ import annotations

import numpy as np
import yaml

from ..types import Task, Trajectory
from . import start
from .experts import Recording, expert, record

TELEOPERATION_SEED = 60_000
"""First seed of the pick-and-place demonstrations that train the teleoperation-only floor."""


def labels_of(clip: Recording) -> np.ndarray:
    """An episode's true labels, in the order of `types.LABELS`; float32 [T - 1, 8]."""
    return np.concatenate([clip.states[1:], clip.actions], 1).astype(np.float32)


def true_labels(task: Task) -> np.ndarray:
    """The labels of the video that `replay` makes of this task; float32 [T - 1, 8]."""
    state = task.state
    env = start(state["behavior"], state["scene"], state["seed"], state["look"], render=False)
    return labels_of(record(env, expert(env), frames=task.num_frames))


def teleoperation(count: int) -> list[Trajectory]:
    """Demonstrations of pick-and-place in the lab, with true actions: all that the robot was ever shown by hand."""
    from importlib.resources import files

    text = files("dreamgen_bench.envs").joinpath("instructions.yaml").read_text("utf-8")
    words = yaml.safe_load(text)["pick-place"]
    made = []
    for number in range(count):
        env = start("pick-place", "puck", TELEOPERATION_SEED + number, "lab")
        clip = record(env, expert(env))
        made.append(Trajectory(frames=clip.frames, labels=labels_of(clip), instruction=words[number % len(words)]))
    return made
