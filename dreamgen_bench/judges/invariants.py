"""What a video breaks of physics, as numbers that can be read: from its pictures, and from what each pixel shows.

All are 0 or small where nothing is wrong. They know no kind of defect by name: each is a law that every clip of this
robot keeps, whatever it does in it, so that also a defect nobody thought of shows in some of them.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

ARM, OBJECT = 1, 2
"""What a pixel shows; 0 is all that stands still: table, walls, floor."""
NAMES = (
    "surroundings_change",
    "surroundings_stir",
    "surroundings_spots",
    "object_gone",
    "object_more",
    "object_untouched",
    "object_jump",
    "arm_torn",
    "arm_jump",
    "arm_shape",
    "standstill",
    "jump_after_standstill",
    "to_and_fro",
    "seen_again",
    "haste",
    "hand_sunk",
    "softness",
)
"""Of the numbers that `measured` gives, in order."""
_DIFFERENT = 24
"""Of 255, in any channel: what coding and anti-aliasing never do to a pixel."""


def measured(frames: np.ndarray, shown: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """float64 [len(NAMES)] of frames uint8 [T, H, W, 3], what they show [T, H, W], and the hand [T, 3] in metres."""
    pixels = frames.astype(np.int16)
    found = {
        **_surroundings(pixels, shown),
        **_objects(pixels, shown),
        **_arm(shown),
        **_time(pixels),
        "hand_sunk": max(0.0, 0.05 - float(np.sort(hand[:, 2])[:3].mean())),
        "haste": float(np.linalg.norm(np.diff(hand, 2, axis=0), axis=1).max(initial=0.0)),
        "softness": _softness(frames),
    }
    return np.array([found[name] for name in NAMES], float)


def _surroundings(pixels: np.ndarray, shown: np.ndarray) -> dict[str, float]:
    """Table and walls keep their colors: against the first picture (change, spots) and the one before (stir)."""
    still = np.stack([~ndimage.binary_dilation(s > 0, iterations=2) for s in shown])
    change, stir, spots = [0.0], [0.0], [0.0]
    for t in range(1, len(pixels)):
        for before, into in ((0, change), (t - 1, stir)):
            where = still[t] & still[before]
            moved = np.abs(pixels[t] - pixels[before]).max(-1)[where]
            into.append(float(moved.mean()) if moved.size > 50 else 0.0)
            if into is change:
                spots.append(float((moved > _DIFFERENT).sum()))
    return {
        "surroundings_change": max(change),
        "surroundings_stir": max(stir),
        "surroundings_spots": float(np.sort(spots)[-3:].mean()),
    }


def _objects(pixels: np.ndarray, shown: np.ndarray) -> dict[str, float]:
    """Things stay, stay as many, and move only where the arm touches them, and from where they were."""
    area = (shown == OBJECT).sum((1, 2)).astype(float)
    arm = np.stack([ndimage.binary_dilation(s == ARM, iterations=3) for s in shown])
    things = shown == OBJECT
    untouched, jump, gone, more = [0.0], [0.0], [0.0], [0.0]
    for t in range(1, len(pixels)):
        near = arm[t] | arm[t - 1]
        moved = np.abs(pixels[t] - pixels[t - 1]).max(-1) > _DIFFERENT
        union = (things[t] | things[t - 1]) & moved & ~near
        labelled, _ = ndimage.label(things[t] | things[t - 1], np.ones((3, 3)))
        touched = np.unique(labelled[near & (labelled > 0)])
        untouched.append(float((union & ~np.isin(labelled, touched)).sum()))
        jump.append(float(union.sum()) / (area[0] + 10))
        # What covers a thing may hide it: only what is lost elsewhere is gone.
        gone.append(float((things[0] & (shown[t] == 0) & ~arm[t]).sum() - (things[t] & ~things[0]).sum()))
        more.append(float((things[t] & ~things[0]).sum() - (things[0] & ~things[t]).sum()))
    scale = area[0] + 10
    return {
        "object_untouched": float(np.sort(untouched)[-2:].mean()),
        "object_jump": max(jump),
        "object_gone": max(0.0, float(np.sort(gone)[-3:].mean())) / scale,
        "object_more": max(0.0, float(np.sort(more)[-3:].mean())) / scale,
    }


def _arm(shown: np.ndarray) -> dict[str, float]:
    """The arm hangs together, and changes its size in the picture only as fast as it moves."""
    arm = shown == ARM
    area = arm.sum((1, 2)).astype(float)
    torn = []
    for one in arm:
        labelled, count = ndimage.label(one, np.ones((3, 3)))
        sizes = np.bincount(labelled.ravel())[1:] if count else np.zeros(1)
        torn.append(float(sizes.sum() - sizes.max(initial=0)))
    middle = np.array([ndimage.center_of_mass(one) if one.any() else (0.0, 0.0) for one in arm])
    step = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    return {
        "arm_torn": max(0.0, float(np.sort(torn)[-3:].mean()) - torn[0]),
        "arm_jump": float(step.max(initial=0.0)),
        "arm_shape": float(np.abs(np.diff(area)).max(initial=0.0)) / (area.mean() + 10),
    }


def _time(pixels: np.ndarray) -> dict[str, float]:
    """Time runs on, and one way: no standstill before a jump, no picture that was there before something else was."""
    small = pixels[:, ::2, ::2].reshape(len(pixels), -1)
    apart = np.stack([np.abs(small - one).mean(1) for one in small])  # [T, T]
    stirred = np.diagonal(apart, 1)
    moving = np.flatnonzero(stirred > 0.5)
    typical = float(np.median(stirred[moving])) if len(moving) else 1.0
    run, longest, leap = 0, 0, 0.0
    for moved in stirred[: int(moving[-1]) + 1 if len(moving) else 0]:
        if moved > 0.3:
            leap = max(leap, float(moved) / (typical + 1)) if run else leap
            run = 0
        else:
            run += 1
            longest = max(longest, run)
    again, fro = 0.0, 0.0
    for t in range(2, len(pixels)):
        for s in range(t - 1):
            between = float(apart[s + 1 : t, t].max())
            if between > 1:
                again = max(again, between / (float(apart[s, t]) + 0.3))
                fro = max(fro, between - 2 * float(apart[s, t]))
    return {
        "standstill": float(longest),
        "jump_after_standstill": leap,
        "seen_again": again,
        "to_and_fro": max(0.0, fro),
    }


def _softness(frames: np.ndarray) -> float:
    """How much of its outlines the picture has lost at worst, in the quarter that lost most; 0-1."""
    gray = frames.astype(np.float32).mean(-1)
    edges = np.abs(np.diff(gray, axis=1))[:, :, :-1] + np.abs(np.diff(gray, axis=2))[:, :-1]
    parts = np.stack([np.minimum(edges, 60).reshape(len(edges), 63, 63)[:, y : y + 31, x : x + 31].mean((1, 2))
                      for y in (0, 16, 32) for x in (0, 16, 32)], 1)  # fmt: skip
    return float((1 - parts[1:].min(0) / (parts[0] + 2)).max(initial=0.0))
