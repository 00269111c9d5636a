"""JSON rows that others wrote: nothing in them is trusted, and what is wrong is said with its place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from .types import UserError

MAX_LETTERS = 4000


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Say where it is, of whatever is found wrong meanwhile; `where` as in clips.jsonl:7."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def parsed(line: str, known: Collection[str]) -> dict[str, Any]:
    """The JSON object of a line. Raises UserError: no JSON, no object, or a key that is not known."""
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half of a surrogate pair is no text that a file can hold
    except (ValueError, RecursionError) as error:
        raise UserError(f"is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError("is no JSON object")
    if unknown := sorted(set(row) - set(known)):
        raise UserError(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    return row


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a file that are not blank. Raises UserError for one that is no UTF-8.

    Only a newline ends a line: a text may hold other separators.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no UTF-8: {error}; save it as UTF-8") from error
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def check_texts(row: dict[str, Any], keys: Collection[str]) -> None:
    """Raises UserError unless each of these keys is there and is a text of a bearable length."""
    for key in keys:
        value = row.get(key)
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_LETTERS or "\0" in value:
            raise UserError(f"key {key!r}: must be a text of 1 to {MAX_LETTERS} letters, is {str(value)[:60]!r}")
