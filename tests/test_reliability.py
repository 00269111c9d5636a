"""Figures about a judge: as the libraries have them, as published, and undefined with a reason."""

import json
from collections import Counter

import krippendorff
import numpy as np
import published
import pytest
from sklearn import metrics

from dreamgen_bench import reliability
from dreamgen_bench.reliability import Answers


@pytest.fixture(scope="module")
def answers():
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, 150).astype(float)
    said = np.where(rng.random(150) < 0.8, truth, 1 - truth)
    third = np.where(rng.random(150) < 0.3, np.nan, np.where(rng.random(150) < 0.9, truth, 1 - truth))
    chance = np.round(np.clip(0.3 + 0.4 * said + rng.normal(0, 0.2, 150), 0, 1), 2)
    return Answers(truth=truth, said=said, chance=chance, raters=np.stack([truth, third]))


def test_figures_are_the_libraries(answers):
    """scikit-learn's and krippendorff's values; calibration by hand."""
    found = {name: figure.value for name, figure in reliability.figures(answers).items()}
    truth, said = answers.truth, answers.said
    assert found["accuracy"] == metrics.accuracy_score(truth, said)
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(truth, said)
    assert found["f1"] == metrics.f1_score(truth, said)
    assert found["kappa"] == metrics.cohen_kappa_score(truth, said)
    assert found["auroc"] == metrics.roc_auc_score(truth, answers.chance)
    alpha = krippendorff.alpha(np.vstack([answers.raters, said]), level_of_measurement="nominal")
    assert found["alpha"] == pytest.approx(alpha)
    assert found["cry_wolf"] == pytest.approx(((said == 0) & (truth == 1)).sum() / (truth == 1).sum())
    assert found["missed"] == pytest.approx(((said == 1) & (truth == 0)).sum() / (truth == 0).sum())
    place = np.minimum((answers.chance * 10).astype(int), 9)
    gaps = [abs(truth[place == b].mean() - answers.chance[place == b].mean()) * (place == b).mean() for b in set(place)]
    assert found["ece"] == pytest.approx(sum(gaps))


@pytest.mark.parametrize("name", reliability.FIGURES)
def test_a_resample_has_the_value_of_the_clips_it_drew(answers, name):
    """The weighted figures of the bootstrap are the library's on the very clips, drawn again and again."""
    point, resampled = reliability.FIGURES[name]
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 150, (5, 150))
    weights = np.stack([np.bincount(row, minlength=150) for row in drawn]).astype(float)
    expected = [
        point(
            Answers(
                truth=answers.truth[row],
                said=answers.said[row],
                chance=answers.chance[row],
                raters=answers.raters[:, row],
            )
        )
        for row in drawn
    ]
    np.testing.assert_allclose(resampled(answers, weights), expected, rtol=1e-9)


def test_intervals_cover():
    """Of kappa and accuracy, at 120 clips: the 95 % interval holds the true value in most of 150 draws."""
    rng, hits = np.random.default_rng(3), Counter()
    for draw in range(150):
        truth = (rng.random(120) < 0.5).astype(float)
        said = np.where(rng.random(120) < 0.85, truth, 1 - truth)
        one = Answers(truth=truth, said=said, chance=np.full(120, np.nan), raters=truth[None])
        for name, true in (("accuracy", 0.85), ("kappa", 0.70)):
            value = float(reliability.FIGURES[name][0](one))
            low, high = reliability._interval(name, value, one, seed=draw)[0]
            hits[name] += low <= true <= high
    assert 0.90 <= hits["accuracy"] / 150 and 0.90 <= hits["kappa"] / 150


@pytest.mark.parametrize("truth", [0.0, 1.0])
@pytest.mark.parametrize("said", [0.0, 1.0])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_degenerate_raters_are_undefined_with_a_reason(truth, said, n):
    """Never NaN, never 1: what can't be had is None, and says why."""
    found = reliability.figures(
        Answers(truth=np.full(n, truth), said=np.full(n, said), chance=np.full(n, 0.5), raters=np.full((2, n), truth))
    )
    for name in ("kappa", "alpha", "alpha_raters", "auroc", "balanced_accuracy"):
        assert found[name].value is None and found[name].why
    for figure in found.values():
        assert figure.value is None or np.isfinite(figure.value)
        assert (figure.value is None) <= bool(figure.why)
        json.dumps(figure.json(), allow_nan=False)


@pytest.mark.parametrize(
    ("tally", "accuracy", "kappa"),
    [(published.GENAI_GPT4O, 0.4846, 0.2496), (published.GENAI_GEMINI, 0.4621, 0.1960)],
)
def test_published_judges_agree_with_people_as_published(tally, accuracy, kappa):
    """GenAI-Bench: a verdict that can't be read is wrong, and a category of its own."""
    votes, said = (np.repeat(axis.ravel(), np.ravel(tally)) for axis in np.indices((4, 5)))
    assert len(votes) == 1069 and (votes == said).mean() == pytest.approx(accuracy, abs=6e-5)
    assert reliability.cohen(votes, said) == pytest.approx(kappa, abs=6e-5)


@pytest.mark.parametrize(
    ("marks", "fleiss", "alpha"), [(published.CONTROLNET_SC, 0.42, 0.64), (published.CONTROLNET_PR, 0.41, 0.55)]
)
def test_published_raters_agree_with_each_other_as_published(marks, fleiss, alpha):
    """ImagenHub: Fleiss' kappa and ordinal alpha, to the two digits that are printed."""
    ratings = np.repeat(np.array(list(marks), float), list(marks.values()), axis=0).T
    assert reliability.fleiss(ratings) == pytest.approx(fleiss, abs=0.0055)
    assert reliability.alpha(ratings, level="ordinal") == pytest.approx(alpha, abs=0.0055)


def test_coefficients_of_raters_who_never_vary_are_undefined():
    """None, where libraries give NaN, 0 or an exception."""
    same = np.ones((3, 9))
    assert reliability.fleiss(same) is None and reliability.alpha(same) is None
    assert reliability.cohen([1, 1, 1], [0, 1, 0]) is None and reliability.alpha(np.array([[1.0, np.nan]])) is None
