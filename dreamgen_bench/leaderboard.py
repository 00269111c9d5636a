"""The records of a run to tables and a page: Markdown, CSV, a terminal's tables, and report/index.html.

A table for each suite and, where there are several, one over all of them. World models are ranked by the bench
score, the mean of instruction following (IF) and physics alignment (PA). Controls, ceilings and floors stand in
the same table under their own names, and are never ranked. What could not be had is shown as a dash, and a note
says why. `standings.py` makes the rows, `report.py` the page, `plots.py` the figure.
"""

from __future__ import annotations

import csv as csv_module
import io
import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import latest, stats
from .standings import (
    ABSENT,
    COLUMNS,
    JSON,
    NOT_MEASURED,
    RUBRICS,
    Cell,
    Paired,
    Row,
    elsewhere,
    line,
    paired,
    rows,
)
from .store import read_json, whole_file
from .types import Suite, VideoRecord

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["Cell", "Row", "caption", "csv", "markdown", "notes", "rows", "run", "tables", "terminal", "title"]


NUMBERS = ("Rank", "Rescaled", "No video", "Coverage")
"""Headings of columns that stand right-aligned."""


# Tables


def tables(found: Iterable[Row]) -> list[list[Row]]:
    """The rows of each table."""
    return [list(table) for _, table in groupby(found, key=lambda row: row.suites)]


def title(table: Sequence[Row]) -> str:
    """The suite's name, or how many are averaged."""
    suites = table[0].suites
    return suites[0] if len(suites) == 1 else f"All {len(suites)} suites"


def measured(table: Sequence[Row]) -> dict[str, str]:
    """The columns, with their headings, that anyone was measured on in this table."""
    made = [row for row in table if row.group != "reference"]
    seen = {column for column in COLUMNS for row in made if row.cell(column).why != NOT_MEASURED}
    seen |= {"success" for row in table if row.success.mean is not None}
    return {column: heading for column, heading in COLUMNS.items() if column in seen}


def caption(table: Sequence[Row], judgments: Sequence[JSON] | None = None) -> str:
    """How to read the table: what is averaged, how ties are made, and which difference could be seen."""
    suites = table[0].suites
    waiting = [row for row in table if row.ranked]
    pairs = paired(waiting, judgments)
    words = ["Mean [95 % interval over tasks]."]
    if len(suites) > 1:
        words.append(f"Averaged over the suites where it was measured, which count alike: {', '.join(suites)}.")
    if waiting:
        by_test = "paired sign-flip tests on the same tasks, Holm-corrected"
        by_interval = "their 95 % intervals overlap with its (no paired test without judgments)"
        words.append("Bench is the mean of IF and PA, and gives the rank.")
        words.append("Models that cannot be told apart from the best of their group share its rank (=):")
        words.append(f"{by_test if pairs else by_interval}. {_detectable(waiting, pairs)}")
    if "bench" in measured(table):
        words.append("Controls, ceilings and floors are not ranked. A missing video counts as 0.")
    if ends := scale(table):
        words.append(f"Rescaled: the best floor's Bench, {ends[0]:.2f}, is 0, the ceiling's, {ends[1]:.2f}, is 1.")
    return " ".join(word.strip() for word in words)


def _detectable(waiting: Sequence[Row], pairs: Paired | None) -> str:
    power = "(80 % power, 5 % level)"
    if pairs and len(waiting) > 1:
        values, _, tasks = pairs
        found = [stats.paired_difference(values[0], other, tasks=tasks).detectable for other in values[1:]]
        known = [value for value in found if value is not None]
        if known:
            return f"Smallest detectable difference from the first row's Bench: {max(known):.2f} {power}."
    n = min(cell.n for row in waiting for cell in (row.instruction, row.physics))
    if n < 2:
        return ""
    from statsmodels.stats.power import NormalIndPower

    effect = NormalIndPower().solve_power(nobs1=n, alpha=0.05, power=0.8)
    least = math.sin(min(effect / 2 + math.pi / 4, math.pi / 2)) ** 2 - 0.5
    return f"Smallest detectable difference between two rates near 0.5, {n} videos each: {least:.2f} {power}."


def notes(table: Sequence[Row]) -> list[str]:
    """Why values are absent and rows unranked, and what scores could have been had nothing been missing."""
    columns = measured(table)
    who: dict[tuple[str, str], list[str]] = {}
    for row in table:
        if row.unranked and row.group in ("trained", "unknown") and "bench" in columns:
            who.setdefault((f"not ranked: {row.unranked}", ""), []).append(row.model)
        reasons: dict[str, list[str]] = {}
        for column, heading in columns.items():
            if why := _gap(row.cell(column)):
                reasons.setdefault(why, []).append(heading)
        for why, headings in reasons.items():
            who.setdefault((why, ", ".join(headings)), []).append(row.model)
    absent = [heading for column, heading in COLUMNS.items() if column not in columns]
    found = [f"{', '.join(absent)}: {NOT_MEASURED}"] if absent else []
    for (why, heading), models in who.items():
        names = "every row" if len(models) == len(table) > 1 else ", ".join(models)
        found.append(f"{names} – {heading}: {why}" if heading else f"{names} – {why}")
    return found + [note for row in table for note in _missing(row)]


