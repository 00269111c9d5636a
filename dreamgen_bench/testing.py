"""For authors of plug-ins: a toy suite, a scripted judge, and the world model's contract as a test."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from . import suites
from .generate import FIRST_FRAME, away, broken_contract
from .types import Question, Reply, Suite, Task, Video, WorldModel


def toy_suite(folder: Path, *, tasks: int = 8, size: int = 16, num_frames: int = 5) -> Suite:
    """Write and load a small suite of random pictures, off any simulator."""
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    header = f"name: {folder.name}\ntrack: sim\ndescription: a toy\nlicense: Apache-2.0\n"
    (folder / "suite.yaml").write_text(header + f"fps: 10\nnum_frames: {num_frames}\n", "utf-8")
    rng = np.random.default_rng(0)
    with (folder / "tasks.jsonl").open("w", encoding="utf-8") as file:
        for number in range(tasks):
            frame = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
            Image.fromarray(frame).save(folder / f"frames/{number}.png")
            row = {"id": f"t{number}", "instruction": f"do thing {number}", "first_frame": f"frames/{number}.png"}
            file.write(json.dumps(row) + "\n")
    return suites.load(str(folder))


class Held:
    """A world model in which nothing happens: the first frame, held."""

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task."""
        for task in tasks:
            frame = np.asarray(Image.open(task.first_frame).convert("RGB"))
            yield Video(frames=np.repeat(frame[None], task.num_frames, axis=0), fps=task.fps)


class ScriptedJudge:
    """A judge that replies what a function says, as httpx's MockTransport answers requests."""

    def __init__(self, reply: Callable[[Question], str | Reply]):
        self._reply = reply

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One reply per question."""
        for question in questions:
            said = self._reply(question)
            yield said if isinstance(said, Reply) else Reply(text=said)


def check_world_model(model: WorldModel, tasks: Sequence[Task], *, stochastic: bool = True) -> None:
    """The contract as a test: all of the checks below, on two or more tasks with different first frames.

    `stochastic` is what the model's Spec says of it, and is held to it either way. Raises AssertionError that says in
    a sentence what is broken. A control that starts elsewhere on purpose calls the checks that it keeps.
    """
    videos = list(model.generate(tasks, seed=0))
    check_videos(videos, tasks)
    check_first_frames(videos, tasks)
    check_repeatable(model, tasks, videos)
    check_seeds(model, tasks, videos, stochastic=stochastic)
    check_errors(model, tasks, videos)


def check_videos(videos: Sequence[Video], tasks: Sequence[Task]) -> None:
    """One video per task: uint8 [T, H, W, 3] of the asked length, of the first frame's size, at a speed."""
    assert len(videos) == len(tasks), f"{len(videos)} videos for {len(tasks)} tasks"
    for task, video in zip(tasks, videos, strict=True):
        reason = broken_contract(video, task)
        assert not reason, f"task {task.id}: {reason}"
        assert 0 < video.fps < math.inf, f"task {task.id}: a video of {video.fps} frames a second"


def check_first_frames(videos: Sequence[Video], tasks: Sequence[Task]) -> None:
    """In the order of the tasks, each video starts from its task's first frame."""
    for task, video in zip(tasks, videos, strict=True):
        off = away(video, task)
        assert off < FIRST_FRAME, (
            f"task {task.id}: the video does not start from the given first frame ({off:.0f} of 255 off)"
        )


def check_repeatable(model: WorldModel, tasks: Sequence[Task], videos: Sequence[Video]) -> None:
    """The same seed gives the same frames again, backwards, and one task at a time."""
    again = list(model.generate(tasks, seed=0))
    _assert_same(videos, again, "the same seed gives different frames")
    backwards = list(model.generate(tasks[::-1], seed=0))[::-1]
    _assert_same(videos, backwards, "the order of tasks changes the frames")
    single = [video for task in tasks for video in model.generate([task], seed=0)]
    _assert_same(videos, single, "the size of the batch changes the frames")


def check_seeds(model: WorldModel, tasks: Sequence[Task], videos: Sequence[Video], *, stochastic: bool) -> None:
    """Two seeds give two videos, or, of a model that says that it draws nothing, the same ones.

    Of some task: where one of a few things is drawn, two seeds may draw the same.
    """
    others = list(model.generate(tasks, seed=1))
    check_videos(others, tasks)
    moved = [
        task.id
        for task, video, other in zip(tasks, videos, others, strict=True)
        if not np.array_equal(video.frames, other.frames)
    ]
    assert moved or not stochastic, (
        "two seeds give the same video of every task; if nothing is drawn, say stochastic=False in the Spec"
    )
    assert stochastic or not moved, f"the Spec says stochastic=False, and two seeds give two videos of task {moved[0]}"


def check_errors(model: WorldModel, tasks: Sequence[Task], videos: Sequence[Video]) -> None:
    """No task gives no video; one that can't be done raises, and the next are done as if it had not been."""
    assert not list(model.generate([], seed=0)), "a video for no task"
    nowhere = replace(tasks[0], first_frame=tasks[0].first_frame.with_name("no-such-frame.png"), state={})
    try:
        list(model.generate([nowhere], seed=0))
    except Exception:  # of any kind: generate.py records what it says
        pass
    else:
        raise AssertionError("a task without a first frame gives a video: raise instead of dreaming from nothing")
    after = list(model.generate(tasks[:1], seed=0))
    _assert_same(videos[:1], after, "an error changes the videos that come after it")


def _assert_same(first: Sequence[Video], second: Sequence[Video], otherwise: str) -> None:
    assert len(first) == len(second), f"{len(second)} videos instead of {len(first)}: {otherwise}"
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.frames, two.frames), otherwise
