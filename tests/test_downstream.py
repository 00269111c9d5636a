"""What a policy is trained on is part of its key, and what was trained before is still found."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from dreamgen_bench import downstream, loop, registry, train
from dreamgen_bench.envs import demonstrations
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import EpisodeRecord, Task, Trajectory, TrajectoryRecord, UserError, Video, VideoRecord
from dreamgen_bench.video import encode

SUITE = "metaworld-behavior-v1"
PINNED = {
    "wan-s": "7f9babb653cb7cb959af206a",
    "replay": "85a886f9dddb5fe7a0eaf7b4",
    "true_actions": "a79278eab48b5029d183c253",
    "teleoperation": "0a98d61bf912af0b44ad95e5",
}


def run(tmp_path, **fields):
    return loop.Run(**{"suites": (SUITE,), "models": ("wan-s",), "out": tmp_path} | fields)


@pytest.fixture
def labeled(monkeypatch):
    """Two trajectories of each of two models, as a run folder has them after labeling."""
    kept = {"suite": "metaworld-policy-v1", "task": "t", "seed": 0, "idm": "i@1", "status": "ok", "file": "f.npy"}
    rows = [TrajectoryRecord(key=f"{m}{n}", video="v", model=m, **kept) for m in ("wan-s", "replay") for n in (1, 0)]
    monkeypatch.setattr(downstream, "trajectories", lambda run, which: rows)


def recipe(tmp_path, name, **fields):
    one = run(tmp_path, **fields)
    return downstream.recipe(one, one.dreamed[0], name, 0)


def test_the_keys_of_what_was_trained_before_have_not_changed(tmp_path, labeled):
    """Pinned at 48514ea, before there was a choice of mixture: run folders of then stay good."""
    assert recipe(tmp_path, "wan-s").key == PINNED["wan-s"]
    assert recipe(tmp_path, "replay").key == PINNED["replay"]
    assert recipe(tmp_path, "true_actions").key == PINNED["true_actions"]
    assert recipe(tmp_path, "teleoperation").key == PINNED["teleoperation"]
    assert recipe(tmp_path, "random").key == "random-0"


def test_cotraining_is_another_policy_under_another_name(tmp_path, labeled):
    """Key and record say it; the teleoperation-only floor is the same one."""
    neural, cotrain = (recipe(tmp_path, "wan-s", mixture=mixture) for mixture in ("neural", "cotrain"))
    assert neural.key != cotrain.key and neural.records == cotrain.records
    assert neural.spec.id == "bc-chunk@1" and cotrain.spec.id == "bc-chunk@1+cotrain"
    assert cotrain.inputs == ("teleoperation-48", "1:1", "wan-s0", "wan-s1")
    floors = [recipe(tmp_path, "teleoperation", mixture=mixture) for mixture in ("neural", "cotrain")]
    assert floors[0] == floors[1]


def test_without_neural_trajectories_nothing_is_cotrained(tmp_path, monkeypatch):
    """A model whose videos all failed has no success, and not teleoperation's."""
    monkeypatch.setattr(downstream, "trajectories", lambda run, which: [])
    one = run(tmp_path, mixture="cotrain")
    assert recipe(tmp_path, "wan-s", mixture="cotrain").inputs == ()
    assert list(downstream.do(one, one.dreamed[0], "wan-s", 0)) == []


def made(name, count, length=5):
    frames = np.zeros((length, 4, 4, 3), np.uint8)
    labels = np.zeros((length - 1, 8), np.float32)
    return [Trajectory(frames=frames, labels=labels, instruction=f"{name} {number}") for number in range(count)]


@pytest.mark.parametrize(("real", "neural"), [(3, 7), (7, 3), (4, 4), (1, 5)])
def test_one_to_one_is_one_to_one(real, neural):
    """Each kind as often as the other, everything at least once, and the smaller kind evenly."""
    mixed = train.one_to_one(made("real", real), made("neural", neural))
    names = [one.instruction for one in mixed]
    assert len(mixed) == 2 * max(real, neural)
    assert sum(name.startswith("real") for name in names) == len(mixed) / 2
    assert len(set(names)) == real + neural
    counts = [names.count(f"real {number}") for number in range(real)]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"mixture": "cotrian"}, "Did you mean 'cotrain'"),
        ({"precision": 0.0}, "--precision"),
        ({"precision": 0.7}, "--precision"),
        ({"policy": "difusion"}, "Did you mean 'diffusion'"),
    ],
)
def test_what_can_not_be_trained_or_tried_is_refused(tmp_path, fields, says):
    """Before anything is written."""
    with pytest.raises(UserError, match=says):
        loop.check(run(tmp_path / "out", **fields))
    assert not (tmp_path / "out").exists()


