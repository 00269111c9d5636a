"""Records to a page: static files that work from disk and from any web host, and ask nothing of any other machine.

What is shown is data.js; page/ holds the program that shows it, which writes every text as text. Videos are encoded
anew for browsers, and are loaded when they come into sight.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import correlate, figures, leaderboard, publish, submission, suites
from .publish import Board
from .record import Published
from .report import shortened
from .standings import JSON, Row, agreement_text, leaning_text, visible
from .store import RecordFile, whole_file
from .types import Judgment, Task, UserError, VideoRecord
from .video import VideoError, encode
from .video import read as read_video

ASSETS = (
    "index.html", "page.css", "sortable.min.js", "sortable.LICENSE",
    "kit.js", "table.js", "curve.js", "gallery.js", "app.js",
)  # fmt: skip


@dataclass(kw_only=True)
class _Site:
    """What is being written."""

    out: Path
    videos: Mapping[str, Path]  # by sha256
    tasks: dict[tuple[str, str], int] = field(default_factory=dict)
    task_rows: list[JSON] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)  # models, judges, rubrics: texts that rows number
    samples: dict[tuple[int, int, int], JSON] = field(default_factory=dict)
    asked: Mapping[tuple[str, str], str] = field(default_factory=dict)  # instructions of tasks of no known suite

    def number(self, kind: str, name: str) -> int:
        """The place of a name among those of its kind."""
        known = self.names.setdefault(kind, [])
        if name not in known:
            known.append(name)
        return known.index(name)


def found_in(runs: Iterable[Path]) -> dict[str, Path]:
    """The videos of run folders by their sha256."""
    found = {}
    for folder in runs:
        for video in RecordFile(folder / "videos.jsonl", VideoRecord).read().values():
            path = folder / (video.file or "")
            if video.sha256 and path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                found[video.sha256] = path
    return found


def regenerate(records: Sequence[Published], *, out: Path, check: bool = False) -> list[str]:
    """Write the page of the published records, without videos; with `check`, only say which files would change.

    A figure's bitmap is not compared, since compression may differ between machines; its drawing is.
    """
    with TemporaryDirectory() as folder:
        made = Path(folder) / "page"
        if publish.boards(records):
            run(records, out=made, videos={})
        wanted = {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path.is_file()}
        there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        changed = [name for name, path in wanted.items() if not _same(path, out / name)]
        stale = there - wanted.keys()
        for name in [] if check else stale:
            (out / name).unlink()
        for name in [] if check or not changed else wanted:
            _write(out / name, wanted[name].read_bytes())
    return [str(out / name) for name in sorted({*changed, *stale})]


def _same(wanted: Path, there: Path) -> bool:
    bitmap = wanted.suffix == ".png" and wanted.parent.name == "figures"
    return there.is_file() and (bitmap or wanted.read_bytes() == there.read_bytes())


def of_run(folder: Path, *, out: Path) -> str:
    """Write the page of a run, published or not; say how large it is."""
    finished = submission.read(folder)
    asked = {(task["suite"], task["id"]): task["instruction"] for task in finished.settings.get("tasks", ())}
    records = list(submission.drafts(finished))
    return run(records, out=out, videos=found_in([folder]), others=finished.judgments, asked=asked)


def run(
    records: Sequence[Published],
    *,
    out: Path,
    videos: Mapping[str, Path],
    others: Sequence[Judgment] = (),
    asked: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """Write the page of these records; say how large it is.

    `others` are judgments that made no score; `asked` the instructions of tasks that are of no installed suite.

    UserError: no record that counts, a folder that holds something else.
    """
    found = publish.boards(records)
    if not found:
        raise UserError("no record to show: dreamgen-bench submit RUN makes them, dreamgen-bench view RUN shows a run")
    if out.exists() and any(out.iterdir()) and not (out / "data.js").is_file():
        raise UserError(f"{out}: holds something else than a page; choose an empty folder")
    site = _Site(out=out, videos=videos, asked=asked or {})
    shown = [_board(site, board) for board in found]
    _other_judges(site, others)
    for suite in sorted({(board.suite, board.suite_digest) for board in found}):
        several = [board for board in found if (board.suite, board.suite_digest) == suite]
        for board in shown:
            board["figures"] += figures.draw_judges(several, out=out) if board["suite"] == suite[0] else []
    models = [_model(site, board, label, record) for board in found for label, record in publish.labels(board).items()]
    data = {
        "boards": shown,
        "models": models,
        "tasks": site.task_rows,
        "names": site.names,
        "samples": list(site.samples.values()),
    }
    _assets(out)
    _write(out / "data.js", _script(data))
    size = (out / "data.js").stat().st_size / 2**20
    return f"{len(site.samples):,} videos of {len(site.names['models'])} models; data {size:.1f} MiB"


def _script(data: JSON) -> bytes:
    """Data as a script, since a page on disk may load no JSON; parsed as JSON, so that no name is a keyword."""
    whole = json.dumps(_shown(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = json.dumps(whole, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"window.BENCH = JSON.parse({text});\n".encode()


def _shown(value: Any) -> Any:
    """Every text with what has no shape of its own made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else value


