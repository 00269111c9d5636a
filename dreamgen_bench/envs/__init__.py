"""Environments: plain gymnasium, with info["success"]."""

import os

from ..types import Spec

os.environ.setdefault("MUJOCO_GL", "egl")  # before anything imports mujoco: its default back end needs a screen

SPECS = [
    Spec(
        name="metaworld",
        revision="3.1.1+1",
        load="dreamgen_bench.envs.metaworld:MetaWorld",
        license="MIT",
        summary="Meta-World: MuJoCo, Sawyer arm, 50 behaviors, own camera and looks",
        paper="Yu et al., CoRL 2019",
    )
]
