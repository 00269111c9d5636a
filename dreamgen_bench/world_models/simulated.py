"""Controls: videos from the simulator itself, with no defect or with a known one. They bracket every learned model.

    replay             the true video: the scripted expert does what it was told (the ceiling)
    static             the first frame, held (the floor)
    wrong_instruction  from the same first frame the robot does something else
    reversed           the true video backwards
    noise              the first frame, fading into noise: nothing can be seen to be done
    corrupt_KIND_LEVEL the true video with one physical defect, drawn again by the simulator (envs/defects.py)

All but static and noise see the task's simulator state, which no other world model may look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..envs import start
from ..types import Spec, Task, UserError, Video, seed_for

if TYPE_CHECKING:
    from ..envs.experts import Recording

DEFECTS = ("freeze", "time_warp", "deform", "color_drift", "teleport", "vanish", "appear", "penetration")
LEVELS = ("1", "2", "3")
_ATTEMPTS = 8

Frames = Callable[[Task, int], np.ndarray]


class Simulated:
    """A world model that asks the simulator: `frames(task, seed)` gives uint8 [T, H, W, 3]."""

    def __init__(self, frames: Frames):
        self._frames = frames

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task, of the task's length."""
        for task in tasks:
            number = seed_for(task, seed) >> 31  # 32 bits of it, as the first records have them
            yield Video(frames=self._frames(task, number)[: task.num_frames], fps=task.fps)


def _static(task: Task, seed: int) -> np.ndarray:
    frame = np.asarray(Image.open(task.first_frame).convert("RGB"))
    return np.repeat(frame[None], task.num_frames, axis=0)


def _noise(task: Task, seed: int) -> np.ndarray:
    rng, still = np.random.default_rng(seed), _static(task, seed)
    share = np.linspace(0, 1, task.num_frames)[:, None, None, None]
    return np.asarray((1 - share) * still + share * rng.integers(0, 256, still.shape), np.uint8)


def _replay(task: Task, seed: int) -> np.ndarray:
    return _expert_clip(*_state(task), task.num_frames).frames


def _reversed(task: Task, seed: int) -> np.ndarray:
    return _replay(task, seed)[::-1]


def _wrong_instruction(task: Task, seed: int) -> np.ndarray:
    behavior, scene, number, look = _state(task)
    start(behavior, scene, number, look, render=False)  # before anything else of it: it says so where GL is missing
    from ..envs.experts import expert, record, replay, wanderer
    from ..envs.scenes import SCENES

    rng = np.random.default_rng(seed)
    others = [other for other in (SCENES[scene].behaviors if scene else ()) if other != behavior]
    others = list(rng.permutation(others)) if others else []
    for attempt in range(_ATTEMPTS):
        other = str(others[attempt]) if attempt < len(others) else behavior
        env = start(other, scene, number, look)
        clip = record(env, expert(env) if other != behavior else wanderer(rng), frames=task.num_frames)
        if not replay(start(behavior, scene, number, look, render=False), clip.waypoints):
            return clip.frames
    raise RuntimeError(f"task {task.id}: whatever the robot does, it does what it was told")


def _corrupted(kind: str, level: str) -> Frames:
    def frames(task: Task, seed: int) -> np.ndarray:
        state = _state(task)
        clip = _expert_clip(*state, task.num_frames)
        from ..envs.defects import LEVELS as RANGES
        from ..envs.defects import break_recording

        magnitude = float(np.random.default_rng([seed, 1]).uniform(*RANGES[level]))
        return break_recording(start(*state), clip, kind, magnitude=magnitude, seed=seed)

    return frames


def _state(task: Task) -> tuple[str, str, int, str]:
    state = task.state
    if not {"behavior", "scene", "seed", "look"} <= set(state):
        raise UserError(f"task {task.id!r} of {task.suite} has no simulator state: controls need the sim track")
    return state["behavior"], state["scene"], state["seed"], state["look"]


@lru_cache(maxsize=512)  # all controls start from the same recording; 512 of them take 110 MB
def _expert_clip(behavior: str, scene: str, seed: int, look: str, length: int) -> Recording:
    env = start(behavior, scene, seed, look)
    from ..envs.experts import expert, record

    return record(env, expert(env), frames=length)


_FRAMES: dict[str, Frames] = {
    "replay": _replay,
    "static": _static,
    "wrong_instruction": _wrong_instruction,
    "reversed": _reversed,
    "noise": _noise,
    **{f"corrupt_{kind}_{level}": _corrupted(kind, level) for kind in DEFECTS for level in LEVELS},
}
_SUMMARIES = {
    "replay": "the true video: the expert does as told (ceiling)",
    "static": "the first frame, held (floor)",
    "wrong_instruction": "from the same first frame the robot does something else",
    "reversed": "the true video backwards",
    "noise": "the first frame, fading into noise: nothing can be seen to be done (floor of IF)",
}


def load(control: str) -> Simulated:
    """A control by name."""
    return Simulated(_FRAMES[control])


SPECS = [
    Spec(
        name=name,
        revision="1",
        load="dreamgen_bench.world_models.simulated:load",
        args={"control": name},
        license="Apache-2.0",
        group="control",
        family="simulated",
        stochastic=name not in ("replay", "static", "reversed"),
        summary=_SUMMARIES.get(name, f"the true video with {name[8:-2].replace('_', ' ')}, level {name[-1]} of 3"),
    )
    for name in _FRAMES
]
