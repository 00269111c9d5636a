"""Broken physics on purpose: a recorded episode drawn again with one named defect of a known magnitude.

A magnitude is in [0, 1]; below `VISIBLE` a person sees nothing wrong at 64x64, and the clip counts as sound. The three
levels of a defect draw their magnitudes from overlapping ranges, so that of the mild clips three in four are sound, of
the medium ones three in eight, and of the severe ones none. That makes a ladder whose truth is known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from .experts import Recording
from .looks import flat_color, object_geoms, object_roots
from .metaworld import MetaWorld
from .visuals import Shape

VISIBLE = 0.3
"""Magnitude from which a defect can be seen: a jump of 8 cm, a block of 4 pixels, three frames of standstill ..."""
LEVELS: dict[str, tuple[float, float]] = {"1": (0.0, 0.4), "2": (0.15, 0.55), "3": (0.65, 1.0)}
"""Range of the magnitude at each level: mild, medium, severe."""
_CANDIDATES = 4


@dataclass(frozen=True, kw_only=True)
class Defect:
    """How to draw a defect's particulars (when, where, which), and how a frame looks with them."""

    draw: Callable[[Stage, np.random.Generator], dict[str, Any]]
    frame: Callable[[Stage, dict[str, Any], float, int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a defect works on: an environment reset to the recorded episode's start, and the recording."""

    env: MetaWorld
    recording: Recording

    def redraw(
        self, t: int, *, shift: dict[int, np.ndarray] | None = None, extra: tuple[Shape, ...] = ()
    ) -> np.ndarray:
        """Frame t with some root bodies moved by metres [3], and with shapes that are not there."""
        model, data = self.env.model, self.env.data
        data.qpos[:] = self.recording.qpos[t]
        kept = model.body_pos.copy()
        for body, offset in (shift or {}).items():
            joint = model.body_jntadr[body]
            if joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                address = model.jnt_qposadr[joint]
                data.qpos[address : address + 3] += offset
            else:
                model.body_pos[body] += offset
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        assert self.env.camera is not None and self.env.look is not None
        picture = self.env.camera.picture(data, self.env.look, self.env.marker, extra=extra)
        model.body_pos[:] = kept
        return picture


def break_recording(env: MetaWorld, recording: Recording, kind: str, *, magnitude: float, seed: int) -> np.ndarray:
    """The recording's frames with one defect; uint8 [T, H, W, 3].

    `env` must have been reset as for the recording, and is left in an undefined state. Of several draws of the
    defect's particulars the most visible is taken, so that a severe one never hides behind the arm.
    """
    return broken_by(DEFECTS[kind], Stage(env=env, recording=recording), magnitude=magnitude, seed=seed)


def broken_by(defect: Defect, stage: Stage, *, magnitude: float, seed: int) -> np.ndarray:
    """As `break_recording`, by any defect."""
    rng, recording = np.random.default_rng(seed), stage.recording
    length = len(recording.frames)
    looked_at = range(2, length, 4)

    def visibility(particulars: dict[str, Any]) -> float:
        return sum(
            float(np.abs(defect.frame(stage, particulars, magnitude, t).astype(int) - recording.frames[t]).mean())
            for t in looked_at
        )

    best = max((defect.draw(stage, rng) for _ in range(_CANDIDATES)), key=visibility)
    return np.stack([defect.frame(stage, best, magnitude, t) for t in range(length)])


def _onset(stage: Stage, rng: np.random.Generator) -> int:
    return int(rng.integers(3, len(stage.recording.frames) - 6))


# Of time: the right pictures at the wrong moment.


def _draw_moving(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": int(rng.integers(1, 6)), "phase": rng.uniform(0, 2 * np.pi), "period": rng.uniform(4, 6)}


def _freeze(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """The picture stands still, then jumps to where the world has got to meanwhile."""
    held = p["start"] < t <= p["start"] + round(9 * magnitude)
    return stage.recording.frames[p["start"] if held else t]


def _time_warp(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """Time runs to and fro."""
    away = round(5 * magnitude * np.sin(2 * np.pi * t / p["period"] + p["phase"])) if t else 0
    return stage.recording.frames[int(np.clip(t + away, 0, len(stage.recording.frames) - 1))]


# Of pictures: what no camera would show.


def _draw_deform(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": _onset(stage, rng), "phase": rng.uniform(0, 2 * np.pi), "across": bool(rng.integers(2))}


def _deform(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """Things bend like rubber."""
    frame = stage.recording.frames[t]
    if t < p["start"]:
        return frame
    size = frame.shape[0]
    amplitude = 7 * magnitude * size / 64 * min(1.0, (t - p["start"] + 1) / 3)
    wave = amplitude * np.sin(2 * np.pi * np.arange(size) / (size / 2.5) + p["phase"] + 0.9 * t)
    index = np.clip(np.arange(size)[None] + np.round(wave).astype(int)[:, None], 0, size - 1)
    rows = np.arange(size)[:, None]
    return frame[rows, index] if p["across"] else frame.transpose(1, 0, 2)[rows, index].transpose(1, 0, 2)


def _draw_color(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": _onset(stage, rng), "gain": rng.permutation([1.0, -0.8, rng.uniform(-0.5, 0.5)])}


def _color_drift(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """Colors run away from what they were."""
    ramp = np.clip((t - p["start"]) / 5, 0, 1)
    frame = stage.recording.frames[t] * (1 + magnitude * ramp * p["gain"])
    return np.clip(frame, 0, 255).astype(np.uint8)


# Of the world: drawn again from the simulator's states.


def _draw_object(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    angle = rng.uniform(0, 2 * np.pi)
    return {
        "start": _onset(stage, rng),
        "body": int(rng.choice(object_roots(stage.env.model))),
        "direction": np.array([np.cos(angle), np.sin(angle), rng.uniform(0, 0.6)]),
    }


def _teleport(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """An object is suddenly somewhere else."""
    if t < p["start"]:
        return stage.recording.frames[t]
    return stage.redraw(t, shift={p["body"]: 0.27 * magnitude * p["direction"]})


def _vanish(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """An object fades away."""
    if t < p["start"]:
        return stage.recording.frames[t]
    geoms = object_geoms(stage.env.model, p["body"])
    with faded(stage.env.model, geoms, left=max(0.0, 1 - 1.3 * magnitude)):
        return stage.redraw(t)


@contextlib.contextmanager
def faded(model: mujoco.MjModel, geoms: list[int], *, left: float) -> Iterator[None]:
    """These geoms with a share of their opacity, and without textures."""
    kept = model.geom_rgba[geoms].copy(), model.geom_matid[geoms].copy()
    for geom in geoms:
        color = flat_color(model, geom)
        model.geom_rgba[geom, :3] = color[:3]
        model.geom_rgba[geom, 3] = color[3] * left
        model.geom_matid[geom] = -1
    try:
        yield
    finally:
        model.geom_rgba[geoms], model.geom_matid[geoms] = kept


def _draw_block(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "start": _onset(stage, rng),
        "at": (rng.uniform(-0.22, 0.1), rng.uniform(0.5, 0.72)),
        "rgba": (*rng.permutation([rng.uniform(0.8, 1), rng.uniform(0, 0.3), rng.uniform(0, 1)]), 1.0),
    }


def _appear(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """A block comes out of nowhere."""
    if t < p["start"]:
        return stage.recording.frames[t]
    edge = 0.065 * magnitude
    return stage.redraw(t, extra=(Shape("box", (*p["at"], edge), edge, p["rgba"]),))


def _draw_sink(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": _onset(stage, rng)}


def _penetration(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """The hand goes down through whatever is below it, and through the table."""
    if t < p["start"]:
        return stage.recording.frames[t]
    ramp = min(1.0, (t - p["start"] + 1) / 3)
    depth = ramp * min(magnitude / VISIBLE, 1.0) * max(stage.recording.states[t, 2] - 0.03, 0) * (magnitude >= VISIBLE)
    sink = depth + ramp * 0.2 * magnitude * (magnitude >= VISIBLE) + ramp * 0.1 * magnitude * (magnitude < VISIBLE)
    return stage.redraw(t, shift={stage.env.model.body("base").id: np.array([0.0, 0.0, -sink])})


DEFECTS: dict[str, Defect] = {
    "freeze": Defect(draw=_draw_moving, frame=_freeze),
    "time_warp": Defect(draw=_draw_moving, frame=_time_warp),
    "deform": Defect(draw=_draw_deform, frame=_deform),
    "color_drift": Defect(draw=_draw_color, frame=_color_drift),
    "teleport": Defect(draw=_draw_object, frame=_teleport),
    "vanish": Defect(draw=_draw_object, frame=_vanish),
    "appear": Defect(draw=_draw_block, frame=_appear),
    "penetration": Defect(draw=_draw_sink, frame=_penetration),
}
"""Every kind of defect by name."""
