"""Means, paired tests, ranks, coefficients: against scipy, published figures, planted truths and dumb cases."""

import math

import numpy as np
import published
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered import NAMES, numbers, tasks
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from dreamgen_bench import stats

AXES = st.integers(3, 12).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 6).map(float), min_size=n, max_size=n) for _ in range(2)))
)


# Means and bounds


def test_no_values_have_no_mean():
    """An empty list has neither mean nor interval, and says so; it is not 0."""
    found = stats.mean_interval([], tasks=[])
    assert (found.mean, found.ci95, found.n, found.why) == (None, None, 0, "no values")


def test_one_binary_row_a_task_gets_wilson():
    """Independent 0/1 rows have the interval that statsmodels calls Wilson."""
    found = stats.mean_interval([1] * 7 + [0] * 43, tasks=tasks(50))
    assert found.mean == pytest.approx(0.14)
    assert found.ci95 == pytest.approx(proportion_confint(7, 50, method="wilson"))


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("seeds", [1, 3])
def test_all_alike_is_not_certainty(value, seeds):
    """Fifty tasks that all failed or all passed leave room for 7 %, however many seeds each had."""
    found = stats.mean_interval([value] * 50 * seeds, tasks=tasks(50, seeds))
    assert found.ci95[1] - found.ci95[0] == pytest.approx(0.0714, abs=1e-3)


def test_seeds_of_one_task_add_no_tasks():
    """Copying every row of binary tasks three times leaves the interval as wide as it was."""
    once = [1.0] * 20 + [0.0] * 20
    thrice = stats.mean_interval(np.repeat(once, 3), tasks=tasks(40, 3))
    width = np.ptp(stats.mean_interval(once, tasks=tasks(40)).ci95)
    assert np.ptp(thrice.ci95) == pytest.approx(width, rel=0.1)
    assert (thrice.n, thrice.n_tasks) == (120, 40)


def test_a_missing_value_is_left_out_and_counted():
    """A value that could not be had changes the mean of the others not at all."""
    found = stats.mean_interval([1, 0, math.nan, 1], tasks=tasks(4))
    assert (found.mean, found.n, found.missing) == (pytest.approx(2 / 3), 3, 1)


@pytest.mark.parametrize(("values", "names"), [([0.3], ["a"]), ([0.3, 0.3], ["a", "b"]), ([0.3, 0.4], ["a", "a"])])
def test_no_spread_has_no_interval(values, names):
    """One task, or graded values that are all alike, give a mean and a reason in place of an interval."""
    found = stats.mean_interval(values, tasks=names)
    assert found.ci95 is None
    assert found.why


def test_few_tasks_get_students_t():
    """The interval of graded values of few tasks is Student's, on task means, inside [0, 1]."""
    values = np.random.default_rng(0).uniform(0.3, 0.7, 8)
    expected = scipy_stats.t.interval(0.95, 7, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(8))
    assert stats.mean_interval(values, tasks=tasks(8)).ci95 == pytest.approx(expected)
    assert stats.mean_interval([0.0, 0.9], tasks=tasks(2)).ci95 == (0.0, 1.0)


def test_the_bootstrap_is_scipys():
    """Graded values of many tasks have scipy's BCa interval, for the same seed always the same."""
    values = np.random.default_rng(1).beta(1, 3, 60)
    expected = scipy_stats.bootstrap((values,), np.mean, n_resamples=9_999, rng=5).confidence_interval
    found = stats.mean_interval(values, tasks=tasks(60), seed=5)
    assert found.ci95 == pytest.approx(tuple(expected), abs=0.005)
    assert found == stats.mean_interval(values, tasks=tasks(60), seed=5)


def test_wrong_input_is_refused():
    """Lengths that differ, infinity and tables where a list is due are errors that say so."""
    with pytest.raises(ValueError, match="2 values and 1 task names"):
        stats.mean_interval([1, 0], tasks=["a"])
    with pytest.raises(ValueError, match="infinity"):
        stats.mean_interval([math.inf], tasks=["a"])
    with pytest.raises(ValueError, match="flat list"):
        stats.mean_interval([[1, 0]], tasks=["a"])


