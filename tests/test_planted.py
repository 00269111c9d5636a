"""Intervals hold the truth as often as they say, on benchmarks whose truth was planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from dreamgen_bench import agreement, confounds, correlate, crossed, measured, noise, planted, scores, stats
from dreamgen_bench.planted import Planted
from dreamgen_bench.studies.planted_truth import COARSE
from dreamgen_bench.types import EpisodeRecord, Judgment

CHANCE = 1e-4
"""That a test with intervals at the very edge of what is wanted fails; twenty such are one failure in 500 runs."""


def holds(hits, draws):
    """Whether so many hits could come from a coverage within what is wanted: binomial, at both of its ends."""
    low, high = planted.WANTED
    fewest = scipy_stats.binom.ppf(CHANCE / 2, draws, low)
    return fewest <= hits <= scipy_stats.binom.ppf(1 - CHANCE / 2, draws, high)


def hits(setting, draws, quantities):
    held = list(planted.outcomes(setting, draws=range(draws), quantities=quantities))
    return {name: sum(bool(one[name]) for one in held) for name in quantities}


@pytest.mark.slow
@pytest.mark.parametrize("models", [8, 14, 20])
@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_intervals_of_both_correlations_cover(models, correlation):
    """Of what is measured and of what is true, where a quarter of what is seen is noise."""
    setting = replace(COARSE, models=models, correlation=correlation)
    for name, count in hits(setting, 250, ("measured", "true")).items():
        assert holds(count, 250), (name, count / 250)


@pytest.mark.slow
def test_intervals_of_scores_differences_and_success_cover():
    """One model's score and success, and two models' difference, which do not depend on the number of models."""
    setting = Planted(models=2, correlation=0.6)
    for name, count in hits(setting, 200, ("score", "difference", "success")).items():
        assert holds(count, 200), (name, count / 200)


def test_the_gate_fails_an_interval_that_forgets_the_noise():
    """Fisher's interval of what was measured, taken for that of the truth, holds it far less often than it says."""
    setting = replace(COARSE, models=20, correlation=0.95, tasks=10, starts=12)
    held = []
    for number in range(150):
        drawn = planted.draw(setting, np.random.default_rng(number))
        low, high = agreement.interval("pearson", drawn.score.values(), drawn.success.values())
        held.append(low <= setting.correlation <= high)
    assert not holds(sum(held), 150), np.mean(held)


def test_the_population_has_the_correlation_that_was_planted():
    """Of 40,000 models, within the error of so many."""
    score, success = planted._models(Planted(models=8, correlation=0.6), 40_000, np.random.default_rng(0))
    assert np.corrcoef(score, success)[0, 1] == pytest.approx(0.6, abs=0.02)
    with pytest.raises(ValueError, match="no population"):
        planted._latent(-1.0, (3.0, 2.0), (0.3, 2.5))


def test_answers_and_episodes_have_the_rate_of_their_model():
    """Whatever the difficulty and the luck, a model's mean over many tasks is its rate."""
    setting = Planted(models=2, correlation=0.0, tasks=20_000, starts=4_000, policies=5, luck=0.01)
    rates = np.array([0.1, 0.7])
    rng = np.random.default_rng(0)
    assert planted._answers(setting, rates, rng).mean(axis=(1, 2)) == pytest.approx(rates, abs=0.02)
    assert planted._episodes(setting, rates, rng).mean(axis=(1, 2)) == pytest.approx(rates, abs=0.06)


def records(drawn):
    """The same measurements as a run folder holds them."""
    base = {"schema": 1, "suite": "s", "seed": 0}
    judged, episodes = [], []
    for model, answers, tries in zip(
        drawn.score.models, drawn.score.suites["planted"], drawn.success.suites["planted"], strict=True
    ):
        for task, (value,) in enumerate(answers):
            for rubric in ("instruction-following-v1", "physics-alignment-v1"):
                one = {
                    "key": f"{model}{task}{rubric}",
                    "video": f"{model}{task}",
                    "task": f"t{task:03d}",
                    "model": model,
                }
                judged.append(Judgment(**base, **one, judge="j", rubric=rubric, status="ok", value=value))
        for (start, policy), success in np.ndenumerate(tries):
            one = {
                "key": f"{model}{start}{policy}",
                "task": f"x-{start:03d}",
                "model": model,
                "policy": f"bc@1:{policy}",
            }
            episodes.append(EpisodeRecord(**base, **one, kind="policy", behavior="x", success=bool(success)))
    return judged, episodes


