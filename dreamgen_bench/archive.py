"""Reading what a stranger sent: a record as JSON, or a zip of record.json and videos/KEY.mp4. Nothing is unpacked.

The file is hostile until shown otherwise: its size is bounded before it is opened, its names and kinds before anything
is read, and what is read is counted as it comes, whatever the file claims. Only JSON is parsed; nothing is executed.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from . import suites
from .record import Published, problem
from .types import UserError

MAX_RECORD, MAX_VIDEO, MAX_ALL, MAX_MEMBERS = 8 * 2**20, 256 * 2**20, 4 * 2**30, 20_000
RECORD = "record.json"
_VIDEO = re.compile(r"videos/([0-9a-f]{24})\.(mp4|webm|mkv|avi|mov)")
_DEEPEST, _CHUNK = 12, 2**20


class RefusedError(UserError):
    """A submission that is not taken; one line that says why."""


def check(path: Path) -> tuple[Published, list[str]]:
    """The record in a submission and what was verified of it. Raises RefusedError at the first thing that is wrong."""
    with _opened(path) as file:
        head = file.read(4)
        if head[:2] == b"PK":
            return _check_zip(path)
        record = _checked(_bounded(file, MAX_RECORD - 4, path, head), path)
    if record.evidence.tier == "videos provided":
        raise RefusedError(f"{path}: claims 'videos provided', and brings none: submit --videos makes an archive")
    return record, _verified(record, videos=0)


def load(path: Path) -> Published:
    """The record in a JSON file, its shape checked and nothing more. Raises RefusedError."""
    with _opened(path) as file:
        return parse(_bounded(file, MAX_RECORD, path, b""), path)


def _opened(path: Path) -> IO[bytes]:
    if path.is_symlink() or not path.is_file():
        raise RefusedError(f"{path}: is no regular file")
    if path.stat().st_size > MAX_ALL:
        raise RefusedError(f"{path}: {path.stat().st_size / 2**30:.1f} GiB, more than {MAX_ALL / 2**30:.0f} GiB")
    return path.open("rb")


def _bounded(file: IO[bytes], limit: int, path: Path, head: bytes) -> bytes:
    data = head + file.read(limit + 1)
    if len(data) > limit + len(head):
        raise RefusedError(f"{path}: the record is larger than {MAX_RECORD // 2**20} MiB")
    return data


def parse(data: bytes, path: Path) -> Published:
    """The bytes of a record file as a record. Raises RefusedError."""
    start = data[:6].lstrip()
    if start[:1] == b"\x80" or not start.startswith(b"{"):
        what = "a pickle" if start[:1] == b"\x80" else "no JSON object"
        raise RefusedError(
            f"{path}: is {what}; a submission is the JSON, or the zip, that `dreamgen-bench submit` makes"
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if _depth(value) > _DEEPEST:
            raise ValueError("is nested too deeply")
        # From text again: in strict mode lists are tuples only where they were read from JSON.
        return Published.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "record"
        raise RefusedError(f"{path}: {where}: {first['msg']}{_cure(value)}") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path}: {' '.join(str(error).split())[:200] or 'is nested too deeply'}") from None


def _cure(value: Any) -> str:
    if isinstance(value, dict) and value.get("schema") == 1:
        return "; it is of schema 1: make it again with `dreamgen-bench submit RUN`"
    return "; `dreamgen-bench submit RUN` writes every key, from the run, --set KEY=VALUE or submission.yaml"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting += [(child, depth + 1) for child in children]
    return deepest


def _checked(data: bytes, path: Path) -> Published:
    record = parse(data, path)
    if why := problem(record) or _not_of_suite(record):
        raise RefusedError(f"{path}: {why}")
    return record


def _not_of_suite(record: Published) -> str:
    """Where the suite is installed here, its digest and tasks are compared; a foreign suite has no board here."""
    if record.model.group == "reference" and not record.samples.videos:
        return ""
    if record.suite.name not in suites.names():
        return f"suite: {record.suite.name!r} is not installed here; known: {', '.join(suites.names())}"
    suite = suites.load(record.suite.name)
    if suite.digest != record.suite.digest or len(suite.tasks) != record.suite.tasks:
        return f"suite: {suite.name!r} has here the digest {suite.digest[:12]} and {len(suite.tasks)} tasks, not these"
    known = {task.id for task in suite.tasks}
    if unknown := sorted({video.task for video in record.samples.videos} - known):
        return f"samples.videos: {suite.name!r} has no task {unknown[0]!r}"
    return ""


def _verified(record: Published, *, videos: int) -> list[str]:
    rows = record.samples
    found = [
        f"{len(record.scores)} scores and {len(record.success)} success rates follow from "
        f"{len(rows.judgments)} judgments, {len(rows.replays)} replays and {len(rows.episodes)} episodes",
        f"suite {record.suite.name} {record.suite.digest[:12]}: "
        f"{len({row.task for row in rows.videos})} of {record.suite.tasks} tasks, {record.protocol.seeds} seeds",
    ]
    return [*found, f"{videos} videos hash to what the rows say"] if videos else found


# Archives


def _check_zip(path: Path) -> tuple[Published, list[str]]:
    try:
        with zipfile.ZipFile(path) as file:
            members = _members(file, path)
            record = _checked(b"".join(_pieces(file, members.pop(RECORD), MAX_RECORD, path)), path)
            _check_videos(file, members, record, path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise RefusedError(f"{path}: is no sound zip: {' '.join(str(error).split())[:120]}") from None
    return record, _verified(record, videos=len(members))


def _members(file: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by name: only the names, kinds and sizes that a submission has."""
    found: dict[str, zipfile.ZipInfo] = {}
    infos = file.infolist()
    if len(infos) > MAX_MEMBERS:
        raise RefusedError(f"{path}: {len(infos)} files, more than {MAX_MEMBERS}")
    for info in infos:
        name = ascii(info.orig_filename)[:120]
        if stat.S_ISLNK(info.external_attr >> 16):
            raise RefusedError(f"{path}: {name} is a link")
        if info.orig_filename != RECORD and not _VIDEO.fullmatch(info.orig_filename):
            raise RefusedError(f"{path}: holds {name}; only {RECORD} and videos/KEY.mp4 are taken")
        if info.filename in found:
            raise RefusedError(f"{path}: holds {name} twice")
        limit = MAX_RECORD if info.filename == RECORD else MAX_VIDEO
        if info.file_size > limit:
            raise RefusedError(f"{path}: {name} claims {info.file_size / 2**20:,.0f} MiB, more than {limit // 2**20}")
        if info.flag_bits & 1:
            raise RefusedError(f"{path}: {name} is encrypted")
        found[info.filename] = info
    if sum(info.file_size for info in infos) > MAX_ALL:
        raise RefusedError(f"{path}: unpacks to more than {MAX_ALL // 2**30} GiB")
    if RECORD not in found:
        raise RefusedError(f"{path}: holds no {RECORD}")
    return found


