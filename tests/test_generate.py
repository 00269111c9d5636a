"""Generating: what breaks is recorded, what is there is not done again, and nothing good is lost."""

import dataclasses

import numpy as np
import pytest

from dreamgen_bench import generate
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held, check_world_model, toy_suite
from dreamgen_bench.types import Spec, Video, VideoRecord
from dreamgen_bench.video import read

SPEC = Spec(name="held", revision="1", load="dreamgen_bench.testing:Held", license="Apache-2.0")


class Faulty(Held):
    """Does one thing wrong at each of some tasks."""

    def __init__(self, faults):
        self.faults = faults

    def generate(self, tasks, *, seed):
        for task, video in zip(tasks, super().generate(tasks, seed=seed), strict=True):
            fault = self.faults.get(task.id)
            if fault == "dies":
                raise RuntimeError("out of memory")
            frames = {
                None: video.frames,
                "short": video.frames[:-1],
                "small": video.frames[:, ::2, ::2],
                "nan": np.full(video.frames.shape, np.nan, np.float32),
                "none": video.frames[:0],
            }[fault]
            yield Video(frames=frames, fps=video.fps)


def run(suite, model, out, **options):
    plan = generate.plan(suite, suite.tasks, SPEC, [0])
    summary = generate.run(plan, lambda: model, out=out, **options)
    return summary, {r.task: r for r in RecordFile(out / "videos.jsonl", VideoRecord).read().values()}


def test_every_planned_video_ends_in_a_record(tmp_path):
    """Wrong length, wrong size, NaN, no frames and a crash cost one video each, with the reason."""
    suite = toy_suite(tmp_path / "toy")
    faults = {"t1": "short", "t2": "small", "t3": "nan", "t4": "none", "t5": "dies"}
    summary, records = run(suite, Faulty(faults), tmp_path / "out")
    assert (summary.planned, summary.done, summary.failed["no_video"]) == (8, 3, 5)
    assert "4 frames" in records["t1"].reason and "8x8" in records["t2"].reason
    assert "NaN" in records["t3"].reason and "0 frames" in records["t4"].reason
    assert "out of memory" in records["t5"].reason
    assert [t for t, r in records.items() if r.status == "ok"] == ["t0", "t6", "t7"]


def test_a_record_says_whether_its_video_begins_at_the_tasks_first_frame(tmp_path):
    """A true video of another start is a video like any other, and neither IF nor PA asks where it began."""

    class Elsewhere(Held):
        def generate(self, tasks, *, seed):
            for task, video in zip(tasks, super().generate(tasks, seed=seed), strict=True):
                yield dataclasses.replace(video, frames=255 - video.frames) if task.id == "t1" else video

    _, records = run(toy_suite(tmp_path / "toy"), Elsewhere(), tmp_path / "out")
    assert {task for task, record in records.items() if record.begins is False} == {"t1"}


def test_a_model_that_is_dead_is_not_asked_for_ever(tmp_path):
    """After two tasks in a row without a video the rest is recorded with the reason."""
    suite = toy_suite(tmp_path / "toy")
    summary, records = run(suite, Faulty({f"t{n}": "dies" for n in range(3, 8)}), tmp_path / "out")
    assert summary.done == 3 and summary.failed["no_video"] == 5 and len(records) == 8


def test_too_few_videos_are_recorded_as_such(tmp_path):
    """A model that stops early owes the rest."""

    class Lazy(Held):
        def generate(self, tasks, *, seed):
            yield from list(super().generate(tasks, seed=seed))[:1]

    suite = toy_suite(tmp_path / "toy", tasks=2)
    summary, _ = run(suite, Lazy(), tmp_path / "out")
    assert summary.done + summary.failed["no_video"] == 2


def test_what_is_there_is_not_done_again(tmp_path):
    """The second run does not even load the model."""
    suite = toy_suite(tmp_path / "toy")
    run(suite, Held(), tmp_path / "out")
    plan = generate.plan(suite, suite.tasks, SPEC, [0])
    summary = generate.run(plan, lambda: pytest.fail("loaded"), out=tmp_path / "out")
    assert summary.skipped == summary.planned == 8


def test_another_revision_is_another_video(tmp_path):
    """The key holds everything that determines the video."""
    suite = toy_suite(tmp_path / "toy")
    other = dataclasses.replace(SPEC, revision="2")
    assert not set(generate.plan(suite, suite.tasks, SPEC, [0]).owed) & set(
        generate.plan(suite, suite.tasks, other, [0]).owed
    )


def test_shards_make_the_same_videos_as_one_worker(tmp_path):
    """Which process makes a video changes neither its key nor its bytes."""
    suite = toy_suite(tmp_path / "toy")
    _, whole = run(suite, Held(), tmp_path / "one")
    for index in (1, 2):
        run(suite, Held(), tmp_path / "two", shard=(index, 2))
    _, parts = run(suite, Held(), tmp_path / "two")
    assert {t: r.sha256 for t, r in whole.items()} == {t: r.sha256 for t, r in parts.items()}


def test_a_written_video_reads_back_nearly_lossless(tmp_path):
    """The judge sees the file: what the codec loses is below what a judge could notice."""
    suite = toy_suite(tmp_path / "toy", size=64)
    _, records = run(suite, Held(), tmp_path / "out")
    video = read(tmp_path / "out" / records["t0"].file)
    assert video.frames.shape == (5, 64, 64, 3) and video.fps == 10
    first = next(iter(Held().generate(suite.tasks[:1], seed=0))).frames
    assert np.abs(video.frames.astype(int) - first).mean() < 12  # random noise is the worst case of all pictures


def test_the_contract_check_passes_a_sound_model_and_fails_others(tmp_path):
    """Authors of adapters get the contract as a test."""
    tasks = toy_suite(tmp_path / "toy").tasks
    check_world_model(Held(), tasks, stochastic=False)
    with pytest.raises(AssertionError, match="t1"):
        check_world_model(Faulty({"t1": "short"}), tasks)

    class Fickle(Held):
        def generate(self, tasks, *, seed):
            for number, video in enumerate(super().generate(tasks, seed=seed)):
                yield Video(frames=np.roll(video.frames, number, 1) if number > 1 else video.frames, fps=video.fps)

    with pytest.raises(AssertionError):
        check_world_model(Fickle(), tasks)
