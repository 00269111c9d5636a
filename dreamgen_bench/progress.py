"""A progress bar with rate and time left; plain lines where the output is no terminal.

Progress is read from the record files, which all processes append to: what is counted is what is on disk.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import evaluate
from .store import Summary

_FILES = {
    "generate": "videos.jsonl",
    "judge": "judgments.jsonl",
    "label": "trajectories.jsonl",
    "replay": "episodes.jsonl",
    "policies": "episodes.jsonl",
}
_EVERY = 15.0  # seconds between two plain lines

Watch = Callable[[str, Any], contextlib.AbstractContextManager[Callable[[Summary], None]]]


def watch(console: Console) -> Watch:
    """watch(stage, run) -> a context manager that shows the stage's progress until it is told the summary."""

    @contextlib.contextmanager
    def show(stage: str, run: Any) -> Iterator[Callable[[Summary], None]]:
        path, planned = run.out / _FILES[stage], planned_rows(stage, run)
        started, before = time.perf_counter(), _lines(path)
        stop = threading.Event()
        display = _bar if console.is_terminal else _plain
        thread = threading.Thread(target=display, args=(console, stage, path, before, planned, stop), daemon=True)
        thread.start()
        told: list[Summary] = []
        try:
            yield told.append
        finally:
            stop.set()
            thread.join()
        seconds = time.perf_counter() - started
        done = told[0].done if told else 0
        rate = f", {done / seconds:.1f}/s" if done else ""
        console.print(f"{stage}: {told[0] if told else ''} ({seconds:.0f} s{rate})")

    return show


def planned_rows(stage: str, run: Any) -> int:
    """How many records a stage will have made when it is done."""
    seeds = run.seeds * len(run.specs)
    scored = {suite.name for suite in run.scored}
    everything = len(run.tasks) * seeds
    of_scored = sum(suite in scored for suite, _ in run.tasks) * seeds
    episodes = sum(len(evaluate.starts(suite, run.episodes)) for suite in run.dreamed)
    policies = (len(run.specs) + 3) * run.policy_seeds
    return {
        "generate": everything,
        "judge": of_scored * len(run.rubrics),
        "label": everything,
        "replay": of_scored,
        "policies": episodes * policies,
    }[stage]


def _lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def _bar(console: Console, stage: str, path: Path, before: int, planned: int, stop: threading.Event) -> None:
    columns = (TextColumn("{task.description:10s}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(stage, total=planned)
        while not stop.wait(0.5):
            progress.update(task, completed=min(_lines(path) - before, planned))


def _plain(console: Console, stage: str, path: Path, before: int, planned: int, stop: threading.Event) -> None:
    started = time.perf_counter()
    while not stop.wait(_EVERY):
        done = min(_lines(path) - before, planned)
        rate = done / (time.perf_counter() - started)
        left = f", {(planned - done) / rate:.0f} s left" if rate else ""
        console.print(f"{stage}: {done}/{planned}, {rate:.1f}/s{left}")
