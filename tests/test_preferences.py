"""Which of two videos looks more real: blind pairs, a side of each rater's own, and strengths that are the truth's."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from finished_run import finished_run

from dreamgen_bench import annotate, preferences, suites
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import UserError, VideoRecord

SUITE = "metaworld-seen-v1"
MODELS = ("good", "poor", "replay")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("run") / "run", suite=SUITE, tasks=4, models=MODELS)


def opened(run, out):
    tasks = {(task.suite, task.id): task for task in suites.load(SUITE).tasks}
    videos = list(RecordFile(run / "videos.jsonl", VideoRecord).read().values())
    return preferences.prepare(videos, tasks, run=run, out=out)


@pytest.fixture
def session(run, tmp_path):
    return opened(run, tmp_path / "labels")


def answered(session, rater, choose):
    """A rater who goes through all pairs; `choose` gives the label of the left one, by the models left and right."""
    state = session.post("/join", {"rater": rater})
    me = {"rater": rater, "secret": state["secret"]}
    model_of = {
        file: model
        for pair in session.clips.values()
        for file, model in zip(pair.files, (pair.first, pair.second), strict=True)
    }
    for _ in session.clips:
        left, right = (model_of[file] for file in state["clip"]["videos"])
        state = session.post("/answer", me | {"clip": state["clip"]["id"], "label": choose(left, right)})
    return state


def test_every_model_is_seen_equally_often_and_nothing_names_it(session):
    """A ring of each task's models; what a rater is sent holds no model, no task, and no video's key."""
    seen = Counter(name for pair in session.clips.values() for name in (pair.first, pair.second))
    most = Counter((pair.task, *sorted((pair.first, pair.second))) for pair in session.clips.values())
    assert set(seen) == set(MODELS) and max(most.values()) == 1
    if len(session.clips) == 12:
        assert set(seen.values()) == {8}
    state = json.dumps(session.post("/join", {"rater": "anna"}))
    assert not any(f'"{name}' in state for name in (*MODELS, SUITE))
    assert all(task.id not in state for task in suites.load(SUITE).tasks)


def test_sides_are_each_raters_own_and_mean_the_same(session):
    """Two raters who prefer the same models say the same, though not of the same sides; agreement is whole."""
    order = ("poor", "good", "replay")
    sides = []
    for rater in ("anna", "bert"):
        answered(session, rater, lambda left, right: int(order.index(left) > order.index(right)))
        sides.append([pair.shown(rater)["videos"][0] == pair.files[0] for pair in session.clips.values()])
    assert sides[0] != sides[1] and any(sides[0]) and not all(sides[0])
    assert "100% of pairs equal" in annotate.agreement(session)[0]
    rows = list(csv.DictReader(preferences.write(session).open()))
    assert len(rows) == 2 * len(session.clips) and all((session.out / row["first_video"]).is_file() for row in rows)
    better = [order.index(row["first"]) > order.index(row["second"]) for row in rows]
    assert [row["preferred"] == "1" for row in rows] == better
    table = preferences.standings(session.out / "preferences.csv")
    assert [row.model for row in table] == ["replay", "good", "poor"] and table[0].share == 1.0
    assert np.isfinite([row.strength for row in table]).all() and table[0].strength_ci95


def test_it_goes_on_after_a_kill_and_takes_back_the_last_answer(run, session):
    """The same pairs in the same order; the answer that may be changed is shown as it was given on the page."""
    state = session.post("/join", {"rater": "anna"})
    me = {"rater": "anna", "secret": state["secret"]}
    for label in (1, 0, 0.5):
        sent = state["clip"]
        state = session.post("/answer", me | {"clip": sent["id"], "label": label})
        assert state["before"] == [sent | {"label": label}]
    again = opened(run, session.out)
    assert again.post("/join", me) == state


@pytest.mark.parametrize("label", [2, 0.25, True, "1"])
def test_what_is_no_choice_is_refused(session, label):
    """Left, right, both alike, or passed over."""
    state = session.post("/join", {"rater": "anna"})
    with pytest.raises(UserError, match="a label is 0, 0.5, 1 or null"):
        session.post(
            "/answer", {"rater": "anna", "secret": state["secret"], "clip": state["clip"]["id"], "label": label}
        )


def test_one_model_has_nothing_to_be_compared_with(run, tmp_path):
    """It is said before a page is served."""
    alone = finished_run(tmp_path / "run", suite=SUITE, tasks=2, models=("good",))
    with pytest.raises(UserError, match="no two of one task"):
        opened(alone, tmp_path / "labels")


def test_strengths_are_those_that_choices_were_drawn_from():
    """Bradley and Terry's own model, planted: with many choices the fit finds its strengths, and a tie is halfway."""
    rng = np.random.default_rng(0)
    truth = np.array([-1.0, -0.2, 0.3, 0.9])
    sides = np.array([rng.choice(4, 2, replace=False) for _ in range(4000)])
    chance = 1 / (1 + np.exp(truth[sides[:, 1]] - truth[sides[:, 0]]))
    found = preferences.strengths(sides, (rng.random(4000) < chance).astype(float), 4)
    assert found == pytest.approx(truth - truth.mean(), abs=0.12)
    assert preferences.strengths(sides, np.full(4000, 0.5), 4) == pytest.approx(np.zeros(4), abs=1e-6)