def test_what_is_simulated_goes_the_way_of_a_run(monkeypatch):
    """Records of a draw, through scores.py and correlate.py, give the very intervals that are counted."""
    monkeypatch.setattr(noise, "RESAMPLES", 30)
    drawn = planted.draw(Planted(models=5, correlation=0.6, tasks=24, starts=10), np.random.default_rng(2))
    judged, episodes = records(drawn)
    table, success = scores.scores(judged, []), scores.success(episodes, {})
    names = dict.fromkeys(drawn.score.models, "trained")
    found = correlate.run(table, success, groups=names, rows=measured.of(judged, [], episodes))["groups"]["trained"]
    # scores.json holds six decimals
    assert found["pearson"]["ci95"] == pytest.approx(planted.INTERVALS["measured"](drawn, 0), abs=1e-4)
    assert found["corrected"]["ci95"] == pytest.approx(planted.INTERVALS["true"](drawn, 0), abs=1e-9)
    assert success[0]["ci95"] == pytest.approx(planted.INTERVALS["success"](drawn, 0), abs=1e-5)
    both = [row["ci95"] for row in table if row["model"] == drawn.score.models[0]]
    assert both[0] == pytest.approx(planted.INTERVALS["score"](drawn, 0), abs=1e-5)


# The pieces


def cells(table, *, crossed_=False):
    names = tuple(f"m{number}" for number in range(len(table)))
    return noise.Cells(models=names, suites={"s": np.asarray(table, float)}, crossed=crossed_)


def test_noise_is_that_of_measuring_again():
    """Against the variance of the values over many measurements of the same models, shared difficulty or none."""
    setting = Planted(models=6, correlation=0.5, tasks=40, starts=30, luck=0.1)
    rates, rng = np.linspace(0.15, 0.85, 6), np.random.default_rng(1)
    values, told = [], []
    for _ in range(400):
        axis = cells(planted._episodes(setting, rates, rng), crossed_=True)
        values.append(axis.values() - axis.values().mean())
        told.append(axis.noise().mean())
    true = np.var(values, axis=0).sum() / 5  # of what moves models against each other
    assert np.mean(told) == pytest.approx(true, rel=0.1)


def test_without_noise_the_corrected_r_is_the_measured_one():
    """Tasks on which each model always does the same leave nothing to correct."""
    levels = np.array([0.1, 0.4, 0.5, 0.9, 0.7, 0.2])
    score = cells(np.repeat(levels[:, None, None], 9, axis=1))
    success = cells(np.repeat((levels**2)[::-1][:, None, None], 9, axis=1))
    found = noise.corrected(score, success)
    assert found.value == pytest.approx(np.corrcoef(levels, (levels**2)[::-1])[0, 1])
    assert found.reliability == pytest.approx((1, 1))
    exact = agreement.interval("pearson", score.values(), success.values())
    assert found.ci95 == pytest.approx(exact, abs=0.08)


def test_models_that_differ_by_noise_alone_have_no_corrected_r():
    """The value is undefined with the reason, and the interval says that anything is possible."""
    rng = np.random.default_rng(5)
    flat, spread = rng.random((8, 30, 1)) < 0.5, rng.random((8, 30, 1)) < np.linspace(0.1, 0.9, 8)[:, None, None]
    found = noise.corrected(cells(flat), cells(spread))
    assert found.value is None and "score differs by noise alone" in found.why
    assert found.ci95[1] - found.ci95[0] > 1.5


def test_the_corrected_r_knows_no_first_axis():
    """Swapping the axes moves the ends by no more than two seeds do."""
    drawn = planted.draw(Planted(models=10, correlation=0.6), np.random.default_rng(3))
    one, other = noise.corrected(drawn.score, drawn.success), noise.corrected(drawn.success, drawn.score)
    assert one.value == pytest.approx(other.value) and one.ci95 == pytest.approx(other.ci95, abs=0.03)


