"""For authors of plug-ins: a toy suite, a scripted judge, and the world model's contract as a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from . import suites
from .generate import broken_contract
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


def check_world_model(model: WorldModel, tasks: Sequence[Task]) -> None:
    """The contract as a test: order, count, length, size, dtype, determinism, independence of order and batch.

    Raises AssertionError that says in a sentence what is broken. Needs two tasks with different first frames.
    """
    videos = list(model.generate(tasks, seed=0))
    assert len(videos) == len(tasks), f"{len(videos)} videos for {len(tasks)} tasks"
    for task, video in zip(tasks, videos, strict=True):
        reason = broken_contract(video, task)
        assert not reason, f"task {task.id}: {reason}"
        first = np.asarray(Image.open(task.first_frame).convert("RGB")).astype(int)
        away = np.abs(video.frames[0].astype(int) - first).mean()
        assert away < 16, f"task {task.id}: the video does not start from the given first frame ({away:.0f} of 255 off)"
    again = list(model.generate(tasks, seed=0))
    _assert_same(videos, again, "the same seed gives different frames")
    backwards = list(model.generate(tasks[::-1], seed=0))[::-1]
    _assert_same(videos, backwards, "the order of tasks changes the frames")
    single = [next(iter(model.generate([task], seed=0))) for task in tasks]
    _assert_same(videos, single, "the size of the batch changes the frames")


def _assert_same(first: Sequence[Video], second: Sequence[Video], otherwise: str) -> None:
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.frames, two.frames), otherwise
