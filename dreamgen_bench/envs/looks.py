"""What a Meta-World environment looks like: camera, light, and the colors of arm, table, floor and objects.

Looks are addressed by name, so that a suite can write one down:
    lab               the robot's own look: the one in which teleoperation data is recorded
    object-17         the lab with other objects: their colors, and the size of the puck, drawn from seed 17
    environment-17    the lab's robot and its camera in another room: table, floor, light and objects drawn from seed 17
    web-17            everything drawn from seed 17, never the lab's: camera, light, arm, surroundings, objects
    sibling-17        the same, but the camera is mounted as in the lab, 2 to 5 degrees off: a lab with the same robot
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass

import mujoco
import numpy as np

KINDS = ("object", "environment", "web", "sibling")
LOOK_NAME = re.compile(rf"lab|({'|'.join(KINDS)})-(\d{{1,9}})")
PUCK_SIZE = (0.032, 0.022)
"""Radius and half height of the lab's puck, metres: 6 pixels at 64x64 (Meta-World's own is 4)."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A camera (metres, degrees) and a headlight (0-1). The colors are in the model that `dress` painted."""

    name: str
    lookat: tuple[float, float, float] = (0.0, 0.66, 0.10)
    distance: float = 0.82
    azimuth: float = 140.0
    elevation: float = -32.0
    ambient: float = 0.4
    diffuse: float = 0.5


def dress(model: mujoco.MjModel, name: str) -> Look:
    """Paint a freshly restored model in the look called `name`, and return its camera and light.

    Raises ValueError for a name that is no look.
    """
    match = LOOK_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"no look named {name!r}; known: lab, {', '.join(f'{kind}-<seed>' for kind in KINDS)}")
    _paint_lab(model)
    if name == "lab":
        return Look(name=name)
    kind = match[1]
    rng = np.random.default_rng([KINDS.index(kind), int(match[2])])
    _paint_objects(model, rng)
    if kind == "object":
        _resize_puck(model, rng)
        return Look(name=name)
    _paint_surroundings(model, rng)
    if kind in _MOUNTS:
        _paint_arm(model, rng)
        return _drawn_camera(name, _MOUNTS[kind], rng)
    return Look(name=name, ambient=rng.uniform(0.25, 0.5), diffuse=rng.uniform(0.3, 0.65))


def part_of(model: mujoco.MjModel, geom: int) -> str:
    """Which part of the picture a geom belongs to: 'arm', 'table', 'floor' or 'object'."""
    body = model.body(int(model.geom_bodyid[geom])).name
    root = model.body(int(model.body_rootid[model.geom_bodyid[geom]])).name
    if root == "base" or body in ("hand", "rightclaw", "leftclaw", "rightpad", "leftpad", "mocap"):
        return "arm"
    if body in ("tablelink", "RetainingWall"):
        return "table"
    return "floor" if body == "world" else "object"


def _geoms(model: mujoco.MjModel, part: str) -> list[int]:
    return [geom for geom in range(model.ngeom) if part_of(model, geom) == part]


def object_roots(model: mujoco.MjModel) -> list[int]:
    """The root bodies of a scene's objects: what a defect can move or hide as one thing."""
    shown = [geom for geom in _geoms(model, "object") if model.geom_group[geom] < 3 and flat_color(model, geom)[3] > 0]
    return sorted({int(model.body_rootid[model.geom_bodyid[geom]]) for geom in shown})


def object_geoms(model: mujoco.MjModel, root: int) -> list[int]:
    """The geoms of the object with this root body."""
    return [geom for geom in range(model.ngeom) if model.body_rootid[model.geom_bodyid[geom]] == root]


def flat_color(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """A geom's color without its texture; float32 rgba [4] in 0-1."""
    material = model.geom_matid[geom]
    return (model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom]).copy()


def _paint(model: mujoco.MjModel, geom: int, rgb: tuple[float, float, float]) -> None:
    """One flat color; the material, which would win over it, is taken off."""
    model.geom_rgba[geom, :3] = rgb
    model.geom_rgba[geom, 3] = flat_color(model, geom)[3]
    model.geom_matid[geom] = -1


def _paint_lab(model: mujoco.MjModel) -> None:
    # Meta-World's puck is red, as is our goal marker; in the lab it is blue, so that the two can be told apart.
    puck = _puck(model)
    if puck is not None:
        _paint(model, puck, (0.1, 0.15, 0.85))
        model.geom_size[puck, :2] = PUCK_SIZE


def _puck(model: mujoco.MjModel) -> int | None:
    puck = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, "objGeom")
    return puck if puck >= 0 and model.geom_type[puck] == mujoco.mjtGeom.mjGEOM_CYLINDER else None


def _paint_objects(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """Turn the hue of all objects by one angle, so that their parts keep their contrast; the marker's red is spared."""
    turn, value = rng.uniform(0.1, 0.9), rng.uniform(0.75, 1.15)
    for geom in _geoms(model, "object"):
        hue, saturation, brightness = colorsys.rgb_to_hsv(*flat_color(model, geom)[:3])
        hue = (hue + turn) % 1.0
        if min(hue, 1 - hue) < 0.07:
            hue = 0.12
        saturation = max(saturation, 0.35) if brightness > 0.25 else saturation
        _paint(model, geom, colorsys.hsv_to_rgb(hue, saturation, min(1.0, brightness * value)))


def _resize_puck(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    puck = _puck(model)
    if puck is not None:
        model.geom_size[puck, 0] *= rng.uniform(0.8, 1.1)


def _shade(rng: np.random.Generator, low: float, high: float, saturation: float) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0, saturation), rng.uniform(low, high))


def _paint_surroundings(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    for part, color in (("table", _shade(rng, 0.35, 0.95, 0.6)), ("floor", _shade(rng, 0.2, 0.9, 0.5))):
        for geom in _geoms(model, part):
            _paint(model, geom, color)


def _paint_arm(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    arm, trim = _shade(rng, 0.3, 0.95, 0.8), _shade(rng, 0.1, 0.5, 0.5)
    for geom in _geoms(model, "arm"):
        _paint(model, geom, trim if sum(flat_color(model, geom)[:3]) < 0.8 else arm)


@dataclass(frozen=True, kw_only=True)
class _Mount:
    """Where a drawn camera may stand: least and most of each number, the side in degrees off the lab's."""

    side: tuple[float, float]
    lookat: tuple[tuple[float, float], ...]
    distance: tuple[float, float]
    elevation: tuple[float, float]


# At least some degrees from the lab's camera to either side: a drawn look is never the lab's.
_MOUNTS = {
    "web": _Mount(
        side=(8.0, 22.0),
        lookat=((-0.03, 0.03), (0.63, 0.69), (0.07, 0.13)),
        distance=(0.78, 0.92),
        elevation=(-40.0, -26.0),
    ),
    "sibling": _Mount(
        side=(2.0, 5.0),
        lookat=((-0.015, 0.015), (0.645, 0.675), (0.085, 0.115)),
        distance=(0.80, 0.85),
        elevation=(-34.0, -30.0),
    ),
}


def _drawn_camera(name: str, mount: _Mount, rng: np.random.Generator) -> Look:
    side = rng.choice([-1.0, 1.0]) * rng.uniform(*mount.side)
    x, y, z = (rng.uniform(*ends) for ends in mount.lookat)
    return Look(
        name=name,
        lookat=(x, y, z),
        distance=rng.uniform(*mount.distance),
        azimuth=140.0 + side,
        elevation=rng.uniform(*mount.elevation),
        ambient=rng.uniform(0.25, 0.5),
        diffuse=rng.uniform(0.3, 0.65),
    )
