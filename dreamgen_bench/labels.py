"""People's (or a simulator's) labels of clips: CSV or JSON lines, one row a rater, or a folder with labels.jsonl.

Columns: video (a path relative to the file), instruction, rubric, rater, label (0 or 1; empty where the clip waits for
one); and optionally id, and what figures are split by: model, behavior, look, defect, level, how, held_out. Nothing is
guessed: what can't be used is a problem with its line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import suites
from .registry import nearest
from .rows import parsed
from .types import UserError
from .video import VideoError, beside

REQUIRED = ("instruction", "rubric", "rater", "label")
SPLITS = ("model", "behavior", "look", "defect", "level", "how", "held_out")
KNOWN = {*REQUIRED, *SPLITS, "id", "video"}
FILES = ("labels.jsonl", "labels.csv")
SHORT = {"IF": "instruction-following-v1", "PA": "physics-alignment-v1"}
"""Rubrics by their column's name."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something about one line that keeps a row from being used, or a clip from being complete."""

    line: int
    kind: str  # unreadable, missing, duplicate, conflict
    what: str

    def json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return {"line": self.line, "kind": self.kind, "what": self.what}


@dataclass(kw_only=True)
class Clip:
    """A video, what was asked for in it, and what each rater said."""

    id: str
    video: Path
    instruction: str
    rubric: str
    line: int  # of its first row
    about: dict[str, str] = field(default_factory=dict)  # of SPLITS
    ratings: dict[str, float] = field(default_factory=dict)

    @property
    def truth(self) -> float | None:
        """What most raters said; None where nobody did, or as many said the one as the other."""
        yes = sum(self.ratings.values())
        no = len(self.ratings) - yes
        return None if yes == no else float(yes > no)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a file of labels holds."""

    path: Path
    clips: list[Clip]
    problems: list[Problem]
    suite: str = ""  # name of the suite of ground-truth clips that these labels are of

    @property
    def raters(self) -> list[str]:
        """All who rated any clip, sorted."""
        return sorted({rater for clip in self.clips for rater in clip.ratings})


def find(name: str) -> Path:
    """The file of labels: a path, a folder that holds one, or the name of a suite of ground-truth clips.

    Raises UserError with what there is.
    """
    given = Path(name)
    if given.is_file():
        return given
    known = [path.name for path in suites.folder().glob("*/") if any((path / file).is_file() for file in FILES)]
    for folder in (given, suites.folder() / name):
        for file in FILES:
            if (folder / file).is_file():
                return folder / file
    if given.is_dir():
        raise UserError(f"{name}: holds neither {' nor '.join(FILES)}")
    there = nearest(name, known) if known else ". There is no suite of labelled clips in this installation"
    raise UserError(f"no file, folder or suite of labels named {name!r}{there}")


def read(name: str) -> Labels:
    """Every clip with its ratings, and every problem by line. Raises UserError where nothing can be used."""
    path = find(name)
    clips: dict[tuple[str, str], Clip] = {}
    problems: list[Problem] = []
    spoiled: dict[tuple[str, str, str], int] = {}
    first: dict[tuple[str, str, str], int] = {}
    for line, row in _rows(path, problems):
        where = _unusable(row, path.parent)
        if where:
            problems.append(Problem(line=line, kind="missing" if "missing" in where else "unreadable", what=where))
            continue
        clip = _clip(row, path.parent, line)
        there = clips.setdefault((clip.id, clip.rubric), clip)
        if (differs := _differs(there, clip)) is not None:
            what = f"clip {clip.id!r} has another {differs} than in line {there.line}"
            problems.append(Problem(line=line, kind="conflict", what=what))
            continue
        _rate(there, row, line, first, spoiled, problems)
    for key in spoiled:
        clips[key[0], key[1]].ratings.pop(key[2], None)
    found = Labels(path=path, clips=list(clips.values()), problems=problems)
    problems += _unrated(found, spoiled)
    problems.sort(key=lambda problem: problem.line)
    if not any(clip.truth is not None for clip in found.clips):
        told = "".join(f"; line {p.line}: {p.what}" for p in problems[:3])
        raise UserError(f"{path}: no clip with a label that could be used{told}")
    return found


def _rows(path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    text = path.read_text("utf-8-sig", errors="replace")
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        _check_columns(set(reader.fieldnames or ()), path)
        for row in _readable(reader, path):
            if None in row or None in row.values():
                what = "has more or fewer cells than the header"
                problems.append(Problem(line=reader.line_num, kind="unreadable", what=what))
                continue
            yield reader.line_num, dict(row)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, parsed(line, KNOWN)
        except UserError as error:
            problems.append(Problem(line=number, kind="unreadable", what=str(error)))


def _readable(reader: csv.DictReader[str], path: Path) -> Iterator[dict[Any, Any]]:
    """Its rows. Raises UserError, by line, for a cell that no CSV reader would hold: the rest can't be told from it."""
    try:
        yield from reader
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num + 1}: {error}") from error


