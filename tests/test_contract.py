"""The world model's contract: a test for authors, kept by all of ours, and what breaks it is found and recorded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dreamgen_bench import generate, registry, suites, testing
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held, check_world_model, toy_suite
from dreamgen_bench.types import Spec, Video, VideoRecord
from dreamgen_bench.video import read

ROOT = Path(__file__).parents[1]
SPECS = registry.specs("world_models")
LOADABLE = [spec.name for spec in SPECS.values() if spec.weights == "shipped" or spec.group == "control"]
STARTS_ELSEWHERE = ("reversed", "retrieval")
"""What does not start from the first frame by its nature: a clip played backwards, and one of another start."""


class Noise(Held):
    """A sound model that draws noise from (task, seed)."""

    def generate(self, tasks, *, seed):
        for task, video in zip(tasks, super().generate(tasks, seed=seed), strict=True):
            frames = video.frames.copy()
            rng = np.random.default_rng([seed, *task.id.encode()])
            frames[1:] = rng.integers(0, 255, frames[1:].shape, dtype=np.uint8)
            yield Video(frames=frames, fps=video.fps)


# Held to the contract: everything that can be loaded here


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LOADABLE if name not in STARTS_ELSEWHERE])
def test_every_model_that_loads_here_keeps_the_contract(name):
    """Shipped weights and the controls, each held to what its Spec says of it."""
    suite = suites.load("metaworld-behavior-v1")
    # In a scene of two behaviors wrong_instruction has one to choose from, and two seeds can't differ.
    tasks = [task for task in suite.tasks if not task.state["scene"]][:2]
    check_world_model(registry.load(SPECS[name]), tasks, stochastic=SPECS[name].stochastic)


def test_static_keeps_the_contract():
    """Without weights and without a simulator."""
    tasks = suites.limited(suites.load("metaworld-behavior-v1"), 3)
    check_world_model(registry.load(SPECS["static"]), tasks, stochastic=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS_ELSEWHERE)
def test_what_starts_elsewhere_keeps_the_rest(name):
    """The check finds the known defect, and nothing else."""
    tasks = suites.limited(suites.load("metaworld-behavior-v1"), 2)
    model = registry.load(SPECS[name])
    videos = list(model.generate(tasks, seed=0))
    testing.check_videos(videos, tasks)
    with pytest.raises(AssertionError, match="does not start from the given first frame"):
        testing.check_first_frames(videos, tasks)
    testing.check_repeatable(model, tasks, videos)
    testing.check_seeds(model, tasks, videos, stochastic=SPECS[name].stochastic)
    testing.check_errors(model, tasks, videos)


# What breaks it is found


class Few(Noise):
    """Stops before the last task."""

    def generate(self, tasks, *, seed):
        yield from super().generate(tasks[:-1], seed=seed)


class Altered(Noise):
    """Does something to each video: alter(video, number in the batch, seed)."""

    def __init__(self, alter):
        self.alter = alter

    def generate(self, tasks, *, seed):
        for number, video in enumerate(super().generate(tasks, seed=seed)):
            yield self.alter(video, number, seed)


class Forgetful(Noise):
    """Draws from a generator that lives as long as it does."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def generate(self, tasks, *, seed):
        for video in super().generate(tasks, seed=seed):
            yield frames_of(video, lambda f: np.concatenate([f[:1], self.rng.permuted(f[1:], axis=1)]))


class OneBuffer(Noise):
    """Yields the same memory again and again."""

    def generate(self, tasks, *, seed):
        buffer = None
        for video in super().generate(tasks, seed=seed):
            buffer = video.frames.copy() if buffer is None else buffer
            buffer[:] = video.frames
            yield Video(frames=buffer, fps=video.fps)


class Dreamer(Noise):
    """Dreams from nothing where there is no first frame."""

    def generate(self, tasks, *, seed):
        for task in tasks:
            if task.first_frame.exists():
                yield from super().generate([task], seed=seed)
            else:
                yield Video(frames=np.zeros((task.num_frames, 16, 16, 3), np.uint8), fps=task.fps)


class Fragile(Noise):
    """Is not the same after an error."""

    broken = 0

    def generate(self, tasks, *, seed):
        try:
            yield from super().generate(tasks, seed=seed + self.broken)
        except FileNotFoundError:
            self.broken = 1
            raise


