"""Where a Meta-World episode starts: the simulator state behind a first frame.

A Meta-World scene mostly gives its task away: a closed drawer can only be opened. A *scene* here is one model in one
state from which several behaviors are possible (a drawer half open: open it or close it), so that a suite can hold
the same first frame under different instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Vector = Callable[[np.ndarray], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One model in one range of starting states, and the behaviors that are possible from it."""

    draws: tuple[tuple[float, float], ...]
    """(low, high) of each number that places the objects; metres, chosen so that every behavior's expert manages."""
    vectors: Mapping[str, Vector]
    """For each behavior, the drawn numbers as the vector that Meta-World's own reset of that behavior expects."""
    joint: str = ""
    """The joint that is left half way (a drawer, a door), if any,"""
    travel: tuple[float, float] = (0.0, 0.0)
    """and the range of its position; metres or radians."""
    xml: str = ""
    """The model file that all behaviors share, where Meta-World gives each its own copy."""
    marker: bool = False
    """Whether the goal marker is drawn: only where the goal is the same for all behaviors."""
    hand: tuple[float, float, float] = (0.0, 0.6, 0.2)
    """Where the hand starts, for all behaviors; metres."""

    @property
    def behaviors(self) -> tuple[str, ...]:
        """The behaviors that are possible from this scene's first frame."""
        return tuple(self.vectors)


PLATE_GOALS = {
    "plate-slide": (0.0, 0.15),
    "plate-slide-back": (0.0, -0.12),
    "plate-slide-side": (-0.17, 0.0),
    "plate-slide-back-side": (0.17, 0.0),
}
"""Where each plate behavior wants the plate, seen from where it lies: x, y in metres."""

PLATE_NET = (0.0, 0.87, 0.0)

SCENES: dict[str, Scene] = {
    "drawer": Scene(
        draws=((-0.1, 0.1),),
        vectors={b: lambda d: (d[0], 0.9, 0.0) for b in ("drawer-open", "drawer-close")},
        joint="goal_slidey",
        travel=(-0.12, -0.10),
    ),
    "door": Scene(
        draws=((0.0, 0.1), (0.85, 0.95)),
        vectors={b: lambda d: (d[0], d[1], 0.15) for b in ("door-open", "door-close")},
        joint="doorjoint",
        travel=(-0.85, -0.65),
    ),
    "window": Scene(
        draws=((-0.08, 0.08), (0.75, 0.85)),
        vectors={b: lambda d: (d[0], d[1], 0.18) for b in ("window-open", "window-close")},
        joint="window_slide",
        travel=(0.09, 0.11),
        hand=(0.0, 0.4, 0.2),
    ),
    "faucet": Scene(
        draws=((-0.05, 0.05), (0.8, 0.85)),
        vectors={b: lambda d: (d[0], d[1], 0.0) for b in ("faucet-open", "faucet-close")},
        hand=(0.0, 0.4, 0.2),
    ),
    "coffee": Scene(
        draws=((-0.05, 0.05), (0.72, 0.75), (-0.1, 0.1), (0.52, 0.56)),
        vectors={
            "coffee-pull": lambda d: (d[0], d[1], 0.0, d[2], d[3], 0.0),
            "coffee-button": lambda d: (d[0], d[1] + 0.22, 0.0),
        },
        hand=(0.0, 0.4, 0.2),
    ),
    "puck": Scene(
        draws=((-0.12, 0.12), (0.56, 0.64), (-0.12, 0.12), (0.8, 0.88), (0.14, 0.26)),
        vectors={
            "reach": lambda d: (d[0], d[1], 0.02, d[2], d[3], d[4]),
            "push": lambda d: (d[0], d[1], 0.02, d[2], d[3], 0.02),
            "pick-place": lambda d: (d[0], d[1], 0.02, d[2], d[3], d[4]),
        },
        xml="sawyer_xyz/sawyer_pick_place_v3.xml",
        marker=True,
    ),
    "plate": Scene(
        draws=((-0.02, 0.02), (0.70, 0.74)),
        vectors={b: lambda d: (d[0], d[1], 0.0, *PLATE_NET) for b in PLATE_GOALS},
        xml="sawyer_xyz/sawyer_plate_slide.xml",
    ),
}

MARKED = frozenset(
    "reach reach-wall push push-wall push-back pick-place pick-place-wall sweep pick-out-of-hole".split()
)
"""Behaviors whose goal nothing in the scene shows: the goal marker is drawn for these, and for scenes that say so."""


def scene_of(behavior: str) -> str:
    """The scene that `behavior` can share with others, or '' where it has none."""
    return next((name for name, scene in SCENES.items() if behavior in scene.vectors), "")


def draw(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The numbers that place a scene's objects, and its joint's position last; float64 [len(draws) + 1]."""
    low, high = np.array((*scene.draws, scene.travel)).T
    return rng.uniform(low, high)