def _check_columns(columns: set[str], path: Path) -> None:
    if missing := sorted(set(REQUIRED) - columns):
        raise UserError(f"{path}: column {missing[0]!r} is missing; labels have {', '.join(sorted(KNOWN))}")
    if unknown := sorted(columns - KNOWN):
        raise UserError(f"{path}: unknown column {unknown[0]!r}; labels have {', '.join(sorted(KNOWN))}")


def _unusable(row: dict[str, Any], base: Path) -> str:
    """Why a row can't be used, or nothing."""
    for key in REQUIRED[:-1]:
        if not isinstance(row.get(key), str) or not row[key].strip():
            return f"{key} is missing"
    if "label" not in row:
        return "label is missing"
    if _label(row["label"]) not in (None, 0.0, 1.0):
        return f"label {row['label']!r} is neither 0 nor 1"
    wrong = [key for key in ("id", "video") if not isinstance(row.get(key) or "", str) or row.get(key) is False]
    if wrong := wrong + [key for key in SPLITS if not isinstance(row.get(key) or "", (str, bool))]:
        return f"{wrong[0]} is no text"
    name = row.get("video") or row.get("id")
    if not name:
        return "video is missing"
    try:
        beside(base, name)
    except VideoError as error:
        return f"video is missing: {error}" if "no such file" in str(error) else f"video: {error}"
    return ""


def _label(value: Any) -> Any:
    """0.0 or 1.0; None for a label that is still to come; the value itself for anything else."""
    if isinstance(value, str):
        value = {"": None, "0": 0, "1": 1, "0.0": 0, "1.0": 1}.get(value.strip(), value)
    return float(value) if not isinstance(value, str) and value in (0, 1) else value


def _clip(row: dict[str, Any], base: Path, line: int) -> Clip:
    return Clip(
        id=row.get("id") or row["video"],
        video=base / (row.get("video") or row["id"]),
        instruction=row["instruction"],
        rubric=SHORT.get(row["rubric"], row["rubric"]),
        line=line,
        about={key: str(row[key]) for key in SPLITS if row.get(key) not in (None, "")},
    )


def _differs(one: Clip, other: Clip) -> str | None:
    for name in ("video", "instruction", "about"):
        if getattr(one, name) != getattr(other, name):
            return ", ".join(SPLITS) if name == "about" else name
    return None


def _rate(
    clip: Clip,
    row: dict[str, Any],
    line: int,
    first: dict[tuple[str, str, str], int],
    spoiled: dict[tuple[str, str, str], int],
    problems: list[Problem],
) -> None:
    """Take one rater's label. Of a rater who contradicts himself about a clip nothing is taken."""
    rater, label = row["rater"], _label(row["label"])
    key = (clip.id, clip.rubric, rater)
    if key in first:
        same = clip.ratings.get(rater) == label
        kind, what = ("duplicate", "has said the same") if same else ("conflict", "has said something else")
        what = f"rater {rater!r} {what} about clip {clip.id!r} in line {first[key]}"
        problems.append(Problem(line=line, kind=kind, what=what + ("" if same else ": neither is used")))
        if not same:
            spoiled[key] = line
        return
    first[key] = line
    if label is not None:
        clip.ratings[rater] = label


def _unrated(labels: Labels, spoiled: dict[tuple[str, str, str], int]) -> list[Problem]:
    """Raters who said nothing about a clip that others rated, and clips on which they are even."""
    found = []
    raters: dict[str, set[str]] = {}
    for clip in labels.clips:
        raters.setdefault(clip.rubric, set()).update(clip.ratings)
    for clip in labels.clips:
        absent = raters[clip.rubric] - set(clip.ratings) if clip.ratings else set()
        if silent := sorted(rater for rater in absent if (clip.id, clip.rubric, rater) not in spoiled):
            what = f"no label of {', '.join(silent)} for clip {clip.id!r}"
            found.append(Problem(line=clip.line, kind="missing", what=what))
        if clip.ratings and clip.truth is None:
            what = f"raters are even about clip {clip.id!r}: it has no truth"
            found.append(Problem(line=clip.line, kind="conflict", what=what))
    return found
