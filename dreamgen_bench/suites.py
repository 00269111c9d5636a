"""Read, check and digest suites: frozen lists of tasks, one folder each under tasks/."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .registry import nearest
from .rows import check_texts, located, parsed
from .types import Suite, Task, UserError

_HEADER = {"name", "track", "description", "license", "environment", "fps", "num_frames", "trajectories", "look"}
_OPTIONAL = {"environment", "trajectories", "look"}
_ROW = {"id", "instruction", "first_frame", "behavior", "group", "state", "tags", "num_frames", "fps"}


def folder() -> Path:
    """Where the suites lie: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "_tasks"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "tasks"


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(path.parent.name for path in folder().glob("*/suite.yaml"))


def load(name: str) -> Suite:
    """A suite by name, or by the path of its folder.

    Raises UserError for an unknown name, an unknown or missing key, a duplicate id, and a missing first frame.
    """
    path = Path(name) if Path(name, "suite.yaml").is_file() else folder() / name
    if not (path / "suite.yaml").is_file():
        raise UserError(f"no suite named {name!r}{nearest(name, names())} (or give the path of a suite's folder)")
    return _read(path.resolve())


@cache
def _read(path: Path) -> Suite:
    header = _header(path / "suite.yaml")
    rows_file = path / "tasks.jsonl"
    if not rows_file.is_file():
        raise UserError(f"{rows_file}: does not exist; a suite is suite.yaml, tasks.jsonl and frames/")
    digest = hashlib.sha256((path / "suite.yaml").read_bytes() + b"\0" + rows_file.read_bytes())
    tasks, seen = [], set()
    for number, line in enumerate(rows_file.read_text("utf-8").splitlines(), 1):
        with located(f"{rows_file}:{number}"):
            task = _task(line, header, path)
            if task.id in seen:
                raise UserError(f"id {task.id!r} is used twice; ids must be unique")
        seen.add(task.id)
        digest.update(hashlib.sha256(task.first_frame.read_bytes()).digest())
        tasks.append(task)
    if not tasks:
        raise UserError(f"{rows_file}: holds no task")
    return Suite(
        name=header["name"],
        digest=digest.hexdigest(),
        track=header["track"],
        description=header["description"],
        license=header["license"],
        environment=header.get("environment", ""),
        trajectories=header.get("trajectories", ""),
        tasks=tuple(tasks),
    )


def _header(path: Path) -> dict[str, Any]:
    try:
        header = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is no YAML: {error}") from error
    if not isinstance(header, dict):
        raise UserError(f"{path}: holds no keys")
    if unknown := sorted(set(header) - _HEADER):
        raise UserError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_HEADER))}")
    if missing := sorted(_HEADER - _OPTIONAL - set(header)):
        raise UserError(f"{path}: key {missing[0]!r} is missing")
    if header["track"] not in ("sim", "robot"):
        raise UserError(f"{path}: key 'track': {header['track']!r} is neither 'sim' nor 'robot'")
    return header


def _task(line: str, header: dict[str, Any], path: Path) -> Task:
    row = parsed(line, _ROW)
    check_texts(row, ("id", "instruction", "first_frame"))
    frame = (path / row["first_frame"]).resolve()
    if not frame.is_relative_to(path):
        raise UserError(f"key 'first_frame': {row['first_frame']!r} leads out of the suite's folder")
    if not frame.is_file():
        raise UserError(f"key 'first_frame': {row['first_frame']!r} does not exist")
    return Task(
        id=row["id"],
        suite=header["name"],
        instruction=row["instruction"],
        first_frame=frame,
        num_frames=int(row.get("num_frames", header["num_frames"])),
        fps=float(row.get("fps", header["fps"])),
        behavior=row.get("behavior", ""),
        group=row.get("group", ""),
        state=row.get("state", {}),
        tags=tuple(row.get("tags", ())),
    )


def limited(suite: Suite, limit: int | None) -> tuple[Task, ...]:
    """At most `limit` tasks, spread evenly over the suite rather than its first ones."""
    if limit is None or limit >= len(suite.tasks):
        return suite.tasks
    if limit < 1:
        raise UserError(f"--limit {limit}: nothing would be left of {suite.name}; use 1 or more")
    return tuple(suite.tasks[i * len(suite.tasks) // limit] for i in range(limit))