def _write(path: Path, data: bytes) -> None:
    with whole_file(path) as file:
        file.write(data)


def _assets(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("dreamgen_bench") / "page") as folder:
        for name in ASSETS:
            shutil.copyfile(folder / name, out / name)


# Boards


def _board(site: _Site, board: Board) -> JSON:
    found, answers = publish.table(board)
    labelled = publish.labels(board)
    for label, record in labelled.items():
        _samples(site, label, record)
    columns = leaderboard.measured(found)
    return {
        "id": board.id,
        "title": board.title,
        "suite": board.suite,
        "judge": board.judge,
        "instrument": [line.removeprefix("- ") for line in publish.instrument(board)],
        "columns": [[column, heading] for column, heading in columns.items()],
        "rescaled": leaderboard.scale(found) is not None,
        "rows": [_row(row, found, columns) for row in found],
        "caption": leaderboard.caption(found, answers),
        "notes": leaderboard.notes(found),
        **_agreement(site, board, found),
    }


def _row(row: Row, table: Sequence[Row], columns: Iterable[str]) -> JSON:
    cells = {}
    for column in columns:
        cell = row.cell(column)
        ends = list(cell.ci95) if cell.ci95 else None
        cells[column] = {"mean": cell.mean, "ci95": ends, "n": cell.n, "why": cell.why}
    texts = {"place": leaderboard.place(row, table), "kind": row.kind, "rescaled": leaderboard.rescaled(row, table)}
    texts |= {"lost": leaderboard.lost(row), "covered": leaderboard.covered(row), "unranked": row.unranked}
    return {"model": row.model, "group": row.group, "mark": row.mark, "rank": row.rank, "cells": cells} | texts


def _agreement(site: _Site, board: Board, found: Sequence[Row]) -> JSON:
    """The coefficients in words, and the figures that are drawn."""
    named = publish.labels(board)
    scores = [row | {"model": label} for label, record in named.items() for row in record.scores]
    success = [row | {"model": label} for label, record in named.items() for row in record.success]
    groups = {label: "control" if r.model.group == "control" else "trained" for label, r in named.items()}
    correlation = correlate.run(scores, success, groups=groups) if success else None
    words = []
    if correlation and correlation["groups"]["all"]["models"]:
        names = {"trained": "Trained models", "controls": "Controls", "all": "All"}
        groups_of = correlation["groups"]
        words = [[who, agreement_text(groups_of.get(n)) + leaning_text(groups_of.get(n))] for n, who in names.items()]
    drawn = figures.draw(board, found, correlation if words else None, out=site.out)
    return {"agreement": words, "figures": drawn}