def test_a_run_folder_is_opened_again_as_it_was_run(tmp_path):
    """Also one of before there were mixtures; what is no configuration is refused."""
    config = {"suites": [SUITE], "models": ["wan-s"], "out": "elsewhere", "policy": "diffusion", "episodes": 3}
    (tmp_path / "run.json").write_text(json.dumps({"config": config}))
    again = loop.reopened(tmp_path)
    assert again == run(tmp_path, policy="diffusion", episodes=3)
    for broken in ({}, {"config": {"suites": [], "tomorrow": 1}}, {"config": []}):
        (tmp_path / "run.json").write_text(json.dumps(broken))
        with pytest.raises(UserError, match="no configuration"):
            loop.reopened(tmp_path)


def test_repeating_what_was_never_tried_is_refused(tmp_path, labeled):
    """The rows that there are stand in the error."""
    with pytest.raises(UserError, match="teleoperation"):
        downstream.again(run(tmp_path), "wan-s")


@pytest.fixture
def folder(tmp_path):
    """What `material` looks at: one labeled video in a folder."""
    task = Task(id="t", suite="s", instruction="go", first_frame=tmp_path, num_frames=5, fps=10.0)
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    (tmp_path / "v.mp4").write_bytes(encode(Video(frames=frames, fps=10.0)))
    np.save(tmp_path / "l.npy", np.ones((4, 8), np.float32))
    row = {"suite": "s", "task": "t", "model": "m", "seed": 0, "status": "ok"}
    video = VideoRecord(key="v", suite_digest="", revision="1", file="v.mp4", **row)
    record = TrajectoryRecord(key="k", video="v", idm="i@1", file="l.npy", **row)
    kept = {"out": tmp_path, "dreamed": [], "scored": [], "videos": lambda which: [video], "tasks": {("s", "t"): task}}

    def material(mixture, file="l.npy"):
        named = record.model_copy(update={"file": file})
        return downstream.material(SimpleNamespace(mixture=mixture, **kept), "m", [named])

    return material


def test_cotraining_material_has_both_kinds_and_neural_material_one(folder, monkeypatch):
    """Teleoperation is looked at for the one, and not even made for the other."""
    asked = []
    monkeypatch.setattr(demonstrations, "teleoperation", lambda count: asked.append(count) or made("real", 3))
    assert [one.instruction for one in folder("neural")] == ["go"] and not asked
    assert [one.instruction for one in folder("cotrain")] == ["real 0", "go", "real 1", "go", "real 2", "go"]
    assert asked == [48]


@pytest.mark.parametrize("file", ["../secret.npy", "/etc/passwd", "trajectories/../../secret.npy"])
def test_a_file_outside_of_the_run_folder_is_not_read(folder, file):
    """Somebody else's run folder may name anything."""
    with pytest.raises(UserError, match="not in it"):
        folder("neural", file)


@pytest.mark.slow
def test_a_policy_that_is_tried_twice_does_the_same_and_tells_how_far_it_came(tmp_path):
    """In the simulator: no outcome flips, partial credit is a share, and repeating again tries nothing."""
    one = run(tmp_path, episodes=1)
    (suite,) = one.dreamed
    (summary,) = downstream.do(one, suite, "random", 0)
    assert summary.done == 6
    found = downstream.again(one, "random")
    assert (found["episodes"], found["flipped"], found["unmatched"], found["changed"]) == (6, 0, 0, [])
    first, second = (
        RecordFile(out / "episodes.jsonl", EpisodeRecord).read().values() for out in (tmp_path, tmp_path / "repeat")
    )
    progress = [e.progress for e in first]
    assert progress == [e.progress for e in second] and len(set(progress)) > 1
    assert all(0 <= p <= 1 and (p == 1) == e.success for p, e in zip(progress, first, strict=True))
    before = (tmp_path / "repeat/episodes.jsonl").read_bytes()
    assert downstream.again(one, "random") == found
    assert (tmp_path / "repeat/episodes.jsonl").read_bytes() == before


def test_every_policy_is_registered_with_what_makes_it():
    """Recipes can be trained, the floor needs none."""
    fits = {name for name, spec in registry.specs("policies").items() if spec.fit}
    assert {"bc-chunk", "diffusion"} <= fits and "random" not in fits
