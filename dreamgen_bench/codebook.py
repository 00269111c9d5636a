"""Latent actions x true episodes -> whether the codebook lives, and whether the labels tell of what the robot did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .reliability import Figure
from .types import Video
from .validation import Requirement

GATE: tuple[Requirement, ...] = (
    Requirement(figure="codes_used", least=0.75, why="a code that is never used holds nothing: a codebook of fewer"),
    Requirement(figure="entropy", least=0.6, why="of what its codes could tell; 0 where one code answers everything"),
    Requirement(figure="probe", least=0.3, why="hand motion read off the labels by a line, on episodes left out"),
    Requirement(
        figure="foreseen", most=0.9, why="of holding the frame's error, that of the later frame made of its code"
    ),
)
RARE = 0.01
"""Share of all tokens below which a code counts as dead."""
MOTION = slice(4, 7)
"""Of true labels: the mean hand motion in a step."""


def figures(model: Any, found: Sequence[tuple[Video, np.ndarray]]) -> dict[str, Figure]:
    """Use and entropy of the codebook, the probe and the foresight, on (video, true labels).

    The probe alone does not tell a trained model: differences of pictures under random weights hold motion too. A model
    that shows no codebook (`codes` in it, `used(video)` int [T - 1, tokens], `foreseen(video)` the earlier and the
    later pictures and those made of the codes) leaves figures undefined.
    """
    labels = list(model.label([video for video, _ in found]))
    motion = [true[:, MOTION].astype(float) for _, true in found]
    probed = {"probe": probe(labels, [ahead(m, getattr(model, "horizon", 1)) for m in motion])}
    if not hasattr(model, "used"):
        unknown = Figure(
            value=None, why="the model shows no codebook: it needs `codes`, `used(video)`, `foreseen(video)`"
        )
        return dict.fromkeys(("codes_used", "entropy", "dead_codes", "foreseen"), unknown) | probed
    used = np.concatenate([model.used(video).ravel() for video, _ in found])
    return of_codes(used, model.codes) | probed | {"foreseen": foresight([model.foreseen(v) for v, _ in found])}


def foresight(shown: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Squared error of the pictures made, as a share of that of holding the earlier ones; (earlier, later, made)."""
    made = sum(float(((out - later) ** 2).sum()) for _, later, out in shown)
    held = sum(float(((earlier - later) ** 2).sum()) for earlier, later, _ in shown)
    if held == 0:
        return Figure(value=None, n=len(shown), why="nothing moves in any video")
    return Figure(value=made / held, n=len(shown))


def of_codes(used: NDArray[np.int_], codes: int) -> dict[str, Figure]:
    """Of the codes of all tokens [N]: the share in use, the entropy as a share of the most possible, the dead ones."""
    share = np.bincount(used, minlength=codes) / max(len(used), 1)
    some = share[share > 0]
    dead = int((share < RARE).sum())
    entropy = float(-(some * np.log(some)).sum() / np.log(codes)) if codes > 1 else 0.0
    return {
        "codes_used": Figure(value=1 - dead / codes, n=len(used)),
        "entropy": Figure(value=entropy, n=len(used)),
        "dead_codes": Figure(value=float(dead), n=len(used)),
    }


def ahead(motion: np.ndarray, horizon: int) -> np.ndarray:
    """Mean motion of each step and those after it that a label looks over; [T - 1, 3]."""
    return np.stack([motion[step : step + horizon].mean(0) for step in range(len(motion))])


def probe(labels: Sequence[np.ndarray], motion: Sequence[np.ndarray]) -> Figure:
    """R2 of ridge regression from labels to motion, fitted on every other episode and tested on the rest.

    Undefined where the labels or the motion do not vary.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen, told = (np.concatenate(list(rows)) for rows in (labels[::2], motion[::2]))
    if not seen.std(0).any() or not told.std(0).any():
        return Figure(value=None, n=len(labels), why="the labels or the motion are the same everywhere")
    line = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 13))).fit(seen, told)
    score = line.score(*(np.concatenate(list(rows)) for rows in (labels[1::2], motion[1::2])))
    return Figure(value=float(score), n=len(labels))
