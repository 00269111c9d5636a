"""Agreement of score and success that is left once motion, length, resolution or fine-tuning is held constant.

A metric may follow success only because both follow something simpler: five of seven metrics of a published study were
really measuring the length of the episode (arXiv 2606.10229). The partial correlation is Pearson's r of what least
squares on the covariates leaves of both axes; its interval is Fisher's with as many degrees of freedom fewer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats
from statsmodels.api import OLS, add_constant

SPARE = 4
"""Models that there must be beyond the covariates: fewer fit any line."""


def partial(score: ArrayLike, success: ArrayLike, *, covariates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """{"value", "ci95", "p", "held", "left_out"}, with "why" where it is undefined.

    A covariate that is the same for all models, or that the others already say, holds nothing constant: it is listed
    under `left_out` with the reason. ValueError: lengths differ, a value is not finite.
    """
    x, y = np.asarray(score, float), np.asarray(success, float)
    held, left_out = _useful(covariates, len(x))
    found: dict[str, Any] = {"value": None, "ci95": None, "p": None, "held": list(held), "left_out": left_out}
    if not held:
        return found | {"why": "no covariate that differs between the models"}
    if len(x) < len(held) + SPARE:
        return found | {"why": f"{len(x)} models: at least {len(held) + SPARE} needed to hold {len(held)} constant"}
    design = add_constant(np.column_stack([np.asarray(held[name], float) for name in held]))
    rests = [np.asarray(OLS(axis, design).fit().resid) for axis in (x, y)]
    if min(rest.std() / max(axis.std(), 1e-12) for rest, axis in zip(rests, (x, y), strict=True)) < 1e-9:
        return found | {"why": "the covariates explain an axis whole"}
    r = float(np.corrcoef(rests[0], rests[1])[0, 1])
    free = len(x) - len(held)
    half = scipy_stats.norm.ppf(0.975) / math.sqrt(free - 3)
    ends = None if abs(r) > 1 - 1e-12 else [math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)]
    t = abs(r) * math.sqrt((free - 2) / max(1 - r * r, 1e-15))
    return found | {"value": r, "ci95": ends, "p": float(2 * scipy_stats.t.sf(t, free - 2))}


def _useful(
    covariates: Mapping[str, Sequence[float]], models: int
) -> tuple[dict[str, Sequence[float]], dict[str, str]]:
    held: dict[str, Sequence[float]] = {}
    left_out: dict[str, str] = {}
    columns = [np.ones(models)]
    for name, values in covariates.items():
        column = np.asarray(values, float)
        if column.shape != (models,) or not np.isfinite(column).all():
            raise ValueError(f"covariate {name!r} needs one finite number for each of {models} models")
        if len(set(column.tolist())) < 2:
            left_out[name] = "the same for all models"
            continue
        scaled = (column - column.mean()) / column.std()
        if np.linalg.matrix_rank(np.column_stack([*columns, scaled]), tol=1e-6) <= len(columns):
            left_out[name] = "the other covariates already say it"
            continue
        columns.append(scaled)
        held[name] = values
    return held, left_out
