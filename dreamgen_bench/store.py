"""A run folder: artefacts named by digest, append-only records, resume.

An artefact is written to a temporary name, flushed and renamed; its record's line comes after, so a line means that
the artefact is whole. Present means skipped: that is the whole of resume, cache and overwrite.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from .types import Record, UserError


@dataclass(kw_only=True)
class Summary:
    """What a stage did: planned = done + skipped + failed."""

    planned: int = 0
    done: int = 0
    skipped: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        failed = "".join(f", {count} {reason}" for reason, count in sorted(self.failed.items()))
        return f"{self.planned} planned, {self.done} done, {self.skipped} already there{failed}"


def digest(*parts: Any) -> str:
    """The key of a row: a digest of everything that determines it; 24 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sharded(rows: Iterable[Any], shard: tuple[int, int]) -> list[Any]:
    """Every n-th row from the i-th, for `--shard i/n` (i from 1)."""
    index, count = shard
    return [row for number, row in enumerate(rows) if number % count == index - 1]


class RecordFile:
    """Records of one kind, one JSON line each; the last line of a key wins. Several processes may append at once."""

    def __init__(self, path: Path, kind: type[Record]):
        self.path, self._kind = path, kind

    def read(self) -> dict[str, Any]:
        """All records by key, in the order in which their keys first appeared.

        A last line without its end is what a kill left behind: it is cut off, and its work will be done again.
        Raises UserError with file, line and key for anything else that is no record.
        """
        if not self.path.exists():
            return {}
        self._mend()
        found: dict[str, Any] = {}
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                record = self._parse(line, number)
                found[record.key] = record
        return found

    def _parse(self, line: str, number: int) -> Any:
        try:
            return self._kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "line"
            raise UserError(f"{self.path}:{number}: {key}: {first['msg']}") from error

    def _mend(self) -> None:
        with self.path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if not size:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)

    def append(self, record: Record) -> None:
        """Write one line, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = (record.model_dump_json(by_alias=True) + "\n").encode()
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            start = file.seek(0, os.SEEK_END)
            try:
                file.write(line)
                file.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, start)
                raise


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """A JSON file that is there complete or not at all; the same value gives the same bytes."""
    with whole_file(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """A JSON file of a run folder. Raises UserError where it is missing or broken."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: is {path.parent} a finished run?") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON: {error}") from error