def test_few_models_and_constant_axes_are_undefined():
    """Three models have no corrected r, and no hierarchical interval."""
    drawn = planted.draw(Planted(models=3, correlation=0.6), np.random.default_rng(3))
    assert "3 models" in noise.corrected(drawn.score, drawn.success).why
    assert set(noise.hierarchical(drawn.score, drawn.success).values()) == {None}
    still = cells(np.ones((5, 4, 1)))
    assert "the same for all" in noise.corrected(still, still).why


def test_luck_of_training_widens_the_interval_of_success():
    """Three policies of which each always does the same are three facts, not three hundred."""
    rows = np.repeat(np.array([[0.0, 1.0, 1.0]]), 100, axis=0)
    rows[:10, 0] = 1.0
    tasks, repeats = (axis.astype(str).ravel().tolist() for axis in np.indices(rows.shape))
    both = crossed.interval(rows.ravel(), tasks=tasks, repeats=repeats)
    given = stats.mean_interval(rows.ravel(), tasks=tasks)
    assert both.mean == pytest.approx(given.mean) and "Satterthwaite" in both.method
    assert both.ci95[1] - both.ci95[0] > 5 * (given.ci95[1] - given.ci95[0])
    assert crossed.interval(rows[:, 1], tasks=tasks[::3], repeats=repeats[::3]).method == "Wilson over tasks"
    assert "Satterthwaite" not in crossed.interval(rows.ravel()[1:], tasks=tasks[1:], repeats=repeats[1:]).method


def test_luck_of_training_is_in_a_difference_too():
    """Two recipes that are equal but for which policies were lucky: a difference of them is not a certain one."""
    rng = np.random.default_rng(0)
    one, two = ((rng.random((200, 3)) < luck).astype(float) for luck in ([0.2, 0.3, 0.4], [0.35, 0.45, 0.4]))
    found = crossed.difference(one, two)
    given = stats.paired_difference(one.mean(1), two.mean(1), tasks=[str(at) for at in range(200)])
    assert found.mean == pytest.approx(given.mean) and found.p > 0.05 > given.p
    assert found.ci95[0] < given.ci95[0] and found.ci95[1] > 0 > given.ci95[1]
    alone = crossed.difference(one[:, :1], two[:, :1])
    assert alone.method == "Bonett-Price over tasks"
    with pytest.raises(ValueError, match="the same ones"):
        crossed.difference(one, two[:9])


def test_holding_the_cause_constant_leaves_nothing():
    """A score and a success that both follow length agree no more once length is held; alone they do."""
    rng = np.random.default_rng(0)
    length = rng.normal(size=40)
    score, success = length + 0.3 * rng.normal(size=40), length + 0.3 * rng.normal(size=40)
    assert np.corrcoef(score, success)[0, 1] > 0.8
    found = confounds.partial(score, success, covariates={"length": length, "again": 2 * length, "fps": [1.0] * 40})
    assert abs(found["value"]) < 0.35 and found["ci95"][0] < 0 < found["ci95"][1]
    assert found["held"] == ["length"] and set(found["left_out"]) == {"again", "fps"}
    few = confounds.partial(score[:4], success[:4], covariates={"length": length[:4]})
    assert few["value"] is None and "4 models" in few["why"]


def test_rows_survive_the_disk(tmp_path):
    """Names with commas and quotes, and values that could not be had."""
    rows = {"bench": {('a,"b', "s", "t", "0"): 0.25, ("c", "s", "t", "0"): float("nan")}}
    measured.write(tmp_path / "rows.csv", rows)
    again = measured.read(tmp_path / "rows.csv")
    assert again["bench"]['a,"b', "s", "t", "0"] == 0.25 and np.isnan(again["bench"]["c", "s", "t", "0"])
    (tmp_path / "rows.csv").write_text("axis,model\n")
    with pytest.raises(measured.UserError, match="columns must be"):
        measured.read(tmp_path / "rows.csv")
    (tmp_path / "rows.csv").write_text(",".join(measured.COLUMNS) + "\nbench,a,s,t,0,much\n")
    with pytest.raises(measured.UserError, match="rows.csv:2"):
        measured.read(tmp_path / "rows.csv")
