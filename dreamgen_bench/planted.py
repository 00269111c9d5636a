"""Benchmarks with a planted truth, through our own statistics: do the 95 % intervals hold what they promise?

Models are drawn from a population in which true score and true success have a known correlation. Each is judged on
tasks and tried in episodes, with the noise of a real run: tasks differ in difficulty, and in whom they suit; trained
policies differ in luck; answers and episodes are coin flips. Then `crossed`, `stats`, `agreement` and `noise` compute
what they compute for a run, and we count how often the truth lies within.

    score        true score of one model, over all tasks                                     stats.mean_interval
    difference   of two models' true scores                                                  stats.paired_difference
    success      true success of one model, over all starts and all trainings of its policy  crossed.interval
    measured     Pearson's r of scores and success as this protocol measures them            agreement.agreement
    true         Pearson's r of true scores and true success                                 noise.corrected

The last two are of the population that models come from, not of these models alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri

from . import agreement, crossed, noise, stats

Array = NDArray[np.float64]
NOMINAL, WANTED = 0.95, (0.93, 0.97)
MANY = 40_000
"""Models that stand for the population where its correlation is computed by drawing."""
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One simulated benchmark: what is true of the population, and what the protocol spends."""

    models: int
    correlation: float  # of true scores and true success, over the population
    score_shape: tuple[float, float] = (3.0, 2.0)  # of the Beta distribution of true scores
    success_shape: tuple[float, float] = (1.5, 2.5)  # of true success: many models near the floor
    tasks: int = 50
    video_seeds: int = 1
    starts: int = 72
    policies: int = 3
    difficulty: float = 1.0  # standard deviation of what a task or start adds to a latent answer, of which
    shared: float = 0.5  # this share is the same for all models,
    luck: float = 0.05  # and this share of an episode's is the policy's luck in training


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One draw: what is true of these models, and what was measured."""

    true_score: Array  # [models]
    true_success: Array  # [models]
    score: noise.Cells
    success: noise.Cells


def draw(planted: Planted, rng: np.random.Generator) -> Drawn:
    """Models, their answers and their episodes."""
    score, success = _models(planted, planted.models, rng)
    names = tuple(f"model {number:02d}" for number in range(planted.models))
    judged = sum(_answers(planted, score, rng) for _ in range(2)) / 2  # of two rubrics
    cells = {"score": np.asarray(judged), "success": _episodes(planted, success, rng)}
    measured = {
        axis: noise.Cells(models=names, suites={"planted": table}, crossed=axis == "success")
        for axis, table in cells.items()
    }
    return Drawn(true_score=score, true_success=success, **measured)


def _score(drawn: Drawn, seed: int) -> Interval | None:
    score = drawn.score.suites["planted"]
    return stats.mean_interval(score[0].ravel(), tasks=_names(score.shape[1:])[0], seed=seed).ci95


def _difference(drawn: Drawn, seed: int) -> Interval | None:
    score = drawn.score.suites["planted"]
    tasks = _names(score.shape[1:])[0]
    return stats.paired_difference(score[0].ravel(), score[1].ravel(), tasks=tasks, seed=seed).ci95


def _success(drawn: Drawn, seed: int) -> Interval | None:
    rows = drawn.success.suites["planted"]
    starts, policies = _names(rows.shape[1:])
    return crossed.interval(rows[0].ravel(), tasks=starts, repeats=policies).ci95


def _measured(drawn: Drawn, seed: int) -> Interval | None:
    return agreement.interval("pearson", drawn.score.values(), drawn.success.values(), seed=seed)


def _true(drawn: Drawn, seed: int) -> Interval | None:
    return noise.corrected(drawn.score, drawn.success, seed=seed).ci95


INTERVALS: dict[str, Callable[[Drawn, int], Interval | None]] = {
    "score": _score,
    "difference": _difference,
    "success": _success,
    "measured": _measured,
    "true": _true,
}
"""Our interval for each quantity; of scores and success the first model's, of differences its and the second's."""


def truth(planted: Planted, drawn: Drawn) -> dict[str, float]:
    """What each of the intervals is meant to hold."""
    return {
        "score": float(drawn.true_score[0]),
        "difference": float(drawn.true_score[0] - drawn.true_score[1]),
        "success": float(drawn.true_success[0]),
        "measured": attenuated(planted),
        "true": planted.correlation,
    }


def outcomes(
    planted: Planted, *, draws: range, quantities: Sequence[str] = tuple(INTERVALS)
) -> Iterator[dict[str, bool | None]]:
    """Of each draw by its number, whether each interval held its truth; None where there was no interval."""
    for number in draws:
        drawn = draw(planted, np.random.default_rng([planted.models, round(1000 * planted.correlation) + 1000, number]))
        real = truth(planted, drawn)
        found = {name: INTERVALS[name](drawn, number) for name in quantities}
        yield {name: None if ends is None else ends[0] <= real[name] <= ends[1] for name, ends in found.items()}


def coverage(held: list[bool | None]) -> dict[str, Any]:
    """Share of intervals that held the truth, with its own Wilson interval; draws without an interval are counted."""
    known = [float(value) for value in held if value is not None]
    estimate = stats.mean_interval(known, tasks=[str(number) for number in range(len(known))])
    share = {"coverage": estimate.mean, "ci95": stats.plain(estimate.ci95)}
    return share | {"draws": len(held), "without_interval": len(held) - len(known)}


def attenuated(planted: Planted) -> float:
    """The population's correlation as the protocol measures it: the true one times the root of both reliabilities."""
    spread, known = _moments(planted)
    return planted.correlation * math.prod(
        math.sqrt(true / (true + error)) for true, error in zip(spread, known, strict=True)
    )


