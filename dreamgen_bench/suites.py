"""Read, check and digest suites: frozen lists of tasks, one folder each under tasks/."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .registry import nearest
from .types import Suite, Task, UserError

_HEADER = {"name", "track", "description", "license", "environment", "fps", "num_frames", "trajectories", "look"}
_OPTIONAL = {"environment", "trajectories", "look"}
_ROW = {"id", "instruction", "first_frame", "behavior", "group", "state", "tags", "num_frames", "fps"}
_REQUIRED = {"id", "instruction", "first_frame"}
MAX_ROWS, MAX_LINE = 100_000, 100_000


class SuiteError(UserError):
    """A suite that does not keep the format; says the file, the line and the key."""


def folder() -> Path:
    """Where the suites lie: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "_tasks"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "tasks"


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(path.parent.name for path in folder().glob("*/suite.yaml"))


def load(name: str) -> Suite:
    """A suite by name, or by the path of its folder.

    Raises SuiteError for an unknown name, an unknown or missing key, a duplicate id, and a missing first frame.
    """
    path = Path(name) if Path(name, "suite.yaml").is_file() else folder() / name
    if not (path / "suite.yaml").is_file():
        raise SuiteError(f"no suite named {name!r}{nearest(name, names())} (or give the path of a suite's folder)")
    return _read(path.resolve())


@cache
def _read(path: Path) -> Suite:
    header = _header(path / "suite.yaml")
    rows_file = path / "tasks.jsonl"
    if not rows_file.is_file():
        raise SuiteError(f"{rows_file}: does not exist; a suite is suite.yaml, tasks.jsonl and frames/")
    digest = hashlib.sha256((path / "suite.yaml").read_bytes() + b"\0" + rows_file.read_bytes())
    tasks, seen = [], set()
    for number, line in enumerate(rows_file.read_text("utf-8").splitlines(), 1):
        where = f"{rows_file}:{number}"
        task = _task(line, header, path, where)
        if task.id in seen:
            raise SuiteError(f"{where}: id {task.id!r} is used twice; ids must be unique")
        seen.add(task.id)
        digest.update(hashlib.sha256(task.first_frame.read_bytes()).digest())
        tasks.append(task)
    if not tasks:
        raise SuiteError(f"{rows_file}: holds no task")
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
        raise SuiteError(f"{path}: is no YAML: {error}") from error
    if not isinstance(header, dict):
        raise SuiteError(f"{path}: holds no keys")
    _check_keys(set(header), _HEADER, _HEADER - _OPTIONAL, str(path))
    if header["track"] not in ("sim", "robot"):
        raise SuiteError(f"{path}: key 'track': {header['track']!r} is neither 'sim' nor 'robot'")
    return header


def _check_keys(keys: set[str], known: set[str], required: set[str], where: str) -> None:
    if unknown := sorted(keys - known):
        raise SuiteError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    if missing := sorted(required - keys):
        raise SuiteError(f"{where}: key {missing[0]!r} is missing")


def _task(line: str, header: dict[str, Any], path: Path, where: str) -> Task:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise SuiteError(f"{where}: is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise SuiteError(f"{where}: is no JSON object")
    _check_keys(set(row), _ROW, _REQUIRED, where)
    for key in ("id", "instruction", "first_frame"):
        if not isinstance(row[key], str) or not row[key].strip():
            raise SuiteError(f"{where}: key {key!r}: must be a text, is {row[key]!r}")
    frame = (path / row["first_frame"]).resolve()
    if not frame.is_relative_to(path):
        raise SuiteError(f"{where}: key 'first_frame': {row['first_frame']!r} leads out of the suite's folder")
    if not frame.is_file():
        raise SuiteError(f"{where}: key 'first_frame': {row['first_frame']!r} does not exist")
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
