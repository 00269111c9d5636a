"""How well a score ranks models by their success: coefficients, intervals, permutation p.

The unit is the model. Which interval goes with which coefficient was settled by simulation: n = 8, 14, 20
models, true r = 0, .5, .9, values bivariate normal or rates (50 graded tasks, 100 episodes). Lowest to
highest coverage in percent of the 95 % interval over these 18 settings (400 draws each, so +-2); `*` is ours:

    pearson            *Fisher z 93-97                  BCa bootstrap 92-95   percentile bootstrap 85-94
    spearman           *Fisher z, Bonett-Wright 93-98   BCa 93-97             percentile 93-99
    kendall            *percentile bootstrap 93-98      BCa 94-98             Fisher z, Fieller 85-96
    pairwise_accuracy  *percentile bootstrap 93-98      BCa 94-98             Fisher z, Fieller 85-96
    mmrv               *jackknife t on logs 91-98       BCa 64-83             percentile 62-83

This code itself, 300 draws, true r = 0, .6, .95, n = 8, 14, 20 (n = 5): pearson 91-97 (94-97), spearman 94-97
(97-100), kendall 94-100 (93-100), pairwise accuracy 93-100 (93-100), mmrv 88-98 (83-99).

Fisher z is for rates and other bounded axes (uniform values, or two clusters of models: 94-97). Where a few
models lie far out it is too narrow: 81-88 with Student-t3 values, 76-82 log-normal, where BCa has 87-92.

A bootstrap draws the same model twice, and twins never violate a rank, so it puts MMRV too low: hence the
jackknife. The target for MMRV is its expectation at this number of models, because it grows with that number.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from dreamgen_bench.coefficients import KERNELS, Kernel

Array = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_FOR_INTERVAL = 4
EXACT_UP_TO = 8  # 8! = 40,320 orders
PERMUTATIONS = 9_999
FEW_MODELS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficient:
    """One coefficient of agreement; `dropped` counts the resamples in which it was undefined."""

    value: float | None
    ci95: Interval | None = None
    p: float | None = None
    why: str | None = None
    dropped: int = 0
    ci95_rows: Interval | None = None

    def json(self) -> dict[str, Any]:
        """`value`, `ci95` and `p` always; the others only where they say something."""
        found = {"value": self.value, "ci95": plain(self.ci95), "p": self.p}
        rest = {"why": self.why, "dropped": self.dropped, "ci95_rows": plain(self.ci95_rows)}
        return found | {key: item for key, item in rest.items() if item}


def plain(interval: Interval | None) -> list[float] | None:
    """An interval as JSON has it, so that a record is equal to itself after a round trip."""
    return None if interval is None else list(interval)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """The five coefficients over `n_models` models, and each coefficient again with one model left out."""

    n_models: int
    pearson: Coefficient
    spearman: Coefficient
    kendall: Coefficient
    mmrv: Coefficient
    pairwise_accuracy: Coefficient
    leave_one_out: tuple[dict[str, Any], ...]
    note: str | None = None

    def json(self) -> dict[str, Any]:
        """Plain numbers, strings and None; `note` only where there is one."""
        found = {"n_models": self.n_models} | {name: getattr(self, name).json() for name in KERNELS}
        found["leave_one_out"] = [dict(row) for row in self.leave_one_out]
        return found | ({"note": self.note} if self.note else {})


def pearson(score: ArrayLike, success: ArrayLike) -> Coefficient:
    """Pearson's r over models; undefined for fewer than 3 models or a constant axis."""
    return _coefficient("pearson", score, success)


def spearman(score: ArrayLike, success: ArrayLike) -> Coefficient:
    """Spearman's rho, ties at their mean rank; undefined for fewer than 3 models or a constant axis."""
    return _coefficient("spearman", score, success)


def kendall(score: ArrayLike, success: ArrayLike) -> Coefficient:
    """Kendall's tau-b over models; undefined for fewer than 3 models or a constant axis."""
    return _coefficient("kendall", score, success)