def test_bounds_are_the_worst_and_best_case():
    """Two missing of four: the mean lies between all missing failed and all missing passed."""
    assert stats.bounds([1, 0, math.nan, math.nan]) == (0.25, 0.75)
    assert stats.bounds([1, 0]) == (0.5, 0.5)
    assert stats.bounds([]) is None


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, math.nan]), max_size=40), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_mean_and_stays_in_the_range(values, seeds):
    """Whatever the scores, mean and interval are None or lie in [0, 1], the mean inside, and never NaN."""
    found = stats.mean_interval(values, tasks=[f"t{i // seeds}" for i in range(len(values))])
    assert all(math.isfinite(n) for n in numbers(found.json()))
    if found.ci95:
        assert 0 <= found.ci95[0] <= found.mean + 1e-9
        assert found.mean - 1e-9 <= found.ci95[1] <= 1


# Two models on the same tasks


def test_equal_models_do_not_differ():
    """A model against itself: difference 0, p 1, and an interval that is not a point."""
    a = [1.0, 0.0] * 25
    found = stats.paired_difference(a, a, tasks=tasks(50))
    assert (found.mean, found.p, found.detectable) == (0.0, 1.0, None)
    assert found.ci95 == pytest.approx((-0.0533, 0.0533), abs=1e-3)


def test_sign_flips_are_exact_for_few_tasks():
    """Six tasks all won: two of the 64 sign patterns are as extreme."""
    found = stats.paired_difference([0.9] * 3 + [0.8] * 3, [0.1] * 6, tasks=tasks(6))
    assert found.p == pytest.approx(2 / 64)


