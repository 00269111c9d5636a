"""Scores against success: coefficients with interval, p and leave-one-out, and truths planted to be covered."""

import json
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from dreamgen_bench import agreement as agreement_module
from dreamgen_bench import stats

NAMES = [f"model-{i:02d}" for i in range(60)]


def tasks(n, seeds=1):
    """Names of n tasks, each for `seeds` rows."""
    return [f"task-{i}" for i in range(n) for _ in range(seeds)]


def numbers(thing):
    """Every number inside a JSON-like thing."""
    if isinstance(thing, dict):
        return [n for item in thing.values() for n in numbers(item)]
    if isinstance(thing, list | tuple):
        return [n for item in thing for n in numbers(item)]
    return [thing] if isinstance(thing, float) else []


def test_the_order_of_models_does_not_matter():
    """Shuffled input, the same seed: the same record to the last digit."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 10))
    order = rng.permutation(10)
    once = stats.agreement(x, y, models=NAMES[:10], resamples=499)
    shuffled = stats.agreement(x[order], y[order], models=[NAMES[i] for i in order], resamples=499)
    assert once == shuffled


def test_the_seed_decides():
    """One seed gives one record; another seed moves the bootstrap and not the values."""
    x, y = np.random.default_rng(6).normal(size=(2, 10))
    first, again, other = (stats.agreement(x, y, models=NAMES[:10], seed=s, resamples=199) for s in (1, 1, 2))
    assert first == again
    assert first.kendall.ci95 != other.kendall.ci95
    assert first.kendall.value == other.kendall.value


@pytest.mark.parametrize("n", [5, 12])
def test_p_is_scipys_permutation_p(n):
    """The p of Pearson is scipy's permutation p: exact for few models, close for many."""
    x, y = np.random.default_rng(7).normal(size=(2, n))
    method = scipy_stats.PermutationMethod(n_resamples=np.inf if n == 5 else 9_999, rng=0)
    expected = scipy_stats.pearsonr(x, y, method=method).pvalue
    found = stats.agreement(x, y, models=NAMES[:n], resamples=99).pearson.p
    assert found == pytest.approx(expected, abs=1e-9 if n == 5 else 0.02)


def test_a_small_mmrv_is_the_significant_one():
    """A perfect order of six has the smallest possible p for MMRV, not the largest."""
    found = stats.agreement(range(6), range(6), models=NAMES[:6], resamples=99)
    assert found.mmrv.p == pytest.approx(1 / 720)


def test_a_perfect_order_is_not_certainty():
    """Rank intervals of a perfect order have a width; Pearson and MMRV say that they have none."""
    found = stats.agreement(range(8), range(8), models=NAMES[:8], resamples=99)
    assert found.spearman.ci95 == pytest.approx((0.903, 1.0), abs=0.002)
    assert found.kendall.ci95 == pytest.approx((0.728, 1.0), abs=0.002)
    assert found.pairwise_accuracy.ci95 == pytest.approx((0.864, 1.0), abs=0.002)
    assert (found.pearson.ci95, found.mmrv.ci95) == (None, None)
    assert found.pearson.why
    assert found.mmrv.why
    reverse = stats.agreement(range(8), range(8)[::-1], models=NAMES[:8], resamples=99)
    assert reverse.kendall.ci95 == pytest.approx((-1.0, -0.728), abs=0.002)
    assert reverse.pairwise_accuracy.ci95 == pytest.approx((0.0, 0.136), abs=0.002)


def test_undefined_resamples_are_dropped_and_counted():
    """One success among six models leaves a third of the resamples constant: they are counted."""
    found = stats.agreement([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 0, 0, 1, 0, 0], models=NAMES[:6], resamples=900)
    assert 200 < found.kendall.dropped < 400
    assert found.kendall.ci95 is not None


