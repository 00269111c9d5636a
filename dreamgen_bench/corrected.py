"""A score corrected by a few labels: prediction-powered inference (PPI++, arXiv 2311.01453; ppi-python)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from .stats import mean_interval, plain
from .types import UserError

FEWEST = 10
"""Labelled clips below which no interval of a mean is one. With so few it holds the truth in about 92 % of draws."""


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
    if np.ptp(both) == 0:
        return Corrected(why="the judge says the same of every clip: nothing to correct with", **counts)
    try:
        from ppi_py import classical_mean_ci, ppi_mean_ci, ppi_mean_pointestimate
    except ModuleNotFoundError as error:
        raise UserError("corrected scores need ppi-python: pip install 'dreamgen-bench[ppi]'") from error
    low, high = (float(np.squeeze(end)) for end in ppi_mean_ci(y, f, rest, alpha=0.05))
    wide = float(np.ptp(classical_mean_ci(y, alpha=0.05)))
    saved = len(y) * ((wide / (high - low)) ** 2 - 1) if high > low else None
    alone = mean_interval(y, tasks=[str(at) for at in range(len(y))])
    return Corrected(
        labels_only=round(float(y.mean()), 6),
        labels_ci95=plain(alone.ci95),
        mean=round(float(np.squeeze(ppi_mean_pointestimate(y, f, rest))), 6),
        ci95=_widened(low, high, y - f),
        labels_saved=None if saved is None else int(saved),
        **counts,
    )


def _widened(low: float, high: float, errors: np.ndarray) -> list[float]:
    """The library's normal interval with Student's quantile for so many labels, within what a share can be.

    Where the judge errs alike on every label its error seems known for certain; it is then known as far as the upper
    end of Wilson's interval of no error among so many.
    """
    half = (high - low) / 2 * float(scipy_stats.t.ppf(0.975, len(errors) - 1) / scipy_stats.norm.ppf(0.975))
    unseen = float(proportion_confint(0, len(errors), method="wilson")[1]) if np.ptp(errors) == 0 else 0.0
    middle, half = (low + high) / 2, float(np.hypot(half, unseen))
    return [round(max(middle - half, 0.0), 6), round(min(middle + half, 1.0), 6)]
