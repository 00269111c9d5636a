"""Anchors: what a hosted judge says of the same clips, now and at first."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dreamgen_bench import anchors, rubrics
from dreamgen_bench.testing import ScriptedJudge
from dreamgen_bench.types import Reply, Spec

HOSTED = Spec(name="hosted", revision="1", load="x:y", license="x", drifts=True)
BOTH = [rubrics.load(name) for name in rubrics.DEFAULT]


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """This machine's memory of first answers, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def says(chance):
    logprobs = {"1": float(np.log(chance)), "0": float(np.log1p(-chance))}
    return ScriptedJudge(lambda question: Reply(text=str(int(chance > 0.5)), logprobs=logprobs))


def check(model, out, spec=HOSTED):
    return anchors.check(spec, model, rubrics=BOTH, out=out)


@pytest.mark.parametrize(("later", "moved"), [(0.9, 0), (0.8, 0), (0.6, 8), (0.45, 8)])
def test_what_moved_since_the_first_asking_is_told(tmp_path, later, moved):
    """Another answer, or a probability that is far from the first; every anchor on every rubric."""
    assert check(says(0.9), tmp_path / "one") == []
    told = check(says(later), tmp_path / "two")
    assert len(told) == moved and told == anchors.moved_in(tmp_path / "two")
    assert all("at first" in line and "(P 0.90)" in line for line in told)


def test_the_first_answers_stay_the_first(tmp_path):
    """A slow drift is measured from its beginning, not from the day before."""
    for chance in (0.9, 0.8, 0.7):
        told = check(says(chance), tmp_path)
    assert len(told) == 8
    rows = [json.loads(line) for line in (tmp_path / anchors.RECORDS).read_text().splitlines()]
    assert [len(row["moved"]) for row in rows] == [0, 0, 8] and rows[0]["judge"] == "hosted@1"


def test_an_outage_has_not_moved_and_is_no_first_answer(tmp_path):
    """What could not be had is asked again by the next run."""
    assert check(ScriptedJudge(lambda q: Reply(text="", error="503")), tmp_path) == []
    assert check(says(0.9), tmp_path) == [] and len(check(says(0.1), tmp_path)) == 8


def test_another_revision_has_its_own_first_answers(tmp_path):
    """It is another judge."""
    check(says(0.9), tmp_path)
    assert check(says(0.1), tmp_path, replace(HOSTED, revision="2")) == []


def test_only_a_judge_that_may_drift_is_asked_and_only_once_it_is_loaded(tmp_path):
    """Weights on disk have a digest; and a run with nothing left to ask pays for no anchor."""
    load = lambda: says(0.9)  # noqa: E731
    assert anchors.watched(replace(HOSTED, drifts=False), load, rubrics=BOTH, out=tmp_path) is load
    watched = anchors.watched(HOSTED, load, rubrics=BOTH, out=tmp_path)
    assert not (tmp_path / anchors.RECORDS).exists() and anchors.moved_in(tmp_path) == []
    watched()
    assert (tmp_path / anchors.RECORDS).exists()


def test_anchors_show_what_their_names_say():
    """Four clips: something moves on, nothing moves, something jumps, something is gone."""
    clips = {name: video.frames.astype(int) for name, (_, video) in anchors.clips().items()}
    moved = {name: (np.abs(np.diff(frames, axis=0)).max(-1) > 20).sum((1, 2)) for name, frames in clips.items()}
    assert moved["pushed"].min() > 0 and moved["left alone"].max() == 0 and (moved["jumping"] > 0).sum() == 1
    last = clips["vanishing"][-1]
    assert (last[..., 2] - last[..., 0]).max() < 50  # nothing blue is left
