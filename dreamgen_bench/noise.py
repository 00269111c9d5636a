"""What measuring does to a correlation over models: its noise taken out, and its noise drawn again.

Every axis of a scatter is an estimate. Noise in either shrinks Pearson's r towards 0, so there are two questions, and
each interval answers one:

    agreement.pearson   how well do scores *measured like this* follow success *measured like this*?   (attenuated)
    corrected           how well do the true scores follow the true success?                            (Spearman 1904)

Both are about the population that these models were drawn from, and `planted.py` measures that both cover. True means:
over all tasks like these, all video seeds, all starts, and all policies that the same recipe could have trained.

The field divides r by the root of both reliabilities, and its interval alike (Hunter & Schmidt), or resamples models
(Padilla & Veprinsky 2012); Moss (arXiv 1911.01576) shows that such intervals fail for few subjects. Ours is a
generalized interval (Weerahandi 1993): draws of the covariance of the measured values, as right-Haar posteriors give
them, which is exact without noise (Berger & Sun 2008, Annals of Statistics 36), less the noise estimated from the rows.
In how many percent of draws 95 % intervals held the true r, lowest to highest of 18 settings (true r = 0, .6, .9; 8,
14, 20 models; two populations of rates, one with many models near the floor; 300 draws each, so +-3):

    noise in the axes' variance             2-5 %    7-18 %
    corrected                               94-99    92-98
    Fisher z, noise left in                 91-100   53-98
    Fisher z over both reliabilities        93-100   93-99     about 6 % wider
    bootstrap over models, percentile       78-97    77-94

and of another 18 settings with 1,000 draws each (4-8 and 16-17 %; `dreamgen-bench study planted-truth`): 94-97.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dreamgen_bench import crossed as crossed_rows
from dreamgen_bench.agreement import FEWEST_FOR_INTERVAL, plain
from dreamgen_bench.coefficients import KERNELS

Array = NDArray[np.float64]
Interval = tuple[float, float]
DRAWS = 8_000
RESAMPLES = 1_000


@dataclass(frozen=True, kw_only=True)
class Cells:
    """One axis as it was measured: an array [models, tasks, repeats] a suite, NaN where a value could not be had.

    `crossed`: a repeat is one thing for all tasks of a model (a trained policy); otherwise each task has its own (a
    video's seed). A model's value is the mean over suites of the mean of all its cells.
    """

    models: tuple[str, ...]
    suites: Mapping[str, Array]
    crossed: bool

    def of(self, models: Sequence[str]) -> Cells:
        """The same for some of the models, in that order."""
        places = [self.models.index(name) for name in models]
        return Cells(
            models=tuple(models), suites={s: cells[places] for s, cells in self.suites.items()}, crossed=self.crossed
        )

    def values(self) -> Array:
        """Each model's value; float [models]."""
        return np.mean([np.nanmean(cells, axis=(1, 2)) for cells in self.suites.values()], axis=0)

    def noise(self) -> Array:
        """Variance of each model's value if it were measured again; float [models], all NaN where nothing tells.

        What a task adds to all models alike moves no model against another, and is left out: tasks are centered over
        models, and the variance of the rest is set free of what centering took and gave.
        """
        parts = [_noise(cells, crossed=self.crossed) for cells in self.suites.values()]
        return np.asarray(np.sum(parts, axis=0) / len(parts) ** 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corrected:
    """Pearson's r of true scores and true success; `reliability` (score, success): the share of variance no noise."""

    value: float | None
    ci95: Interval | None
    reliability: tuple[float, float] | None
    why: str | None = None

    def json(self) -> dict[str, Any]:
        """Plain numbers, strings and None."""
        found = {"value": self.value, "ci95": plain(self.ci95), "reliability": plain(self.reliability)}
        return found | ({"why": self.why} if self.why else {})


def corrected(score: Cells, success: Cells, *, seed: int = 0) -> Corrected:
    """Pearson's r without the noise of either axis. Undefined below 4 models, and where noise explains an axis whole.

    The noise of the two axes is taken as independent: they are measured on different videos. With one policy a model
    the luck of its training can't be told from its quality, and stays in.
    """
    models = len(score.models)
    if models < FEWEST_FOR_INTERVAL:
        return _undefined(f"{models} models, at least {FEWEST_FOR_INTERVAL} needed")
    x, y = score.values(), success.values()
    if np.ptp(x) < 1e-12 or np.ptp(y) < 1e-12:
        return _undefined("an axis is the same for all models")
    noise = tuple(max(float(axis.noise().mean()), 0.0) for axis in (score, success))
    if not np.isfinite(noise).all():
        return _undefined("one task or less a suite: the noise can't be estimated")
    covariance = np.cov(x, y)
    left = np.diag(covariance) - noise
    shares = np.maximum(left, 0) / np.diag(covariance)
    reliability = float(shares[0]), float(shares[1])
    ends = _generalized(covariance, noise, models, seed=seed)
    if min(left) <= 0:
        axis = "score" if left[0] <= 0 else "success"
        return Corrected(
            value=None, ci95=ends, reliability=reliability, why=f"the models' {axis} differs by noise alone"
        )
    value = float(np.clip(covariance[0, 1] / math.sqrt(left[0] * left[1]), -1, 1))
    return Corrected(value=value, ci95=ends, reliability=reliability)


def hierarchical(score: Cells, success: Cells, *, seed: int = 0) -> dict[str, Interval | None]:
    """Percentile intervals of every coefficient over models, tasks and repeats, all drawn again; None below 4 models.

    Tasks are drawn once for all models, repeats within each model. Values that already hold noise get it twice, so
    these intervals lie nearer to no agreement than the values, and are no substitute for `corrected`: they tell how
    much of an agreement would survive another measurement of other models.
    """
    models = len(score.models)
    if models < FEWEST_FOR_INTERVAL:
        return dict.fromkeys(KERNELS)
    rng = np.random.default_rng(seed)
    drawn = np.empty((2, RESAMPLES, models))
    for number in range(RESAMPLES):
        chosen = rng.integers(0, models, models)
        for axis, cells in enumerate((score, success)):
            drawn[axis, number] = _again(cells, chosen, rng)
    found: dict[str, Interval | None] = {}
    for name, (kernel, _) in KERNELS.items():
        values = kernel(*drawn)
        values = values[np.isfinite(values)]
        ends = np.quantile(values, (0.025, 0.975)) if len(values) else None
        found[name] = None if ends is None else (float(ends[0]), float(ends[1]))
    return found


def _undefined(why: str) -> Corrected:
    return Corrected(value=None, ci95=None, reliability=None, why=why)


def _generalized(covariance: Array, noise: Sequence[float], models: int, *, seed: int) -> Interval:
    """Quantiles of r over draws of the true covariance; a draw that leaves no true variance stands at -1 or 1."""
    rng = np.random.default_rng(seed)
    # The right-Haar draw is not symmetric in the axes: each takes the first place in half of the draws.
    halves = [
        _draws(covariance, noise, models, rng),
        _draws(covariance[::-1, ::-1], noise[::-1], models, rng),
    ]
    low, high = np.quantile(np.concatenate(halves), (0.025, 0.975))
    return float(low), float(high)


def _draws(covariance: Array, noise: Sequence[float], models: int, rng: np.random.Generator) -> Array:
    (xx, xy), (_, yy) = covariance * (models - 1)
    total = xx / rng.chisquare(models - 1, DRAWS // 2)
    rest = max(yy - xy * xy / xx, 0.0) / rng.chisquare(models - 2, DRAWS // 2)
    slope = xy / xx + rng.normal(size=DRAWS // 2) * np.sqrt(rest / xx)
    true = np.maximum(total - noise[0], 0.0) * np.maximum(rest + slope**2 * total - noise[1], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = slope * total / np.sqrt(true)
    return np.asarray(np.clip(np.nan_to_num(r, nan=0.0), -1, 1))


def _noise(cells: Array, *, crossed: bool) -> Array:
    models, tasks, repeats = cells.shape
    if models < 3 or tasks < 2:
        return np.full(models, np.nan)
    centered = cells - np.nanmean(cells, axis=(0, 2), keepdims=True)
    if crossed and repeats > 1:
        variance = np.array([crossed_rows.variance(rows) for rows in centered])
    else:
        means = np.nanmean(centered, axis=2)
        known = np.isfinite(means).sum(axis=1)
        variance = np.nanvar(means, axis=1, ddof=1) / known
    # Centering left each model (1 - 2/n) of its own variance and gave it 1/n of the mean variance.
    typical = variance.mean() / (1 - 1 / models)
    return np.asarray((variance - typical / models) / (1 - 2 / models))


def _again(cells: Cells, chosen: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """The values of drawn models, were their tasks and repeats drawn again; float [models]."""
    total = np.zeros(len(chosen))
    for table in cells.suites.values():
        _, tasks, repeats = table.shape
        rows = table[chosen][:, rng.integers(0, tasks, tasks)]
        if repeats > 1:
            columns = rng.integers(0, repeats, (len(chosen), 1, repeats))
            rows = np.take_along_axis(rows, np.broadcast_to(columns, rows.shape), axis=2)
        total += np.nanmean(rows, axis=(1, 2))
    return total / len(cells.suites)