def _gap(cell: Cell) -> str:
    if cell.mean is None:
        return cell.why or "no reason recorded"
    return "" if cell.ci95 else "no interval"


def _missing(row: Row) -> list[str]:
    found = []
    for column in RUBRICS.values():
        cell = row.cell(column)
        if cell.judge_error or cell.unparsed:
            gaps = f"{cell.judge_error} judge errors and {cell.unparsed} unparsed of {cell.planned}"
            ends = f"; had all of them failed {cell.bounds[0]:.2f}, passed {cell.bounds[1]:.2f}" if cell.bounds else ""
            found.append(f"{row.model} – {COLUMNS[column]}: {gaps}{ends}")
    return found


def texts(row: Row, table: Sequence[Row]) -> dict[str, str]:
    """The row's text under each heading."""
    columns = measured(table)
    found = {"Rank": place(row, table)} if "bench" in columns else {}
    found |= {"Model": line(row.model), "Group": line(row.kind)}
    for column, heading in columns.items():
        found[heading] = str(row.cell(column))
        if column == "bench" and scale(table):
            found["Rescaled"] = rescaled(row, table)
    return found | ({"No video": lost(row), "Coverage": covered(row)} if "bench" in columns else {})


def scale(table: Sequence[Row]) -> tuple[float, float] | None:
    """The bench scores of the best floor and of the best ceiling; None where either is absent, or not below."""
    ends = {
        mark: [row.bench.mean for row in table if row.mark == mark and row.bench.mean is not None]
        for mark in ("floor", "ceiling")
    }
    low, high = max(ends["floor"], default=math.inf), max(ends["ceiling"], default=-math.inf)
    return (low, high) if low < high else None


def rescaled(row: Row, table: Sequence[Row]) -> str:
    """The bench score where the best floor is 0 and the ceiling 1."""
    ends = scale(table)
    if ends is None or row.bench.mean is None:
        return ABSENT
    return f"{(row.bench.mean - ends[0]) / (ends[1] - ends[0]) + 0.0:.2f}"


def lost(row: Row) -> str:
    """Videos that the model did not make, of those planned."""
    return f"{row.bench.no_video}/{row.bench.planned}" if row.bench.planned else ABSENT


def covered(row: Row) -> str:
    """Coverage, rounded down."""
    return ABSENT if row.coverage is None else f"{math.floor(row.coverage * 1000) / 10:g} %"


def place(row: Row, table: Sequence[Row]) -> str:
    """The rank, with = where it is shared."""
    shared = sum(other.rank == row.rank for other in table) > 1
    return f"{row.rank}{'=' if shared else ''}" if row.ranked else ABSENT


def markdown(found: Sequence[Row], *, judgments: Sequence[JSON] | None = None) -> str:
    """A heading, a table, its caption and its notes, for each table."""
    parts = []
    for table in tables(found):
        lines_of = [texts(row, table) for row in table]
        ends = ["---:" if heading in NUMBERS else ":--" for heading in lines_of[0]]
        cells = [[escaped(text) for text in row.values()] for row in lines_of]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in [list(lines_of[0]), ends, *cells])
        below = "\n".join(f"- {escaped(note)}" for note in notes(table))
        parts += [f"## {escaped(title(table))}", lines, escaped(caption(table, judgments)), below]
    return "\n\n".join(filter(None, parts)) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: one line, no markup, no cell's end."""
    markup = r"[\\`*<>|~&$#]|(?<![^\W_])_|_(?![^\W_])|\[(?![\d–])|\](?=[(\[:])"
    return re.sub(markup, r"\\\g<0>", line(text))


def csv(found: Sequence[Row]) -> str:
    """One line a row and value, with every count, unrounded; names as they are."""
    counts = ("n", "planned", "no_video", "judge_error", "unparsed")
    out = io.StringIO()
    lines = csv_module.writer(out, lineterminator="\n")
    about = ["suites", "model", "group", "adaptation", "mark", "rank", "tied_with", "unranked"]
    lines.writerow([*about, "value", "mean", "ci95_low", "ci95_high", *counts, "why"])
    for row in found:
        known: list[Any] = [";".join(row.suites), row.model, row.group, row.adaptation, row.mark]
        known += [row.rank if row.ranked else "", row.leader or "", row.unranked]
        for column, heading in COLUMNS.items():
            cell = row.cell(column)
            mean = "" if cell.mean is None else cell.mean
            numbers = [mean, *(cell.ci95 or ("", "")), *(getattr(cell, name) for name in counts)]
            lines.writerow([*known, heading, *numbers, cell.why])
    return out.getvalue()