class Eager(Noise):
    """Gives a video even for no task."""

    def generate(self, tasks, *, seed):
        yield from super().generate(tasks, seed=seed)
        if not tasks:
            yield Video(frames=np.zeros((5, 16, 16, 3), np.uint8), fps=1)


def frames_of(video, alter):
    return Video(frames=alter(video.frames), fps=video.fps)


def shifted(video, number, seed):
    return frames_of(video, lambda f: np.concatenate([f[:1], np.roll(f[1:], number, 1)]))


BROKEN = {
    "few": (Few(), "2 videos for 3 tasks"),
    "short": (Altered(lambda v, n, s: frames_of(v, lambda f: f[:-1])), "4 frames"),
    "small": (Altered(lambda v, n, s: frames_of(v, lambda f: f[:, ::2, ::2])), "8x8"),
    "float": (Altered(lambda v, n, s: frames_of(v, lambda f: f / np.float32(255))), "float32, not uint8"),
    "nan": (Altered(lambda v, n, s: frames_of(v, lambda f: f * np.float32(np.nan))), "NaN"),
    "gray": (Altered(lambda v, n, s: frames_of(v, lambda f: f[..., 0])), "no .T, H, W, 3. array"),
    "still rate": (Altered(lambda v, n, s: Video(frames=v.frames, fps=0)), "0 frames a second"),
    "other start": (Altered(lambda v, n, s: frames_of(v, lambda f: 255 - f)), "does not start from the given first"),
    "unrepeatable": (Forgetful(), "same seed gives different frames"),
    "one buffer": (OneBuffer(), "does not start from the given first"),
    "batch": (Altered(shifted), "changes the frames"),
    "seedless": (
        Altered(lambda v, n, s: frames_of(v, lambda f: np.repeat(f[:1], 5, 0))),
        "two seeds give the same video of every task",
    ),
    "dreams from nothing": (Dreamer(), "without a first frame gives a video"),
    "fragile": (Fragile(), "an error changes the videos"),
    "eager": (Eager(), "a video for no task"),
}


def test_a_sound_model_passes(tmp_path):
    """The check can be passed, by one that draws and by one that says that it does not."""
    tasks = toy_suite(tmp_path / "toy", tasks=3).tasks
    check_world_model(Noise(), tasks)
    check_world_model(Held(), tasks, stochastic=False)


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_contract_is_named(name, tmp_path):
    """Each in a sentence that says what to mend."""
    model, said = BROKEN[name]
    with pytest.raises(AssertionError, match=said):
        check_world_model(model, toy_suite(tmp_path / "toy", tasks=3).tasks)


def test_a_model_is_held_to_what_it_says_of_its_seeds(tmp_path):
    """Who says that nothing is drawn may not draw."""
    with pytest.raises(AssertionError, match="says stochastic=False, and two seeds give two videos"):
        check_world_model(Noise(), toy_suite(tmp_path / "toy", tasks=2).tasks, stochastic=False)


# What breaks it is recorded


class Dies(Noise):
    """Dies at one video for good, as a process does whose memory is gone."""

    def __init__(self, at):
        self.left, self.dead = at - 1, False

    def generate(self, tasks, *, seed):
        for video in super().generate(tasks, seed=seed):
            if self.dead or not self.left:
                self.dead = True
                raise RuntimeError("CUDA error: device-side assert triggered")
            self.left -= 1
            yield video


class Stops(Noise):
    """Yields so many videos in all, and then no more, without a word."""

    def __init__(self, after):
        self.left = after

    def generate(self, tasks, *, seed):
        for video in super().generate(tasks, seed=seed):
            if not self.left:
                return
            self.left -= 1
            yield video


