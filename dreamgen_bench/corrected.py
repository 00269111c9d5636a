"""A score corrected by a few labels: prediction-powered inference (PPI++, arXiv 2311.01453; ppi-python)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .types import UserError

FEWEST = 10
"""Labelled clips below which the normal interval of a mean is no interval."""


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A mean as the judge has it, as the labels alone have it, and as both together have it."""

    judged: float | None = None
    labels_only: float | None = None
    labels_ci95: list[float] | None = None
    mean: float | None = None
    ci95: list[float] | None = None
    labelled: int = 0
    unlabelled: int = 0
    labels_saved: int | None = None  # how many more labels alone would have given the same width
    why: str | None = None

    def json(self) -> dict[str, Any]:
        """Plain numbers, strings and None."""
        return asdict(self)


def corrected(truth: ArrayLike, said: ArrayLike, said_unlabelled: ArrayLike) -> Corrected:
    """The mean of the labels that all clips would have, from labels of some and a judge's answers about all.

    truth, said: [labelled] label and answer of the same clips. said_unlabelled: [unlabelled] answers about the others.
    The clips that are labelled must have been drawn at random. Raises UserError where the extra is missing.
    """
    y, f = np.asarray(truth, np.float64), np.asarray(said, np.float64)
    rest = np.asarray(said_unlabelled, np.float64)
    both = np.concatenate([f, rest])
    judged = round(float(both.mean()), 6) if len(both) else None
    counts: dict[str, Any] = {"judged": judged, "labelled": len(y), "unlabelled": len(rest)}
    if len(y) < FEWEST:
        return Corrected(why=f"{len(y)} labelled clips: no correction below {FEWEST}", **counts)
    if not len(rest):
        return Corrected(why="every clip is labelled: nothing is left to correct", **counts)
    if np.ptp(y) == 0:
        return Corrected(why="all labels are the same: no interval", **counts)
    try:
        from ppi_py import classical_mean_ci, ppi_mean_ci, ppi_mean_pointestimate
    except ModuleNotFoundError as error:
        raise UserError("corrected scores need ppi-python: pip install 'dreamgen-bench[ppi]'") from error
    low, high = (float(np.squeeze(end)) for end in ppi_mean_ci(y, f, rest, alpha=0.05))
    plain = [float(np.squeeze(end)) for end in classical_mean_ci(y, alpha=0.05)]
    saved = len(y) * (((plain[1] - plain[0]) / (high - low)) ** 2 - 1) if high > low else None
    return Corrected(
        labels_only=round(float(y.mean()), 6),
        labels_ci95=[round(end, 6) for end in plain],
        mean=round(float(np.squeeze(ppi_mean_pointestimate(y, f, rest))), 6),
        ci95=[round(low, 6), round(high, 6)],
        labels_saved=None if saved is None else int(saved),
        **counts,
    )
