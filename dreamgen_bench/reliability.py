"""How far a judge can be trusted, clip by clip: agreement with labels, bias and calibration, each with its interval.

Figures are scikit-learn's and krippendorff's. Their intervals are percentiles of a bootstrap over clips: for speed each
resample is a row of weights, and `_resampled` computes a figure for all rows at once; tests hold it to the libraries.
Chance-corrected agreement with a rater who never varies is undefined: there is nothing to correct.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import krippendorff
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

Array = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]

RESAMPLES = 999
BINS = 10
"""Of equal width, for the calibration error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure over `n` clips; `value` is None where it is undefined, and `why` says for what reason."""

    value: float | None
    ci95: tuple[float, float] | None = None
    n: int = 0
    why: str | None = None

    def json(self) -> dict[str, Any]:
        """Plain numbers, strings and None."""
        ends = None if self.ci95 is None else [round(end, 6) for end in self.ci95]
        return asdict(self) | {"value": None if self.value is None else round(self.value, 6), "ci95": ends}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A judge's answers about clips whose truth is known."""

    truth: Array  # [clips], 0 or 1
    said: Array  # [clips], 0 or 1
    chance: Array  # [clips], P(yes), NaN where the judge gives none
    raters: Array  # [raters, clips], 0 or 1, NaN where a rater did not rate

    def only(self, kept: NDArray[np.bool_]) -> Answers:
        """These clips alone."""
        return Answers(
            truth=self.truth[kept], said=self.said[kept], chance=self.chance[kept], raters=self.raters[:, kept]
        )


def figures(answers: Answers, *, seed: int = 0) -> dict[str, Figure]:
    """Every figure by name.

    cry_wolf: share of sound clips called broken. missed: share of broken clips called sound. yes_bias: the share of
    yes that the judge says minus the true share. alpha: Krippendorff's, of the judge and all raters together;
    alpha_raters: of the raters alone.
    """
    found = {}
    for name, (point, _) in FIGURES.items():
        mine = answers.only(~np.isnan(answers.chance)) if name in _PROBABLE else answers
        why = _undefined(name, mine, of=answers)
        if why:
            found[name] = Figure(value=None, n=len(mine.truth), why=why)
            continue
        value = point(mine)
        assert value is not None, name  # `_undefined` knows of every reason
        value = float(value)
        interval, reason = _interval(name, value, mine, seed=seed)
        found[name] = Figure(value=value, ci95=interval, n=len(mine.truth), why=reason)
    return found


