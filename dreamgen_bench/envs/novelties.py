"""Kinds of defects that no judge of ours was trained on: they tell whether a judge knows physics or eight tricks.

They stand apart from `defects.DEFECTS` so that no training set draws from them; a judge that is trained on one of them
has no unseen kinds left to be examined on. Magnitudes are as there: in [0, 1], to be seen from `VISIBLE` on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from .defects import Defect, Stage, faded
from .looks import object_geoms, object_roots, part_of

_WRIST = ("right_l6", "right_hand", "hand", "rightclaw", "rightpad", "leftclaw", "leftpad")
_FOREARM = ("right_l4", "right_l5")


def _onset(stage: Stage, rng: np.random.Generator) -> int:
    return int(rng.integers(3, len(stage.recording.frames) - 6))


def _mixed(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return (one * (1 - share) + other * share).astype(np.uint8)


# Of pictures: what a video model does to them, and no camera.


def _draw_onset(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": _onset(stage, rng)}


def _flicker(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """Every other picture is brighter."""
    frame = stage.recording.frames[t]
    if t < p["start"] or (t - p["start"]) % 2:
        return frame
    return np.clip(frame * (1 + 0.5 * magnitude), 0, 255).astype(np.uint8)


def _draw_place(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": _onset(stage, rng), "at": rng.uniform(0.25, 0.75, 2)}


def _blur(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """Half of the picture loses its outlines."""
    frame = stage.recording.frames[t]
    if t < p["start"]:
        return frame
    size = frame.shape[0]
    sigma = 4 * magnitude * size / 64 * min(1.0, (t - p["start"] + 1) / 3)
    soft = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(sigma)))
    far = np.hypot(*(np.indices((size, size)) / size - p["at"][:, None, None]))
    return _mixed(frame, soft, np.clip((0.45 - far) / 0.1, 0, 1)[..., None])


def _ghost(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """What moved is still there, half transparent, where it was half a second before."""
    frames = stage.recording.frames
    return frames[t] if t < p["start"] else _mixed(frames[t], frames[max(t - 5, 0)], 0.6 * magnitude)


# Of the world: drawn again from the simulator's states.


def _draw_object(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    angle = rng.uniform(0, 2 * np.pi)
    return {
        "start": _onset(stage, rng),
        "body": int(rng.choice(object_roots(stage.env.model))),
        "away": np.array([0.2 * np.cos(angle), 0.2 * np.sin(angle), 0.0]),
    }


def _duplicate(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """There are two of an object."""
    frame = stage.recording.frames[t]
    if t < p["start"]:
        return frame
    with faded(stage.env.model, object_geoms(stage.env.model, p["body"]), left=0.0):
        without = stage.redraw(t)
    second = stage.redraw(t, shift={p["body"]: p["away"]})
    covered = np.abs(second.astype(int) - without).max(-1, keepdims=True) > 8
    return np.where(covered, _mixed(frame, second, min(1.0, 1.3 * magnitude)), frame)


def _levitate(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """An object rises from where it lies, and nobody lifts it."""
    if t < p["start"]:
        return stage.recording.frames[t]
    share = (t - p["start"] + 1) / (len(stage.recording.frames) - p["start"])
    return stage.redraw(t, shift={p["body"]: np.array([0.0, 0.0, 0.35 * magnitude * share])})


def _draw_part(stage: Stage, rng: np.random.Generator) -> dict[str, Any]:
    return {"start": _onset(stage, rng), "bodies": (_WRIST, _FOREARM)[int(rng.integers(2))]}


def _severed(stage: Stage, p: dict[str, Any], magnitude: float, t: int) -> np.ndarray:
    """A part of the arm is gone, and the rest goes on."""
    if t < p["start"]:
        return stage.recording.frames[t]
    model = stage.env.model
    names = {model.body(name).id for name in p["bodies"]}
    geoms = [g for g in range(model.ngeom) if part_of(model, g) == "arm" and model.geom_bodyid[g] in names]
    with faded(model, geoms, left=max(0.0, 1 - 1.3 * magnitude)):
        return stage.redraw(t)


NOVELTIES: dict[str, Defect] = {
    "flicker": Defect(draw=_draw_onset, frame=_flicker),
    "blur": Defect(draw=_draw_place, frame=_blur),
    "ghost": Defect(draw=_draw_onset, frame=_ghost),
    "duplicate": Defect(draw=_draw_object, frame=_duplicate),
    "levitate": Defect(draw=_draw_object, frame=_levitate),
    "severed": Defect(draw=_draw_part, frame=_severed),
}
"""Every unseen kind by name."""
