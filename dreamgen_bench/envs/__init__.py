"""Environments: plain gymnasium, with info["success"]."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from ..types import Spec, UserError

if TYPE_CHECKING:
    from .metaworld import MetaWorld

os.environ.setdefault("MUJOCO_GL", "egl")  # before anything imports mujoco: its default back end needs a screen

SPECS = [
    Spec(
        name="metaworld",
        revision="3.1.1+1",
        load="dreamgen_bench.envs:make",
        license="MIT",
        summary="Meta-World: MuJoCo, Sawyer arm, 50 behaviors, own camera and looks",
        paper="Yu et al., CoRL 2019",
    )
]


def make(behavior: str, *, scene: str = "", render: bool = True) -> MetaWorld:
    """The simulated robot. Raises UserError where this machine can't draw: that is no world model's failure."""
    try:
        from .metaworld import MetaWorld

        return MetaWorld(behavior, scene=scene, render=render)
    except (KeyError, ValueError, UserError):
        raise
    except Exception as error:  # each GL library fails in its own way, from the import on
        backend = os.environ.get("MUJOCO_GL")
        reason = f"{type(error).__name__}: {error}"[:160]
        raise UserError(
            f"no graphics with MUJOCO_GL={backend} ({reason}): dreamgen-bench doctor has the cure"
        ) from error


def start(behavior: str, scene: str, seed: int, look: str, *, render: bool = True) -> MetaWorld:
    """The simulated robot at the start of an episode. The simulator is shared: it is good until the next call."""
    env = _alive(behavior, scene, render)
    env.reset(seed=seed, options={"look": look})
    return env


@lru_cache(maxsize=8)  # a simulator with its meshes and textures takes 70 MB
def _alive(behavior: str, scene: str, render: bool) -> MetaWorld:
    return make(behavior, scene=scene, render=render)