def mmrv(*, score: ArrayLike, success: ArrayLike) -> Coefficient:
    """Mean maximum rank violation (SIMPLER, arXiv 2405.05941), in units of `success`; 0 is best.

    Each model's worst violated pair, weighted by the gap of the pair's SUCCESS values, averaged over models.
    A pair (i, j) is violated where (score_i > score_j) != (success_i > success_j). Keyword-only, because
    swapping the two gives another number without a warning. Undefined for fewer than 2 models or a constant
    axis.
    """
    return _coefficient("mmrv", score, success)


def pairwise_accuracy(score: ArrayLike, success: ArrayLike) -> Coefficient:
    """Share of model pairs that the score orders as success does.

    Pairs tied in success are left out; a pair tied in score alone counts one half, so a guess gets one half.
    Undefined for fewer than 2 models or a constant axis.
    """
    return _coefficient("pairwise_accuracy", score, success)


def agreement(
    score: ArrayLike,
    success: ArrayLike,
    *,
    models: Sequence[str],
    seed: int = 0,
    resamples: int = 4_999,
    rows: tuple[Sequence[ArrayLike], Sequence[ArrayLike]] | None = None,
) -> Agreement:
    """Agreement of `score` [models] with `success` [models]; the same for any order of the models.

    Intervals as the module says, from 4 models on; a resample in which a coefficient is undefined is dropped
    and counted. p is by permutation: all orders up to 8 models, else 9,999 random ones; two-sided, but for
    MMRV the chance of one as small. `rows` = (score rows, success rows), each one array a model (task means,
    so that rows are independent), adds `ci95_rows`: the percentile interval if these same models were
    measured again. It redraws noise that the values already hold, so it sits nearer to no agreement than
    `value`. ValueError: lengths differ, a value is not finite, a model is named twice.
    """
    x, y = _axes(score, success)
    if len(models) != len(x):
        raise ValueError(f"{len(models)} model names for {len(x)} scores")
    if len(set(models)) != len(models):
        raise ValueError("a model is named twice; average its rows first")
    # By value, then by name: neither the order of the input nor a renamed model changes what the seed draws.
    order = np.lexsort((np.asarray(models, dtype=np.str_), y, x))
    x, y, names = x[order], y[order], [models[i] for i in order]
    again = _remeasured(rows, order=order, seed=seed, resamples=resamples) if rows else None
    found = {name: _with_uncertainty(name, x, y, seed=seed, resamples=resamples, again=again) for name in KERNELS}
    return Agreement(n_models=len(x), **found, leave_one_out=_leave_one_out(x, y, names), note=_note(len(x)))


def interval(
    name: str, score: ArrayLike, success: ArrayLike, *, seed: int = 0, resamples: int = 4_999
) -> Interval | None:
    """The 95 % interval of one coefficient by name, as `agreement` has it; None where it has none."""
    x, y = _axes(score, success)
    if _undefined(x, y, least=KERNELS[name][1]):
        return None
    return _interval(name, float(KERNELS[name][0](x, y)), (x, y), seed=seed, resamples=resamples)[0]


def _with_uncertainty(
    name: str, x: Array, y: Array, *, seed: int, resamples: int, again: tuple[Array, Array] | None
) -> Coefficient:
    kernel, least = KERNELS[name]
    why = _undefined(x, y, least=least)
    if why:
        return Coefficient(value=None, why=why)
    value = float(kernel(x, y))
    ends, dropped, why = _interval(name, value, (x, y), seed=seed, resamples=resamples)
    p = _permutation_p(kernel, x, y, seed=seed, alternative="less" if name == "mmrv" else "two-sided")
    ci95_rows = _percentile(kernel(*again))[0] if again else None
    return Coefficient(value=value, ci95=ends, p=p, why=why, dropped=dropped, ci95_rows=ci95_rows)


