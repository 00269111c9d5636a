"""Finished videos from anywhere: a manifest of JSON lines -> tasks and video records.

A row is {"id", "instruction", "video"}, paths relative to the manifest, and may name its "model", "seed", the "suite"
and "task" that it answers, and the camera "views" that stand side by side in its frames. File names carry no meaning.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from . import suites
from .rows import check_texts, lines, located, parsed
from .store import RecordFile, digest, sha256_of, whole_file
from .types import Task, UserError, VideoRecord
from .video import VideoError, beside, measured

_KEYS = {"id", "instruction", "video", "model", "seed", "suite", "task", "views"}
_REQUIRED = ("id", "instruction", "video")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a manifest held, in its order."""

    tasks: dict[tuple[str, str], Task]
    videos: list[VideoRecord]


def run(path: Path, *, out: Path) -> Imported:
    """Check every row, copy every usable video into the run folder, and record the others with the reason.

    Raises UserError for a file that is no manifest; a broken video is a `no_video` record, and costs no other.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; a manifest is JSON lines of {{id, instruction, video}}")
    rows = _rows(path)
    records = RecordFile(out / "videos.jsonl", VideoRecord)
    there = records.read()
    tasks: dict[tuple[str, str], Task] = {}
    videos = []
    for row in rows:
        task = _task(row, path)
        if tasks.setdefault((task.suite, task.id), task) != task:
            raise UserError(
                f"{row['where']}: id {row['id']!r} has another instruction or other views in an earlier row"
            )
        video = _record(row, task, there, base=path.parent, out=out)
        if there.get(video.key) != video:
            records.append(video)
        videos.append(video)
    return Imported(tasks=tasks, videos=videos)


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, str, int], int] = {}
    for number, line in lines(path):
        where = f"{path}:{number}"
        with located(where):
            row = _row(line)
        identity = (row["id"], row.get("model", ""), row.get("seed", 0))
        if identity in seen:
            raise UserError(f"{where}: id {row['id']!r} is used twice (first in line {seen[identity]})")
        seen[identity] = number
        rows.append(row | {"where": where})
    if not rows:
        raise UserError(f"{path}: holds no row, so there is nothing to score")
    return rows


def _row(line: str) -> dict[str, Any]:
    row = parsed(line, _KEYS)
    check_texts(row, _REQUIRED)
    for key, kind in (("model", str), ("suite", str), ("task", str), ("seed", int)):
        if key in row and (not isinstance(row[key], kind) or isinstance(row[key], bool)):
            raise UserError(f"key {key!r}: must be {kind.__name__}, is {row[key]!r}")
    check_texts(row, [key for key in ("model", "suite", "task") if key in row])
    views = row.get("views", [])
    if not isinstance(views, list) or not all(isinstance(view, str) and view.strip() for view in views):
        raise UserError(f"key 'views': must be a list of names from left to right, is {views!r}")
    if views and "suite" in row:
        raise UserError("key 'views': a suite's videos show one view")
    if ("suite" in row) != ("task" in row):
        raise UserError("'suite' and 'task' come together or not at all")
    return row


def _task(row: dict[str, Any], path: Path) -> Task:
    if "suite" not in row:
        return Task(
            id=row["id"],
            suite=path.stem,
            instruction=row["instruction"],
            first_frame=Path(),
            num_frames=0,
            fps=0.0,
            views=tuple(row.get("views", ())),
        )
    suite = suites.load(row["suite"])
    for task in suite.tasks:
        if task.id == row["task"]:
            if task.instruction != row["instruction"]:
                raise UserError(
                    f"{row['where']}: the instruction is not that of {suite.name}/{task.id}: {task.instruction!r}"
                )
            return task
    raise UserError(f"{row['where']}: suite {suite.name!r} has no task {row['task']!r}")


def _record(row: dict[str, Any], task: Task, there: Mapping[str, VideoRecord], *, base: Path, out: Path) -> VideoRecord:
    fields: dict[str, Any] = {
        "suite": task.suite,
        "suite_digest": suites.load(task.suite).digest if "suite" in row else "",
        "task": task.id,
        "model": row.get("model", "folder"),
        "revision": "manifest",
        "seed": row.get("seed", 0),
    }
    try:
        source = beside(base, row["video"])
        sha256 = sha256_of(source)
        asked = () if "suite" in row else (row["instruction"],)
        key = digest(fields, sha256, *row.get("views", ()), *asked)
        known: VideoRecord | None = there.get(key)
        if known and known.file and (out / known.file).is_file():
            return known  # decoded and found sound by an earlier call: it is not decoded again
        suffix = _checked(source, task)
    except VideoError as error:
        reason = f"{row['where']}: {error}"
        return VideoRecord(key=digest(fields, row["video"]), status="no_video", reason=reason, **fields)
    file = Path("videos") / f"{key}{suffix}"
    if not (out / file).exists():
        with whole_file(out / file) as target, source.open("rb") as stream:
            shutil.copyfileobj(stream, target)
    return VideoRecord(key=key, status="ok", file=file.as_posix(), sha256=sha256, **fields)


def _checked(source: Path, task: Task) -> str:
    """The suffix of a video that can be scored. Raises VideoError with the reason where it can't."""
    frames, height, width = measured(source)
    if task.num_frames and frames != task.num_frames:
        raise VideoError(f"{source}: {frames} frames, where the task asks for {task.num_frames}")
    if task.num_frames:
        with Image.open(task.first_frame) as picture:
            if picture.size != (width, height):
                raise VideoError(
                    f"{source}: {width}x{height}, where the first frame is {picture.size[0]}x{picture.size[1]}"
                )
    suffix = source.suffix.lower()
    return suffix if suffix in (".mp4", ".webm", ".mkv", ".avi", ".mov") else ".mp4"