def test_leaving_one_model_out():
    """A correlation that one model carries falls apart in the row that leaves it out."""
    found = stats.agreement([0, 0.1, 0, 0.1, 1], [0, 0, 0.1, 0.1, 1], models=list("abcde"), resamples=99)
    without = {row["model"]: row for row in found.leave_one_out}
    assert list(without) == list("abcde")
    assert found.pearson.value > 0.98
    assert without["e"]["pearson"] == pytest.approx(0)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_too_few_models_say_so(n):
    """No interval below four models, no correlation below three, and never NaN or an exception."""
    found = stats.agreement(range(n), range(n), models=NAMES[:n])
    assert all(math.isfinite(number) for number in numbers(found.json()))
    assert found.note
    assert found.pearson.ci95 is None
    assert (found.pearson.value is None) == (n < 3)


def test_a_constant_axis_leaves_everything_undefined():
    """Models that all succeed alike have no agreement to speak of: None and a reason in every coefficient."""
    found = stats.agreement([0.1, 0.5, 0.9, 0.3], [0.2] * 4, models=NAMES[:4]).json()
    for name in agreement_module.KERNELS:
        assert found[name] == {
            "value": None,
            "ci95": None,
            "p": None,
            "why": "success the same for all models",
        }


def test_a_record_survives_json():
    """What `json()` gives is equal to itself after a round trip, without NaN."""
    x, y = np.random.default_rng(8).normal(size=(2, 9))
    found = stats.agreement(x, y, models=NAMES[:9], resamples=99).json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_names_are_one_each():
    """A model named twice, or a name too few, is refused."""
    with pytest.raises(ValueError, match="named twice"):
        stats.agreement([1, 2], [1, 2], models=["a", "a"])
    with pytest.raises(ValueError, match="1 model names for 2"):
        stats.agreement([1, 2], [1, 2], models=["a"])


def test_rows_give_the_interval_of_measuring_again():
    """With many rows a model the same models would give nearly the same r; with few rows anything."""
    rng = np.random.default_rng(9)
    x = np.linspace(0.2, 0.8, 6)
    widths = []
    for count in (20, 2_000):
        rows = tuple([rng.binomial(1, p, count) for p in x] for _ in range(2))
        means = [[row.mean() for row in side] for side in rows]
        found = stats.agreement(*means, models=NAMES[:6], rows=rows, resamples=499)
        widths.append(np.ptp(found.pearson.ci95_rows))
    assert widths[1] < 0.05 < widths[0]
    with pytest.raises(ValueError, match="1 lists of score rows for 2 models"):
        stats.agreement([1, 2], [1, 2], models=["a", "b"], rows=([[1]], [[1]]))


@pytest.mark.parametrize("n", [8, 14, 20])
def test_intervals_of_coefficients_cover_a_planted_truth(n, monkeypatch):
    """Of 200 draws of n models with true r .6, about 95 % of each coefficient's intervals hold it."""
    monkeypatch.setattr(agreement_module, "_permutation_p", lambda *args, **kwargs: 1.0)
    monkeypatch.setattr(agreement_module, "_leave_one_out", lambda *args: ())
    rng, tau = np.random.default_rng(11), 2 / math.pi * math.asin(0.6)
    truth = {
        "pearson": 0.6,
        "spearman": 6 / math.pi * math.asin(0.3),
        "kendall": tau,
        "pairwise_accuracy": (tau + 1) / 2,
    }
    draws = rng.normal(size=(2, 4_000, n))
    draws[1] = 0.6 * draws[0] + 0.8 * draws[1]
    truth["mmrv"] = float(agreement_module.KERNELS["mmrv"][0](draws[0], draws[1]).mean())
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for x, y in draws.swapaxes(0, 1)[:200]:
        found = stats.agreement(x, y, models=NAMES[:n], resamples=299)
        for name, value in truth.items():
            interval = getattr(found, name).ci95
            if interval:  # MMRV has none where no rank is violated
                held[name].append(interval[0] <= value <= interval[1])
    assert all(len(hits) >= 195 and 0.89 <= np.mean(hits) <= 1.0 for hits in held.values())
    assert all(0.91 <= np.mean(held[name]) <= 0.995 for name in ("pearson", "spearman", "kendall"))