def test_the_paired_p_agrees_with_scipy():
    """Over many tasks with ordinary values the permutation p is close to the paired t-test's."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.2, 1, 80), rng.normal(0, 1, 80)
    assert stats.paired_p(a, b, tasks=tasks(80)) == pytest.approx(scipy_stats.ttest_rel(a, b).pvalue, abs=0.02)


def test_seeds_are_not_evidence():
    """Five tasks stay five tasks: ten seeds each cannot make a difference significant."""
    found = stats.paired_difference([1.0] * 50, [0.0] * 50, tasks=tasks(5, 10))
    assert found.p == pytest.approx(2 / 32)
    assert found.n_tasks == 5


def test_pairs_with_a_hole_are_left_out():
    """A row that one model lacks says nothing about the difference, and no shared row leaves it undefined."""
    found = stats.paired_difference([1, 1, math.nan], [0, math.nan, 0], tasks=tasks(3))
    assert (found.mean, found.n, found.missing) == (1.0, 1, 2)
    assert stats.paired_difference([math.nan], [1], tasks=["a"]).mean is None


def test_lengths_must_agree():
    """Two models with different rows cannot be paired."""
    with pytest.raises(ValueError, match="same rows twice: 2 and 1"):
        stats.paired_difference([1, 0], [1], tasks=tasks(2))


def test_the_detectable_difference_is_detected_four_times_in_five():
    """Planting the difference called detectable makes the test find it in about 80 % of draws."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.3, 40)
    planted = stats.paired_difference(noise, np.zeros(40), tasks=tasks(40)).detectable
    found = [scipy_stats.ttest_1samp(rng.normal(planted, noise.std(ddof=1), 40), 0).pvalue < 0.05 for _ in range(2_000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


# Rank groups


def test_models_that_cannot_be_told_apart_share_a_rank():
    """Two equal leaders rank first together; the clearly worse one is third."""
    rng = np.random.default_rng(4)
    good = rng.binomial(1, 0.8, 60).astype(float)
    table = [rng.binomial(1, 0.1, 60), good, np.where(np.arange(60) == 0, 1 - good, good)]
    found = stats.rank_groups(table, models=["bad", "a", "b"], tasks=tasks(60))
    assert {row.model: row.rank for row in found} == {"a": 1, "b": 1, "bad": 3}
    assert found[2].leader == "bad"


def test_a_model_without_values_is_unranked():
    """Nothing measured is no rank, and does not disturb the others; one model alone leads itself."""
    found = stats.rank_groups([[math.nan, math.nan], [1, 0]], models=["none", "one"], tasks=tasks(2))
    assert [(row.model, row.rank) for row in found] == [("one", 1), ("none", None)]
    assert stats.rank_groups(np.empty((0, 2)), models=[], tasks=tasks(2)) == []


def test_holm_is_stricter_than_a_single_test():
    """A difference that is significant alone shares the leader's rank as one of several comparisons."""
    leader, close = np.ones(7), np.zeros(7)  # p = 2/128 alone, .0625 with Holm over four
    alone = stats.rank_groups([leader, close], models=["l", "c"], tasks=tasks(7))
    assert [row.rank for row in alone] == [1, 2]
    four = stats.rank_groups([leader, close, close, close, close], models=list("labcd"), tasks=tasks(7))
    assert {row.rank for row in four} == {1}


def test_a_leader_is_held_to_having_been_chosen():
    """Against three others Holm alone says .047; but any of four could have led, so twice that."""
    leader, close = np.ones(7), np.zeros(7)
    found = stats.rank_groups([leader, close, close, close], models=list("labc"), tasks=tasks(7))
    assert {row.rank for row in found} == {1} and found[1].p == pytest.approx(2 / 128 * 3 * 2)


def test_ranking_wants_a_matching_table():
    """A table of another shape, or one name twice, is refused."""
    with pytest.raises(ValueError, match="not \\(models, rows\\)"):
        stats.rank_groups([[1, 0]], models=["a", "b"], tasks=tasks(2))
    with pytest.raises(ValueError, match="different model names"):
        stats.rank_groups([[1], [0]], models=["a", "a"], tasks=["t"])


# Coefficients


@given(AXES)
@settings(max_examples=150, deadline=None)
def test_coefficients_are_scipys(axes):
    """With and without ties, Pearson, Spearman and Kendall are scipy's, or None where scipy has NaN."""
    x, y = axes
    pairs = [(stats.pearson, scipy_stats.pearsonr), (stats.spearman, scipy_stats.spearmanr)]
    for ours, theirs in [*pairs, (stats.kendall, scipy_stats.kendalltau)]:
        found = ours(x, y)
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert found.value is None
            assert "the same for all models" in found.why
        else:
            assert found.value == pytest.approx(theirs(x, y).statistic, abs=1e-9)


@given(AXES)
@settings(max_examples=100, deadline=None)
def test_mmrv_and_pairwise_accuracy_are_their_definitions(axes):
    """Both agree with the double loop that their docstrings describe."""
    x, y = axes
    if len(set(x)) == 1 or len(set(y)) == 1:
        return
    n = range(len(x))
    worst = [max(abs(y[i] - y[j]) * ((x[i] > x[j]) != (y[i] > y[j])) for j in n) for i in n]
    assert stats.mmrv(score=x, success=y).value == pytest.approx(np.mean(worst))
    right = [0.5 if x[i] == x[j] else (x[i] > x[j]) == (y[i] > y[j]) for i in n for j in n if y[i] > y[j]]
    assert stats.pairwise_accuracy(x, y).value == pytest.approx(np.mean(right))


@pytest.mark.parametrize("axis", [[], [0.5], [0.5, 0.5], [0.5, 0.5, 0.5, 0.5]])
def test_a_constant_axis_is_undefined(axis):
    """Nothing, one model or a constant axis gives None with a reason, never 0 or 1."""
    other = list(range(len(axis)))
    found = [f(axis, other) for f in (stats.pearson, stats.spearman, stats.kendall, stats.pairwise_accuracy)]
    for one in [*found, stats.mmrv(score=axis, success=other), stats.mmrv(score=other, success=axis)]:
        assert one.value is None
        assert one.why


def test_two_models_have_an_order_but_no_correlation():
    """Two models define MMRV and pairwise accuracy, and neither Pearson nor ranks."""
    assert stats.mmrv(score=[0, 1], success=[0.4, 0.1]).value == pytest.approx(0.3)
    assert stats.pairwise_accuracy([0, 1], [0.4, 0.1]).value == 0.0
    assert stats.pearson([0, 1], [0.4, 0.1]).why == "2 models, at least 3 needed"


def test_rounding_noise_is_a_tie():
    """0.1 + 0.2 and 0.3 are one value: such an axis is constant, and ranks do not see the last bit."""
    assert stats.pearson([0.1 + 0.2, 0.3, 0.3], [1, 2, 3]).value is None
    assert stats.kendall([0.1 + 0.2, 0.3, 0.5], [2, 1, 3]).value == pytest.approx(
        scipy_stats.kendalltau([1, 1, 2], [2, 1, 3])[0]
    )


def test_mmrv_takes_keywords_only():
    """MMRV is not symmetric, so it refuses to guess which list is which."""
    with pytest.raises(TypeError):
        stats.mmrv([1, 2, 3], [1, 2, 3])


def test_bad_axes_are_refused():
    """NaN is not a score, and lists of different length are not pairs."""
    with pytest.raises(ValueError, match="score must be a list of finite numbers"):
        stats.pearson([1, math.nan, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="3 scores but 2 success"):
        stats.pearson([1, 2, 3], [1, 2])


# Published figures


@pytest.mark.parametrize(
    ("sim", "real", "r", "right", "swapped"),
    [
        (published.SIMPLER_SIM, published.SIMPLER_REAL, 0.976, 0.031, 0.0618),
        (published.DRAWER_SIM, published.DRAWER_REAL, 0.737, 0.321, 0.0628),
    ],
)
def test_simpler(sim, real, r, right, swapped):
    """SIMPLER's printed Pearson and MMRV come out; swapped arguments give the other documented value."""
    assert stats.pearson(sim, real).value == pytest.approx(r, abs=0.004)
    assert stats.mmrv(score=sim, success=real).value == pytest.approx(right, abs=0.0015)
    assert stats.mmrv(score=real, success=sim).value == pytest.approx(swapped, abs=0.0001)


def test_weaver():
    """WEAVER's printed Pearson and Spearman of its Ctrl-World panel come out, ties included."""
    assert stats.pearson(published.WEAVER_SIM, published.WEAVER_REAL).value == pytest.approx(0.552, abs=0.003)
    assert stats.spearman(published.WEAVER_SIM, published.WEAVER_REAL).value == pytest.approx(0.523, abs=0.003)


def test_autoeval():
    """AutoEval's printed Pearson and MMRV are means over its tasks."""
    rates = [(np.array(auto) / 50, np.array(human) / 50) for human, auto in published.AUTOEVAL.values()]
    assert np.mean([stats.pearson(*pair).value for pair in rates]) == pytest.approx(0.942, abs=0.0006)
    found = [stats.mmrv(score=auto, success=human).value for auto, human in rates]
    assert np.mean(found) == pytest.approx(0.015, abs=0.0006)


def test_worldarena():
    """WorldArena's printed r = .600 of six world models comes out, with an interval that holds zero."""
    success = np.mean(published.WORLDARENA_SUCCESS, axis=1)
    found = stats.agreement(published.WORLDARENA_SCORE, success, models=NAMES[:6])
    assert found.pearson.value == pytest.approx(0.600, abs=0.0006)
    assert found.pearson.ci95[0] < 0 < found.pearson.ci95[1]
    assert "beyond 0.81" in found.note


# Planted truth


def test_intervals_of_means_cover_a_planted_truth():
    """Of 300 draws of 30 tasks with 3 dependent seeds, about 95 % of the intervals hold the true rate."""
    rng = np.random.default_rng(10)
    held = 0
    for seed in range(300):
        rate = np.repeat(rng.beta(1.2, 0.8, 30), 3)  # mean .6
        found = stats.mean_interval(rng.binomial(1, rate), tasks=tasks(30, 3), seed=seed)
        held += found.ci95[0] <= 0.6 <= found.ci95[1]
    assert 0.91 <= held / 300 <= 0.985


# Intervals that may be looked at


def test_an_anytime_interval_is_where_the_mixture_ratio_is_twenty():
    """Its ends by the formula itself, at a point with a closed form: no success of n gives (n + 1)(1 - p)^n = 1/20."""
    low, high = stats.anytime_interval(0, 50)
    assert low == 0.0 and 51 * (1 - high) ** 50 == pytest.approx(1 / 20, rel=1e-9)
    low, high = stats.anytime_interval(50, 50)
    assert high == 1.0 and 51 * low**50 == pytest.approx(1 / 20, rel=1e-9)
    assert stats.anytime_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes of 2"):
        stats.anytime_interval(3, 2)


def test_an_anytime_interval_is_wider_than_one_of_a_fixed_n():
    """What looking costs."""
    for wins, n in ((10, 20), (3, 100), (300, 600)):
        low, high = stats.anytime_interval(wins, n)
        fixed = stats.mean_interval([1.0] * wins + [0.0] * (n - wins), tasks=[str(i) for i in range(n)]).ci95
        assert high - low > fixed[1] - fixed[0] and low < wins / n < high


@pytest.mark.parametrize("rates", [(0.5,) * 6, (0.05,) * 6, (0.9, 0.9, 0.1, 0.1, 0.5, 0.0), (1.0, 1.0, 0.0, 0.0)])
def test_looking_after_each_round_and_stopping_when_wrong_still_covers(rates):
    """An adversary stops as soon as the interval misses: that happens in at most 5 % of runs."""
    rounds, runs = 50, 300
    wins = (np.random.default_rng(0).random((runs, rounds, len(rates))) < rates).sum(2).cumsum(1)
    true, looks = float(np.mean(rates)), len(rates) * np.arange(1, rounds + 1)
    missed = np.zeros(runs, bool)
    for n, column in zip(looks, wins.T, strict=True):
        ends = {s: stats.anytime_interval(int(s), int(n)) for s in np.unique(column)}
        missed |= [not ends[s][0] <= true <= ends[s][1] for s in column]
    assert missed.mean() <= 0.05