def terminal(found: Sequence[Row], *, judgments: Sequence[JSON] | None = None) -> Group:
    """The tables for rich to print, each with its caption and notes under it."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Table | Text] = []
    for table in tables(found):
        lines_of = [texts(row, table) for row in table]
        grid = Table(title=Text(line(title(table))), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        for heading in lines_of[0]:
            grid.add_column(heading, justify="left" if heading in ("Model", "Group") else "right", overflow="fold")
        for row, cells in zip(table, lines_of, strict=True):
            style = "" if row.ranked or "Rank" not in cells else "dim"
            grid.add_row(*(Text(text.replace(" [", "\n[")) for text in cells.values()), style=style)
        below = [caption(table, judgments), *(f"- {note}" for note in notes(table))]
        parts += [grid, Text("\n".join(map(line, below)) + "\n", style="dim")]
    return Group(*parts)


# A run folder to files

FIGURES = ("report/score_vs_success.png", "report/score_vs_success.svg")


def run(out: Path, *, suites: Sequence[Suite] = ()) -> JSON:
    """Write leaderboard.md, leaderboard.csv and report/ from the records in `out`; say which files and which not.

    `suites` give the page its instructions and first frames. A record that is absent (no success rates yet, no
    correlation) leaves a gap that the page names. UserError: no scores.json, a record that does not load.
    """
    from . import report

    scores = read_json(out / "scores.json")
    success, correlation = (_optional(out / name) for name in ("success.json", "correlation.json"))
    settings = _optional(out / "run.json") or {}
    judgments = judgments_behind(out, scores)
    found = rows(scores, success or [], models=_models(settings, scores, latest.videos(out)), judgments=judgments)
    why = _plot(out, found, correlation)
    page = report.page(
        found,
        judgments=judgments,
        samples=report.samples(out, found, judgments=judgments, suites=suites, records=_records(out)),
        plot=why or (out / FIGURES[1]).read_text("utf-8"),
        records={"run": settings, "scores": scores, "success": success, "correlation": correlation},
    )
    written = {"leaderboard.md": markdown(found, judgments=judgments), "leaderboard.csv": csv(found)}
    for name, text in (written | {"report/index.html": page}).items():
        with whole_file(out / name) as file:
            file.write(text.encode())
    files = [*written, "report/index.html", *(() if why else FIGURES)]
    return {"planned": 5, "done": len(files), "skipped": 0, "failed": {why: 2} if why else {}, "files": files}


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def judgments_behind(out: Path, scores: Sequence[JSON]) -> list[JSON]:
    """Those behind the scores: a run folder may hold other judges' too."""
    scored = {(row["model"], row["suite"], row["rubric"], row["judge"]) for row in scores}
    records = latest.judgments(out)
    return [j.model_dump() for j in records if (j.model, j.suite, j.rubric, j.judge) in scored]


def _records(out: Path) -> tuple[list[JSON], list[JSON]]:
    """Videos, and episodes in which one was replayed."""
    replays = [episode.model_dump() for episode in latest.episodes(out) if episode.kind == "replay"]
    return [video.model_dump() for video in latest.videos(out)], replays


def _models(settings: JSON, scores: Sequence[JSON], videos: Sequence[VideoRecord]) -> dict[str, JSON]:
    """What run.json says of each model that was scored, and where its videos keep it from a rank."""
    known = settings.get("models", {})
    judged = {(row["model"], row["suite"]) for row in scores}
    found = {name: dict(known.get(name, {})) for name in sorted({*known, *(model for model, _ in judged)})}
    for model, suite in sorted(judged):
        own = (video for video in videos if (video.model, video.suite) == (model, suite))
        found[model].setdefault("elsewhere", {})[suite] = elsewhere(own)
    return found


def _plot(out: Path, found: Sequence[Row], correlation: JSON | None) -> str:
    """Draw the figure, or say why there is none."""
    if correlation is None:
        return "correlation.json is absent: scores and success rates were not compared"
    if not correlation["groups"]["all"]["models"]:
        return "no model has both a score and a success rate"
    from . import plots

    known = [row for row in tables(found)[0] if row.group == "reference" and row.success.mean is not None]
    lines = {f"{row.model} ({row.mark})" if row.mark else row.model: float(row.success.mean or 0) for row in known}
    (out / "report").mkdir(exist_ok=True)
    png, svg = (out / name for name in FIGURES)
    plots.score_vs_success(correlation, path_png=png, path_svg=svg, references=lines)
    return ""