def _interval(
    name: str, value: float, axes: tuple[Array, Array], *, seed: int, resamples: int
) -> tuple[Interval | None, int, str | None]:
    """The interval that the module says, how many resamples had none, and why there is none."""
    x, y = axes
    if len(x) < FEWEST_FOR_INTERVAL:
        return None, 0, f"{len(x)} models: no interval below {FEWEST_FOR_INTERVAL}"
    if name == "pearson":
        ends = _fisher(value, 1 / (len(x) - 3))
        return ends, 0, None if ends else "the points lie on a line: no interval"
    if name == "mmrv":
        ends = _log_jackknife(value, x, y)
        return ends, 0, None if ends else "no rank is violated with any model left out: no interval"
    ends, dropped = _rank_interval(name, value, x, y, seed=seed, resamples=resamples)
    return ends, dropped, None if ends else "too few distinct values: no interval"


def _rank_interval(
    name: str, value: float, x: Array, y: Array, *, seed: int, resamples: int
) -> tuple[Interval | None, int]:
    # All three are odd under reversing the score; on the scale of a correlation they share the treatment of a
    # perfect order.
    correlation = 2 * value - 1 if name == "pairwise_accuracy" else value
    if abs(correlation) > 1 - 1e-12:
        distinct = min(len(np.unique(x)), len(np.unique(y)))
        low = _perfect_order(distinct, rank=name)
        if low is None:
            return None, 0
        ends = (low, 1.0) if correlation > 0 else (-1.0, -low)
        return (((ends[0] + 1) / 2, (ends[1] + 1) / 2) if name == "pairwise_accuracy" else ends), 0
    if name == "spearman":  # Bonett & Wright 2000, Psychometrika 65
        return _fisher(value, (1 + value**2 / 2) / (len(x) - 3)), 0
    return _percentile(_bootstrap(KERNELS[name][0], x, y, seed=seed, resamples=resamples))


def _fisher(r: float, variance: float) -> Interval | None:
    if abs(r) > 1 - 1e-12:
        return None
    half = scipy_stats.norm.ppf(0.975) * math.sqrt(variance)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def _perfect_order(n: int, *, rank: str) -> float | None:
    """Lower end of the interval of a perfect order of n models, as Spearman's rho or as Kendall's tau.

    A resample of a perfect order is perfect, so a bootstrap would claim certainty. We take the order to be
    half a swap of neighbors away from perfect and use Bonett-Wright. Against inverting P(perfect order | r)
    of normal pairs: tau .73 here and .71 exact at n = 8, .92 and .92 at 14, .96 and .96 at 20; at n = 5 ours
    is lower (.10, exact .23).
    """
    if n < FEWEST_FOR_INTERVAL:
        return None
    near = 1 - 6 / (n * (n * n - 1))
    ends = _fisher(near, (1 + near**2 / 2) / (n - 3))
    assert ends is not None  # near < 1
    return ends[0] if rank == "spearman" else 2 / math.pi * math.asin(2 * math.sin(math.pi * ends[0] / 6))


def _log_jackknife(value: float, x: Array, y: Array) -> Interval | None:
    n = len(x)
    kept = ~np.eye(n, dtype=bool)
    kernel = KERNELS["mmrv"][0]
    without = kernel(*(np.broadcast_to(axis, (n, n))[kept].reshape(n, n - 1) for axis in (x, y)))
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    if value == 0 or error == 0:
        return None
    factor = math.exp(min(float(scipy_stats.t.ppf(0.975, n - 1)) * error / value, 700.0))
    return value / factor, min(value * factor, float(np.ptp(y)))


def _bootstrap(kernel: Kernel, x: Array, y: Array, *, seed: int, resamples: int) -> Array:
    with warnings.catch_warnings():  # of undefined resamples, which `_percentile` drops and counts
        warnings.simplefilter("ignore", scipy_stats.DegenerateDataWarning)
        found = scipy_stats.bootstrap(
            (x, y),
            lambda a, b, axis=-1: kernel(a, b),
            paired=True,
            vectorized=True,
            method="percentile",
            n_resamples=resamples,
            batch=_batch(len(x)),
            rng=np.random.default_rng(seed),
        )
    return np.asarray(found.bootstrap_distribution, dtype=np.float64)


def _percentile(distribution: Array) -> tuple[Interval | None, int]:
    kept = distribution[np.isfinite(distribution)]
    if len(kept) == 0:
        return None, len(distribution)
    low, high = np.quantile(kept, (0.025, 0.975))
    return (float(low), float(high)), len(distribution) - len(kept)