def _model(site: _Site, board: Board, label: str, record: Published) -> JSON:
    facts = record.model.model_dump(mode="json") | record.cost.model_dump() | record.protocol.model_dump()
    facts |= {"contact": record.contact, "date": record.date, "evidence": record.evidence.tier}
    facts |= {"evidence_by": record.evidence.by, "commit": record.code.get("commit"), **record.instrument.model_dump()}
    if record.contact == submission.UNSTATED:  # a draft: what nobody has said is no fact
        facts = {key: value for key, value in facts.items() if key not in ("prompt", "candidates", "usd_per_video")}
    plain = {key: value for key, value in facts.items() if value not in ("", None, [], {}, ())}
    behaviors = record.success[0].get("behaviors", {}) if record.success else {}
    success = record.success[0]["mean"] if record.success else None
    return {
        "board": board.id,
        "suite": board.suite,
        "number": site.number("models", label),
        "facts": [[key, _fact(value)] for key, value in plain.items()],
        "success": success,
        "behaviors": behaviors,
    }


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# Samples


def _samples(site: _Site, label: str, record: Published) -> None:
    model, suite = site.number("models", label), record.suite.name
    replays = {(row.task, row.seed): row for row in record.samples.replays}
    by_video = {}
    for video in record.samples.videos:
        task = _task(site, suite, video.task, record.suite.digest)
        row = site.samples.setdefault((task, model, video.seed), {"t": task, "m": model, "s": video.seed, "j": []})
        row["f"], row["w"] = _video(site, video.key, video.sha256, video.reason)
        if replay := replays.get((video.task, video.seed)):
            row["r"], row["rw"] = replay.success, replay.reason
        by_video[video.key] = row
    judge = site.number("judges", record.instrument.judge)
    for said in record.samples.judgments:
        rubric = site.number("rubrics", said.rubric)
        answer = [judge, rubric, said.status, said.value, said.probability, shortened(said.reply)]
        if not any(known[:2] == answer[:2] for known in by_video[said.video]["j"]):
            by_video[said.video]["j"].append(answer)


def _other_judges(site: _Site, others: Sequence[Judgment]) -> None:
    """What further judges said of videos that are shown."""
    models = {name: number for number, name in enumerate(site.names.get("models", []))}
    for said in others:
        place = (site.tasks.get((said.suite, said.task), -1), models.get(said.model, -1), said.seed)
        if row := site.samples.get(place):
            names = site.number("judges", said.judge), site.number("rubrics", said.rubric)
            if not any(tuple(known[:2]) == names for known in row["j"]):
                answer = [said.status, said.value, said.probability, shortened(said.reply)]
                row["j"].append([*names, *answer])


def _task(site: _Site, suite: str, name: str, digest: str) -> int:
    if (suite, name) in site.tasks:
        return site.tasks[suite, name]
    task = _known(suite, digest).get(name)
    row: JSON = {"suite": suite, "id": name, "behavior": ""}
    row["instruction"] = task.instruction if task else site.asked.get((suite, name))
    row["frame"] = None
    if task:
        row |= {"behavior": task.behavior, "frame": _frame(site, task)}
    site.tasks[suite, name] = len(site.task_rows)
    site.task_rows.append(row)
    return site.tasks[suite, name]


def _known(suite: str, digest: str) -> dict[str, Task]:
    if suite not in suites.names():
        return {}
    found = suites.load(suite)
    return {task.id: task for task in found.tasks} if found.digest == digest else {}


def _frame(site: _Site, task: Task) -> str | None:
    if not task.first_frame.is_file():
        return None
    data = task.first_frame.read_bytes()
    kind = "png" if data.startswith(b"\x89PNG") else "jpg"
    name = f"frames/{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
    if not (site.out / name).exists():
        _write(site.out / name, data)
    return name


def _video(site: _Site, key: str, sha256: str | None, reason: str | None) -> tuple[str | None, str | None]:
    """The path of a video that browsers play, or why there is none; neither where it was made but is not here."""
    if sha256 is None:
        return None, reason or "no reason recorded"
    if sha256 not in site.videos:
        return None, None
    name = f"videos/{key}.mp4"
    if not (site.out / name).exists():
        try:
            _write(site.out / name, encode(read_video(site.videos[sha256]), web=True))
        except VideoError as error:
            return None, str(error).replace(str(site.videos[sha256]), "the video")
    return name, None