def recorded(model, suite, out):
    spec = Spec(name="m", revision="1", load="x:y", license="MIT")
    summary = generate.run(generate.plan(suite, suite.tasks, spec, [0]), lambda: model, out=out)
    return summary, list(RecordFile(out / "videos.jsonl", VideoRecord).read().values())


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Dies(at=37), "device-side assert"), (Stops(after=36), "the model made 0 videos")],
    ids=["dies", "stops"],
)
def test_death_at_37_of_50_leaves_36_videos_and_14_records(model, reason, tmp_path):
    """What was good stays, every other video is recorded with the reason, in the order of the tasks."""
    suite = toy_suite(tmp_path / "toy", tasks=50)
    summary, records = recorded(model, suite, tmp_path / "out")
    assert (summary.planned, summary.done, summary.failed["no_video"]) == (50, 36, 14)
    assert [r.task for r in records] == [t.id for t in suite.tasks]
    assert [r.status for r in records] == ["ok"] * 36 + ["no_video"] * 14
    assert all((tmp_path / "out" / r.file).is_file() for r in records[:36])
    assert not any(r.file or r.sha256 for r in records[36:]) and all(reason in r.reason for r in records[37:])
    assert len(list((tmp_path / "out/videos").iterdir())) == 36


@pytest.mark.parametrize("name", ["short", "small", "float", "nan", "gray"])
def test_a_model_that_breaks_every_video_owes_every_video(name, tmp_path):
    """No file is written, and no record says ok."""
    model, said = BROKEN[name]
    suite = toy_suite(tmp_path / "toy", tasks=4)
    summary, records = recorded(model, suite, tmp_path / "out")
    assert summary.done == 0 and [r.status for r in records] == ["no_video"] * 4
    assert not (tmp_path / "out/videos").exists() and all(r.reason for r in records)


def test_surplus_videos_belong_to_no_task(tmp_path):
    """Two videos for each task: the second is not taken for the next task's."""

    class Twice(Noise):
        def generate(self, tasks, *, seed):
            for task in tasks:
                yield from super().generate([task, task], seed=seed)

    tasks = toy_suite(tmp_path / "toy", tasks=3).tasks
    with pytest.raises(AssertionError, match="6 videos for 3 tasks"):
        check_world_model(Twice(), tasks)


def test_a_frozen_clip_is_a_video(tmp_path):
    """Nothing moving is for the judge to see: it is what `static` does, and it is not absent."""
    suite = toy_suite(tmp_path / "toy", tasks=2)
    summary, records = recorded(Held(), suite, tmp_path / "out")
    assert summary.done == 2 and all(r.status == "ok" and r.reason is None for r in records)
    frames = read(tmp_path / "out" / records[0].file).frames.astype(int)
    assert np.abs(frames - frames[0]).mean() < 4  # the codec's loss on noise; nothing else differs between frames


# Somebody else's package


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """tests/third_party, really installed by pip into a folder of its own; the environment in which it is seen."""
    folder = tmp_path_factory.mktemp("third_party")
    shutil.copytree(ROOT / "tests/third_party", folder / "source")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--target"]
    command = [sys.executable, "-m", "pip", *words, str(folder / "site"), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return os.environ | {"PYTHONPATH": f"{folder / 'site'}:{ROOT}", "OMP_NUM_THREADS": "1"}


def dreamgen_bench(environment, *words):
    command = [sys.executable, "-m", "dreamgen_bench", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_package_of_somebody_else_adds_a_model(installed, tmp_path):
    """Listed, held to the contract, and dreamed with, without a line of ours changed."""
    rows = {row["name"]: row for row in json.loads(dreamgen_bench(installed, "list", "models", "--json"))}
    assert rows["acme-fog"]["license"] == "MIT" and "acme-fog" not in SPECS
    toy = toy_suite(tmp_path / "toy", tasks=3)
    dreamgen_bench(installed, "generate", str(tmp_path / "toy"), "--models", "acme-fog", "--out", str(tmp_path / "out"))
    records = list(RecordFile(tmp_path / "out/videos.jsonl", VideoRecord).read().values())
    assert [(r.task, r.model, r.revision, r.status) for r in records] == [
        (t.id, "acme-fog", "0.3", "ok") for t in toy.tasks
    ]
    check = "import sys; from dreamgen_bench import registry, suites, testing\n"
    check += "model = registry.load(registry.find('world_models', 'acme-fog'))\n"
    check += "testing.check_world_model(model, suites.load(sys.argv[1]).tasks)"
    words = [sys.executable, "-c", check, str(tmp_path / "toy")]
    done = subprocess.run(words, capture_output=True, text=True, env=installed)
    assert done.returncode == 0, done.stderr
