"""The five coefficients themselves, for thousands of resamples at once.

They take float arrays [..., models], broadcast, and return [...]; NaN where an axis is constant. They exist beside
scipy's functions because bootstrap and permutation need thousands of values at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

Array = NDArray[np.float64]
Kernel = Callable[[Array, Array], Array]


def _pearson_kernel(score: Array, success: Array) -> Array:
    x, y = _centered(score), _centered(success)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    # Centering can leave rounding noise on a constant axis, and noise correlates with anything.
    flat = (np.ptp(score, -1) == 0) | (np.ptp(success, -1) == 0)
    return np.asarray(np.where(flat, np.nan, np.clip(r, -1, 1)))


def _centered(axis: Array) -> Array:
    away = axis - axis.mean(-1, keepdims=True)
    # Squares of what is very large or very small are infinite or 0; a power of two loses no bit.
    return np.asarray(np.ldexp(away, -np.frexp(np.abs(away).max(-1, keepdims=True, initial=0.0))[1]))


def _spearman_kernel(score: Array, success: Array) -> Array:
    return _pearson_kernel(scipy_stats.rankdata(score, axis=-1), scipy_stats.rankdata(success, axis=-1))


def _kendall_kernel(score: Array, success: Array) -> Array:
    x, y = _pair_signs(score), _pair_signs(success)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((x * y).sum(-1) / np.sqrt((x != 0).sum(-1) * (y != 0).sum(-1)))


def _mmrv_kernel(score: Array, success: Array) -> Array:
    gap = success[..., :, None] - success[..., None, :]
    violated = (score[..., :, None] > score[..., None, :]) != (gap > 0)
    return np.asarray((np.abs(gap) * violated).max(-1).mean(-1))


def _pairwise_accuracy_kernel(score: Array, success: Array) -> Array:
    x, y = _pair_signs(score), _pair_signs(success)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(((1 + x * y) / 2 * (y != 0)).sum(-1) / (y != 0).sum(-1))


# name -> (kernel, fewest models that define it)
KERNELS: dict[str, tuple[Kernel, int]] = {
    "pearson": (_pearson_kernel, 3),
    "spearman": (_spearman_kernel, 3),
    "kendall": (_kendall_kernel, 3),
    "mmrv": (_mmrv_kernel, 2),
    "pairwise_accuracy": (_pairwise_accuracy_kernel, 2),
}


def _pair_signs(axis: Array) -> Array:
    i, j = np.triu_indices(axis.shape[-1], 1)
    return np.sign(axis[..., i] - axis[..., j])
