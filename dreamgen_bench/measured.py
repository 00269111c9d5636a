"""Every single measurement behind a scatter: what aggregates, noise and hierarchical intervals are computed from.

One row a measurement: axis, model, suite, task, repeat, value. A repeat is a video's seed, or one trained policy.
Rows are written as CSV, so that anyone can compute the same again without the videos.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .noise import Cells
from .store import whole_file
from .types import EpisodeRecord, Judgment, UserError

Place = tuple[str, str, str, str]  # model, suite, task, repeat
Rows = Mapping[str, Mapping[Place, float]]  # axis -> place -> value, NaN for what could not be had
COLUMNS = ("axis", "model", "suite", "task", "repeat", "value")
BENCH = ("instruction_following", "physics_alignment")
SUCCESS = "success"
LONGEST = 200_000_000  # bytes of a file of rows that is read


def of(judgments: Iterable[Judgment], replays: Iterable[EpisodeRecord], policies: Iterable[EpisodeRecord]) -> Rows:
    """Rows of all axes of a run; `bench` is the mean of both rubrics of the same video.

    As in scores.py: a video that could not be made counts 0, what a judge left without an answer is NaN, and a
    crashed episode is a failure.
    """
    rows: dict[str, dict[Place, float]] = {}
    for said in judgments:
        axis = axis_of(said.rubric)
        value = math.nan if said.value is None else float(said.value)
        rows.setdefault(axis, {})[said.model, said.suite, said.task, str(said.seed)] = value
    if all(axis in rows for axis in BENCH):
        one, two = (rows[axis] for axis in BENCH)
        rows["bench"] = {place: (value + two[place]) / 2 for place, value in one.items() if place in two}
    for episode in replays:
        place = (episode.model, episode.suite, episode.task, str(episode.seed))
        rows.setdefault("executable", {})[place] = float(bool(episode.success))
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    for episode in policies:
        own = numbers.setdefault((episode.model, episode.suite), {})
        place = (episode.model, episode.suite, episode.task, str(own.setdefault(episode.policy, len(own))))
        rows.setdefault(SUCCESS, {})[place] = float(bool(episode.success))
    return rows


def axis_of(rubric: str) -> str:
    """The column of a rubric: its name without its version."""
    return re.sub(r"-v\d+$", "", rubric).replace("-", "_")


def cells(rows: Rows, axis: str, models: Sequence[str]) -> Cells | None:
    """One axis of some models as arrays [models, tasks, repeats]; None where one of them has nothing on a suite."""
    own = {place: value for place, value in rows.get(axis, {}).items() if place[0] in set(models)}
    suites: dict[str, np.ndarray] = {}
    for suite in sorted({place[1] for place in own}):
        places = {place: value for place, value in own.items() if place[1] == suite}
        tasks = {name: i for i, name in enumerate(sorted({place[2] for place in places}))}
        repeats = {name: i for i, name in enumerate(sorted({place[3] for place in places}))}
        table = np.full((len(models), len(tasks), len(repeats)), np.nan)
        for (model, _, task, repeat), value in places.items():
            table[models.index(model), tasks[task], repeats[repeat]] = value
        if np.isnan(table).all(axis=(1, 2)).any():
            return None
        suites[suite] = table
    return Cells(models=tuple(models), suites=suites, crossed=axis == SUCCESS) if suites else None


def write(path: Path, rows: Rows) -> None:
    """All rows in a fixed order; an empty value could not be had."""
    with whole_file(path) as file:
        lines = [",".join(COLUMNS)]
        for axis, places in sorted(rows.items()):
            for place, value in sorted(places.items()):
                lines.append(",".join(map(_quoted, (axis, *place, "" if math.isnan(value) else f"{value:.6g}"))))
        file.write(("\n".join(lines) + "\n").encode())


def read(path: Path) -> Rows:
    """What `write` wrote. Raises UserError with file and line for anything else."""
    if not path.is_file() or path.stat().st_size > LONGEST:
        raise UserError(f"{path}: no file of rows, or a larger one than is ever written")
    rows: dict[str, dict[Place, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise UserError(f"{path}: the columns must be {', '.join(COLUMNS)}")
        for line in lines:
            try:
                axis, model, suite, task, repeat, value = line
                rows.setdefault(axis, {})[model, suite, task, repeat] = float(value) if value else math.nan
            except ValueError as error:
                raise UserError(f"{path}:{lines.line_num}: {error}") from error
    return rows


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\r\n') else cell