def ece(truth: Array, chance: Array) -> float:
    """Expected calibration error: the gap between P(yes) and the share of yes, averaged over bins by their clips."""
    place = _bins(chance)
    gaps = np.bincount(place, truth - chance, minlength=BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _bins(chance: Array) -> NDArray[np.intp]:
    return np.minimum((chance * BINS).astype(np.intp), BINS - 1)


def alpha(ratings: Array, *, level: Level = "nominal") -> float | None:
    """Krippendorff's alpha of ratings [raters, items], NaN where there is none; None where it is undefined."""
    if any(holds for holds, _ in _alone(ratings)):
        return None
    domain = np.unique(ratings[~np.isnan(ratings)])
    return float(krippendorff.alpha(reliability_data=ratings, value_domain=domain, level_of_measurement=level))


def cohen(one: ArrayLike, other: ArrayLike, *, weights: str | None = None) -> float | None:
    """Cohen's kappa of two raters [items], of any categories; None where either never varies.

    weights: None, linear or quadratic, for categories in an order.
    """
    pair = [np.asarray(rater) for rater in (one, other)]
    if any(len(np.unique(rater)) < 2 for rater in pair):
        return None
    return float(metrics.cohen_kappa_score(*pair, weights=weights))


def fleiss(ratings: Array) -> float | None:
    """Fleiss' kappa of ratings [raters, items] without gaps; None where all ratings are the same."""
    if ratings.size == 0 or np.ptp(ratings) == 0:
        return None
    return float(fleiss_kappa(aggregate_raters(np.asarray(ratings).T)[0]))


def _everybody(answers: Answers) -> Array:
    return np.vstack([answers.raters, answers.said])


# Names -> the figure by a library, and the same for weights [resamples, clips].
FIGURES: dict[str, tuple[Callable[[Answers], float | None], Callable[[Answers, Array], Array]]] = {
    "accuracy": (
        lambda a: metrics.accuracy_score(a.truth, a.said),
        lambda a, w: w @ (a.truth == a.said) / w.sum(1),
    ),
    "balanced_accuracy": (
        lambda a: metrics.balanced_accuracy_score(a.truth, a.said),
        lambda a, w: (_share(w, a.said, a.truth == 1) + _share(w, 1 - a.said, a.truth == 0)) / 2,
    ),
    "f1": (
        lambda a: metrics.f1_score(a.truth, a.said),
        lambda a, w: 2 * (w @ (a.truth * a.said)) / (w @ (a.truth + a.said)),
    ),
    "kappa": (
        lambda a: cohen(a.truth, a.said),
        lambda a, w: _kappa(a, w),
    ),
    "alpha": (
        lambda a: alpha(_everybody(a)),
        lambda a, w: _alphas(_everybody(a), w),
    ),
    "alpha_raters": (
        lambda a: alpha(a.raters),
        lambda a, w: _alphas(a.raters, w),
    ),
    "auroc": (
        lambda a: metrics.roc_auc_score(a.truth, a.chance),
        lambda a, w: _aurocs(a, w),
    ),
    "ece": (
        lambda a: ece(a.truth, a.chance),
        lambda a, w: np.abs(w @ ((a.truth - a.chance)[:, None] * np.eye(BINS)[_bins(a.chance)])).sum(1) / w.sum(1),
    ),
    "yes_bias": (
        lambda a: a.said.mean() - a.truth.mean(),
        lambda a, w: w @ (a.said - a.truth) / w.sum(1),
    ),
    "cry_wolf": (
        lambda a: 1 - metrics.recall_score(a.truth, a.said, pos_label=1),
        lambda a, w: _share(w, 1 - a.said, a.truth == 1),
    ),
    "missed": (
        lambda a: 1 - metrics.recall_score(a.truth, a.said, pos_label=0),
        lambda a, w: _share(w, a.said, a.truth == 0),
    ),
}
_PROBABLE = {"auroc", "ece"}
_SHARES = {"accuracy", "cry_wolf", "missed"}


def _share(weights: Array, values: Array, among: NDArray[np.bool_]) -> Array:
    return np.asarray(weights @ (values * among) / (weights @ among))


def _kappa(answers: Answers, weights: Array) -> Array:
    total = weights.sum(1)
    said, truth = weights @ answers.said / total, weights @ answers.truth / total
    chance = said * truth + (1 - said) * (1 - truth)
    return np.asarray((weights @ (answers.said == answers.truth) / total - chance) / (1 - chance))


def _alphas(ratings: Array, weights: Array) -> Array:
    """Nominal alpha of 0/1 ratings by the coincidence matrix: pairs within a clip count 1 / (its ratings - 1)."""
    rated = (~np.isnan(ratings)).sum(0)
    pairable = rated > 1
    weights, ones, rated = weights[:, pairable], np.nansum(ratings, 0)[pairable], rated[pairable]
    apart = weights @ (ones * (rated - ones) / (rated - 1))  # of each of the two off-diagonal cells
    yes, no = weights @ ones, weights @ (rated - ones)
    return np.asarray(1 - (yes + no - 1) * apart / (yes * no))


def _aurocs(answers: Answers, weights: Array) -> Array:
    yes, no = answers.truth == 1, answers.truth == 0
    above = answers.chance[yes][:, None] - answers.chance[no][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    scored = np.einsum("rn,rn->r", weights[:, yes] @ wins, weights[:, no])
    return np.asarray(scored / (weights[:, yes].sum(1) * weights[:, no].sum(1)))


def _undefined(name: str, answers: Answers, *, of: Answers) -> str | None:
    """Why a figure can't be had of these clips, or None where it can."""
    if not len(of.truth):
        return "no clip was judged"
    if not len(answers.truth):
        return "the judge gives no probabilities"
    one_label = np.ptp(answers.truth) == 0
    reasons = {
        "balanced_accuracy": [(one_label, "all clips have the same label")],
        "f1": [(not (answers.truth + answers.said).any(), "neither the labels nor the judge say yes")],
        "kappa": [(one_label, "all clips have the same label"), (np.ptp(answers.said) == 0, _CONSTANT)],
        "alpha": [(np.ptp(answers.said) == 0, _CONSTANT), *_alone(_everybody(answers))],
        "alpha_raters": [(len(answers.raters) < 2, "one rater alone"), *_alone(answers.raters)],
        "auroc": [
            (one_label, "all clips have the same label"),
            (np.ptp(answers.chance) == 0, "the judge gives every clip the same probability"),
        ],
        "cry_wolf": [(not answers.truth.any(), "no clip is sound")],
        "missed": [(bool(answers.truth.all()), "no clip is broken")],
    }
    return next((why for holds, why in reasons.get(name, []) if holds), None)


_CONSTANT = "the judge says the same of every clip"


def _alone(ratings: Array) -> list[tuple[bool, str]]:
    several = ratings[:, (~np.isnan(ratings)).sum(0) > 1]
    values = several[~np.isnan(several)]
    return [
        (not len(values), "no clip has two ratings"),
        (bool(len(values)) and np.ptp(values) == 0, "all ratings are the same"),
    ]


def _interval(name: str, value: float, answers: Answers, *, seed: int) -> tuple[tuple[float, float] | None, str | None]:
    n = len(answers.truth)
    if n < 2:
        return None, "one clip: no interval"
    if name == "ece":  # of 150 draws with no error at all its interval held 0 in none, at 60, 200 and 760 clips
        return None, "an error in bins is biased upwards, and resampling doubles that: no interval"
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = FIGURES[name][1](answers, weights)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) and np.ptp(drawn) > 1e-12:
        low, high = np.quantile(drawn, (0.025, 0.975))
        return (float(low), float(high)), None
    if name in _SHARES:  # no resample of a clean sweep is anything else, and yet it is no certainty
        of = {"accuracy": n, "cry_wolf": int(answers.truth.sum()), "missed": int(n - answers.truth.sum())}[name]
        low, high = proportion_confint(round(value * of), of, method="wilson")
        return (float(low), float(high)), None
    return None, "every resample gives the same: no interval"