@cache
def _moments(planted: Planted) -> tuple[tuple[float, float], tuple[float, float]]:
    """Variances of true score and success over the population, and of their measuring noise; by drawing many."""
    rng = np.random.default_rng(1)
    axes = _models(planted, MANY, rng)
    # Noise common to all models moves none against another: tasks are drawn once, and their shared part cancels.
    errors = []
    for axis, rates in enumerate(axes):
        rows = (_answers(planted, rates, rng) + _answers(planted, rates, rng)) / 2 if axis == 0 else None
        rows = _episodes(planted, rates, rng) if rows is None else rows
        means = rows.mean(axis=(1, 2))
        # What is shared shifts models by amounts that depend on their rates: regress it out with a cubic.
        rest = (means - rates) - np.polyval(np.polyfit(rates, means - rates, 3), rates)
        errors.append(float(rest.var()))
    return (float(axes[0].var()), float(axes[1].var())), (errors[0], errors[1])


def _models(planted: Planted, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    latent = _latent(planted.correlation, planted.score_shape, planted.success_shape)
    one = rng.normal(size=count)
    two = latent * one + math.sqrt(1 - latent**2) * rng.normal(size=count)
    return _rates(one, planted.score_shape), _rates(two, planted.success_shape)


def _rates(normal: Array, shape: tuple[float, float]) -> Array:
    return np.asarray(betaincinv(*shape, ndtr(normal)))


@cache
def _latent(correlation: float, one: tuple[float, float], two: tuple[float, float]) -> float:
    """The correlation of the normal copula that gives the rates this one, by bisection over Gauss-Hermite sums."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    x = _rates(nodes, one)

    def of(latent: float) -> float:
        y = _rates(latent * nodes[:, None] + math.sqrt(1 - latent**2) * nodes[None], two)
        joint = weights[:, None] * weights[None]
        x_mean, y_mean = (weights * x).sum(), (joint * y).sum()
        both = (joint * (x[:, None] - x_mean) * (y - y_mean)).sum()
        return float(both / math.sqrt((weights * (x - x_mean) ** 2).sum() * (joint * (y - y_mean) ** 2).sum()))

    low, high = -1.0, 1.0
    if not of(-1.0) <= correlation <= of(1.0):
        raise ValueError(f"no population of these shapes has a correlation of {correlation}")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < correlation else (low, middle)
    return (low + high) / 2


def _answers(planted: Planted, rates: Array, rng: np.random.Generator) -> Array:
    """0/1 answers [models, tasks, seeds]; each model's mean over all tasks is its rate."""
    shape = (len(rates), planted.tasks, 1)
    latent = _mixed(rng, (planted.shared, (1, *shape[1:])), (1 - planted.shared, shape))
    chance = _chance(planted, rates, latent)
    return (rng.random((*shape[:2], planted.video_seeds)) < chance).astype(np.float64)


def _episodes(planted: Planted, rates: Array, rng: np.random.Generator) -> Array:
    """0/1 successes [models, starts, policies]; each model's mean over all starts and policies is its rate."""
    models, starts, policies = len(rates), planted.starts, planted.policies
    rest = 1 - planted.shared - planted.luck
    parts = ((planted.shared, (1, starts, 1)), (planted.luck, (models, 1, policies)), (rest, (models, starts, 1)))
    return (rng.random((models, starts, policies)) < _chance(planted, rates, _mixed(rng, *parts))).astype(np.float64)


def _mixed(rng: np.random.Generator, *parts: tuple[float, tuple[int, ...]]) -> Array:
    return np.asarray(sum(math.sqrt(share) * rng.normal(size=shape) for share, shape in parts))


def _chance(planted: Planted, rates: Array, latent: Array) -> Array:
    """Chances whose mean over standard normal `latent` is each model's rate: a probit model."""
    easy = ndtri(np.clip(rates, 1e-9, 1 - 1e-9))[:, None, None] * math.sqrt(1 + planted.difficulty**2)
    return np.asarray(ndtr(easy + planted.difficulty * latent))


def _names(shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
    tasks, repeats = shape
    return [f"t{number:03d}" for number in range(tasks) for _ in range(repeats)], [
        f"r{n}" for n in range(repeats)
    ] * tasks
