"""Clips of known truth: what the suite promises, and that a recipe draws what its digest says."""

import json
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest

from dreamgen_bench import ground_truth, labels
from dreamgen_bench.envs import start
from dreamgen_bench.envs.defects import DEFECTS, Stage, broken_by
from dreamgen_bench.envs.novelties import NOVELTIES
from dreamgen_bench.ground_truth import Recipe
from dreamgen_bench.types import UserError

SUITE = "metaworld-judge-v1"
RECIPES = ground_truth.read(SUITE)
PICK = Recipe(
    id="x", behavior="pick-place", scene="puck", seed=80_001, look="lab", how="expert", instruction="pick it up",
    asked="pick-place", sound=True, fulfilled=True,
)  # fmt: skip


def test_the_suite_is_large_and_half_of_it_is_sound():
    """At least 600 clips, every known kind and six unseen ones at both levels, both answers of either question."""
    assert len(RECIPES) >= 600 and len({r.id for r in RECIPES}) == len(RECIPES)
    assert abs(np.mean([r.sound for r in RECIPES]) - 0.5) < 0.02
    kinds = Counter(r.kind for r in RECIPES if not r.sound)
    assert set(kinds) == set(DEFECTS) | set(NOVELTIES) and min(kinds.values()) >= 20
    assert {r.level for r in RECIPES if r.kind} == {"medium", "severe"}
    asked = [r.fulfilled for r in RECIPES if r.fulfilled is not None]
    assert 0.3 < np.mean(asked) < 0.7 and len(asked) > 400
    assert len({r.behavior for r in RECIPES}) == 50


def test_held_out_flags_are_true():
    """Only kinds are held out: no training set draws from the unseen ones, and every behavior is in training."""
    assert not set(DEFECTS) & set(NOVELTIES)
    for recipe in RECIPES:
        assert recipe.held_out == {"kind": recipe.kind in NOVELTIES, "behavior": False, "look": False}


def test_no_clip_is_in_a_training_set_or_another_suite():
    """Seeds and drawn looks lie between the suites' and the training sets'."""
    for recipe in RECIPES:
        assert 70_000 <= recipe.seed < 1_000_000
        assert recipe.look == "lab" or 70_000 <= int(recipe.look.partition("-")[2]) < 100_000


def test_both_questions_become_labels(tmp_path):
    """As rows of the format that people's labels have; IF only where its truth can be seen."""
    rows = ground_truth.labels_of(replace(PICK, sound=False, kind="blur", level="severe", fulfilled=None))
    assert [(row["rubric"], row["label"], row["defect"]) for row in rows] == [("PA", 0, "blur")]
    rows = ground_truth.labels_of(PICK)
    found = [(row["rubric"], row["label"], row["held_out"]) for row in rows]
    assert found == [("PA", 1, "nothing"), ("IF", 1, "nothing")]
    assert set(rows[0]) <= labels.KNOWN


def test_a_broken_recipe_is_told_by_line(tmp_path):
    """With the file."""
    (tmp_path / "clips.jsonl").write_text(json.dumps(asdict(PICK)) + '\n{"id": "y"}\n')
    with pytest.raises(UserError, match="clips.jsonl:2"):
        ground_truth.read(str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", NOVELTIES)
def test_an_unseen_kind_leaves_what_was_before_it_and_can_be_seen_after(kind):
    """The first frames are the recording's; then more is changed at a larger magnitude, and nothing at none.

    What rises far leaves the picture, and then changes fewer pixels than what hovers in it.
    """
    recording = ground_truth.record_of(PICK)[1]

    def changed(magnitude):
        stage = Stage(env=start("pick-place", "puck", PICK.seed, "lab"), recording=recording)
        frames = broken_by(NOVELTIES[kind], stage, magnitude=magnitude, seed=3)
        assert np.array_equal(frames[:3], recording.frames[:3])
        return int((np.abs(frames.astype(int) - recording.frames).max(-1) > 20).sum())

    none, mild, severe = changed(0.0), changed(0.4), changed(1.0)
    assert none == 0 and mild > 12 and severe > 12
    assert mild <= severe or kind == "levitate"


@pytest.mark.slow
def test_a_recipe_draws_what_its_digest_says_in_any_process(tmp_path, monkeypatch):
    """Some of the suite, drawn here and by fresh processes through the cache; what differs is told, and not fatal."""
    some = [r for r in RECIPES if r.behavior == "drawer-open"][:4]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ground_truth.cache_folder.cache_clear()
    suite = tmp_path / "few"
    suite.mkdir()
    (suite / "clips.jsonl").write_text("".join(json.dumps(asdict(r)) + "\n" for r in some))
    told = []
    out = ground_truth.prepare(str(suite), workers=1, told=lambda done, planned: told.append((done, planned)))
    ground_truth.cache_folder.cache_clear()
    assert told == [(0, 4), (4, 4)]
    here = {r.id: ground_truth.digest_of(ground_truth.drawn(r)) for r in some}
    drawn = {r.id: (out / "clips" / f"{r.id}.sha256").read_text() for r in some}
    assert here == drawn
    assert ground_truth.differing(str(suite), out) == [r.id for r in some if r.frames != here[r.id]]
    found = labels.read(str(out))
    assert len(found.clips) == sum(1 + (r.fulfilled is not None) for r in some) and not found.problems