def _pieces(file: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, path: Path) -> Iterator[bytes]:
    read = 0
    with file.open(info) as member:
        while piece := member.read(_CHUNK):
            read += len(piece)
            if read > limit:
                raise RefusedError(f"{path}: {info.filename} is larger than it claims")
            yield piece


def _check_videos(file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], record: Published, path: Path) -> None:
    wanted = {video.key: video.sha256 for video in record.samples.videos if video.sha256}
    brought = {Path(name).stem: info for name, info in members.items()}
    if len(brought) < len(members):
        raise RefusedError(f"{path}: holds a video twice, under two suffixes")
    if unknown := sorted(set(brought) - set(wanted)):
        raise RefusedError(f"{path}: video {unknown[0]} is in no row of the record")
    if missing := sorted(set(wanted) - set(brought)):
        raise RefusedError(f"{path}: {len(missing)} of {len(wanted)} videos are missing, the first {missing[0]}")
    for key, info in brought.items():
        hashed = hashlib.sha256()
        for piece in _pieces(file, info, MAX_VIDEO, path):
            hashed.update(piece)
        if hashed.hexdigest() != wanted[key]:
            raise RefusedError(
                f"{path}: video {key} hashes to {hashed.hexdigest()[:12]}, its row says {wanted[key][:12]}"
            )