def _permutation_p(kernel: Kernel, x: Array, y: Array, *, seed: int, alternative: str) -> float:
    result = scipy_stats.permutation_test(
        (x,),
        lambda a, axis=-1: kernel(a, y),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=np.inf if len(x) <= EXACT_UP_TO else PERMUTATIONS,
        batch=_batch(len(x)),
        alternative=alternative,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _batch(n: int) -> int:
    return max(1, 2_000_000 // (n * n))  # pairs of models at once: some 16 MB an array


def _remeasured(
    rows: tuple[Sequence[ArrayLike], Sequence[ArrayLike]],
    *,
    order: NDArray[np.intp],
    seed: int,
    resamples: int,
) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    axes = []
    for name, by_model in zip(("score", "success"), rows, strict=True):
        if len(by_model) != len(order):
            raise ValueError(f"{len(by_model)} lists of {name} rows for {len(order)} models")
        drawn = np.empty((resamples, len(order)))
        for column, model in enumerate(order):
            own = np.asarray(by_model[int(model)], dtype=np.float64)
            if own.ndim != 1 or len(own) == 0 or not np.isfinite(own).all():
                raise ValueError(f"{name} rows of every model must be a list of one or more finite numbers")
            drawn[:, column] = own[rng.integers(0, len(own), (resamples, len(own)))].mean(-1)
        axes.append(drawn)
    return axes[0], axes[1]


def _leave_one_out(x: Array, y: Array, names: Sequence[str]) -> tuple[dict[str, Any], ...]:
    found = []
    for model in sorted(names):
        kept = np.asarray([name != model for name in names])
        row: dict[str, Any] = {"model": model}
        for name, (kernel, least) in KERNELS.items():
            row[name] = None if _undefined(x[kept], y[kept], least=least) else float(kernel(x[kept], y[kept]))
        found.append(row)
    return tuple(found)


def _note(n: int) -> str | None:
    if n < 3:
        return f"{n} model{'' if n == 1 else 's'}: too few for a correlation"
    if n >= FEW_MODELS:
        return None
    t = float(scipy_stats.t.ppf(0.975, n - 2))
    least = t / math.sqrt(n - 2 + t * t)
    return f"{n} models: only a Pearson r beyond {least:.2f} would differ from 0 at the 5 % level"


def _axes(score: ArrayLike, success: ArrayLike) -> tuple[Array, Array]:
    """Both axes as float arrays [models], with values made equal that differ by rounding only."""
    both = np.asarray(score, dtype=np.float64), np.asarray(success, dtype=np.float64)
    for name, axis in zip(("score", "success"), both, strict=True):
        if axis.ndim != 1 or not np.isfinite(axis).all():
            raise ValueError(f"{name} must be a list of finite numbers; leave models without a value out")
    if len(both[0]) != len(both[1]):
        raise ValueError(f"{len(both[0])} scores but {len(both[1])} success rates: each model needs both")
    return _snap(both[0]), _snap(both[1])


def _undefined(score: Array, success: Array, *, least: int) -> str | None:
    """Why a coefficient that needs `least` models is undefined here, or None where it is defined."""
    if len(score) < least:
        return f"{len(score)} model{'' if len(score) == 1 else 's'}, at least {least} needed"
    flat = [name for name, axis in (("score", score), ("success", success)) if np.ptp(axis) == 0]
    return f"{' and '.join(flat)} the same for all models" if flat else None


def _coefficient(name: str, score: ArrayLike, success: ArrayLike) -> Coefficient:
    kernel, least = KERNELS[name]
    x, y = _axes(score, success)
    why = _undefined(x, y, least=least)
    return Coefficient(value=None, why=why) if why else Coefficient(value=float(kernel(x, y)))


def _snap(axis: Array) -> Array:
    # The same rates summed in another order differ in the last bit, which ranks would take seriously.
    places = math.frexp(float(np.abs(axis).max(initial=0.0)))[1]
    return np.asarray(np.ldexp(np.round(np.ldexp(axis, -places), 12), places))
