"""Scores against success rates: from a run's `scores.json` and `success.json`, or from anybody's table."""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamgen_bench import confounds, measured, noise, stats

SCHEMA = 1
# The paper's bench score (sec. 4) is the mean of these two.
BENCH = ("instruction-following", "physics-alignment")
SCORE = "mean of instruction-following and physics-alignment, each averaged over suites"
GROUPS = {"trained": "trained", "control": "controls"}
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


class TableError(ValueError):
    """A table that cannot be read as asked: names the file, the line or column, and the cure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One model's value on one axis, with its interval where every part of it has one."""

    mean: float
    ci95: tuple[float, float] | None


Row = dict[str, Any]
Recipe = tuple[str | None, str | None]
Axis = dict[str, Value]
Reasons = dict[str, str]
Side = tuple[Axis, Reasons]  # the models that have a value, and why others have none


def from_table(path: str | Path, *, score: str, success: str, model: str | None = None) -> dict[str, Any]:
    """The agreement of two columns of a CSV (or .tsv) file, one model a row, in the form of a group of `run`.

    Rows with an empty cell (or NA, NaN, null, none) are left out and counted in `n_missing`. Without `model`,
    a row is named by its line. TableError: no such file or column, a cell that is no number, a model named
    twice.
    """
    path = Path(path)
    if score == success:
        raise TableError(f"{path}: score and success are both column {score!r}; choose two")
    rows = _read(path, columns=[score, success] + ([model] if model else []))
    full = [(line, row) for line, row in rows if not any(cell.lower() in MISSING for cell in row.values())]
    _refuse_words(path, full, columns=(score, success))
    lines: dict[str, int] = {}
    for line, row in full:
        name = row[model] if model else f"line {line:06d}"
        if name in lines:
            raise TableError(f"{path}:{line}: model {name!r} is also on line {lines[name]}; average its rows first")
        lines[name] = line
    axes = [
        {name: Value(mean=float(row[column]), ci95=None) for name, (_, row) in zip(lines, full, strict=True)}
        for column in (score, success)
    ]
    found = {"schema": SCHEMA, "table": str(path), "score": score, "success": success}
    return found | {"n_rows": len(rows), "n_missing": len(rows) - len(full)} | _group(*axes, models=lines)


def run(
    scores: list[Row],
    success: list[Row],
    *,
    groups: dict[str, str],
    rows: measured.Rows | None = None,
    covariates: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """The contents of `correlation.json` from the rows of `scores.json` and `success.json`.

    `groups` says of every model whether it is `trained` or a `control`. A model's score is the mean of its
    instruction-following and physics-alignment, each averaged over suites; its success is averaged over
    suites too. A model that lacks any of these, on any suite that another model has, is not comparable and is
    listed under `left_out`. So is a model whose policies came from another recipe (idm, policy) than most
    rows. `by_score` holds the same groups for each rubric alone.

    Intervals of averages: suites hold different tasks, so their errors are independent and half-widths add in
    squares (Zou & Donner 2008). The two rubrics judge the same videos, so their errors are not; half-widths
    are averaged, as if they moved together, which is never too narrow.

    `rows`, the single measurements behind both, add to each group `corrected` (Pearson's r without the noise of
    either axis) and `hierarchical` (intervals over models, tasks and repeats). `covariates` (name -> model ->
    number) adds `partial`. ValueError: two rows for one cell, an unknown group.
    """
    unknown = sorted(set(groups.values()) - set(GROUPS))
    if unknown:
        raise ValueError(f"unknown group {unknown[0]!r}; choose from: {', '.join(GROUPS)}")
    everyone = sorted(set(groups) | {row["model"] for row in [*scores, *success]})
    scores, success = ([row for row in rows if row["model"] in groups] for rows in (scores, success))
    recipe = _common_recipe(success)
    outcome, no_outcome = _outcomes(success, recipe=recipe)
    found: dict[str, dict[str, Any]] = {}
    left: dict[tuple[str, str], list[str]] = {}
    for name, (axis, no_score) in _axes_of(scores).items():
        reasons = {m: _reason(m, groups, (outcome, no_outcome), (axis, no_score)) for m in everyone}
        for model, reason in reasons.items():
            if reason:
                left.setdefault((model, reason), []).append(name)
        kept = [model for model in everyone if reasons[model] is None]
        members = {key: [m for m in kept if groups[m] == group] for group, key in GROUPS.items()} | {"all": kept}
        found[name] = {
            key: _group(axis, outcome, models=models)
            | (_without_noise(rows, name, models) if rows is not None else {})
            | (_without_confounds(covariates, axis, outcome, models) if covariates else {})
            for key, models in members.items()
        }
    return {
        "schema": SCHEMA,
        "score": SCORE,
        "recipe": {"idm": recipe[0], "policy": recipe[1]} if recipe else None,
        "groups": found.pop("bench"),
        "by_score": found,
        "left_out": [{"model": m, "reason": why, "scores": names} for (m, why), names in sorted(left.items())],
    }


def _group(axis: Axis, outcome: Axis, *, models: Iterable[str]) -> dict[str, Any]:
    names = sorted(models)
    found = stats.agreement(
        [axis[name].mean for name in names], [outcome[name].mean for name in names], models=names
    ).json()
    points = [(name, axis[name], outcome[name]) for name in names]
    return found | {
        "models": [
            {
                "model": m,
                "score": a.mean,
                "score_ci95": stats.plain(a.ci95),
                "success": b.mean,
                "success_ci95": stats.plain(b.ci95),
            }
            for m, a, b in points
        ]
    }


def _without_noise(rows: measured.Rows, name: str, models: Sequence[str]) -> dict[str, Any]:
    axes = [measured.cells(rows, axis, sorted(models)) for axis in (name, measured.SUCCESS)]
    if not models or axes[0] is None or axes[1] is None:
        return {"corrected": None, "hierarchical": None}
    intervals = noise.hierarchical(axes[0], axes[1])
    return {
        "corrected": noise.corrected(axes[0], axes[1]).json(),
        "hierarchical": {key: stats.plain(ends) for key, ends in intervals.items()},
    }


def _without_confounds(
    covariates: Mapping[str, Mapping[str, float]], axis: Axis, outcome: Axis, models: Sequence[str]
) -> dict[str, Any]:
    known = {name: [of[m] for m in models] for name, of in covariates.items() if all(m in of for m in models)}
    x, y = [axis[m].mean for m in models], [outcome[m].mean for m in models]
    one = {name: confounds.partial(x, y, covariates={name: values}) for name, values in known.items()}
    unknown = sorted(set(covariates) - set(known))
    return {"partial": {"each": one, "together": confounds.partial(x, y, covariates=known), "unknown": unknown}}


def _reason(model: str, groups: dict[str, str], *sides: Side) -> str | None:
    if model not in groups:
        return "in no group"
    for axis, reasons in sides:
        if model not in axis:
            return reasons.get(model, reasons[""])
    return None


def _axes_of(scores: list[Row]) -> dict[str, Side]:
    """The bench score first, then each rubric alone under its name with underscores."""
    scores = [row | {"rubric": re.sub(r"-v\d+$", "", row["rubric"])} for row in scores]
    rubrics = list(BENCH) + sorted({row["rubric"] for row in scores} - set(BENCH))
    sides = {}
    for rubric in rubrics:
        rows = [row for row in scores if row["rubric"] == rubric]
        judges = sorted({str(row.get("judge")) for row in rows})
        if len(judges) > 1:
            raise ValueError(f"{rubric} was scored by {', '.join(judges)}: correlate one judge at a time")
        sides[rubric] = _over_suites(rows, what=f"{rubric} score")
    alone = {rubric.replace("-", "_"): side for rubric, side in sides.items()}
    return {"bench": _bench(*(sides[rubric] for rubric in BENCH))} | alone


def _bench(first: Side, second: Side) -> Side:
    (one, why_one), (two, why_two) = first, second
    both = {model: _moving_together(one[model], two[model]) for model in one if model in two}
    reasons = {}
    for model in set(why_one) | set(why_two) | set(one) ^ set(two):
        lacking = [why.get(model, why[""]) for axis, why in ((one, why_one), (two, why_two)) if model not in axis]
        reasons[model] = "; ".join(lacking)
    return both, reasons


def _moving_together(a: Value, b: Value) -> Value:
    mean = (a.mean + b.mean) / 2
    if a.ci95 is None or b.ci95 is None:
        return Value(mean=mean, ci95=None)
    return Value(mean=mean, ci95=((a.ci95[0] + b.ci95[0]) / 2, (a.ci95[1] + b.ci95[1]) / 2))


def _over_suites(rows: list[Row], *, what: str) -> Side:
    """Each model's mean over all suites that occur, and why others have none ("" for those without rows)."""
    cells: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["suite"] in cells.setdefault(row["model"], {}):
            raise ValueError(f"two rows for the {what} of {row['model']} on {row['suite']}: keep one")
        cells[row["model"]][row["suite"]] = row
    suites = sorted({row["suite"] for row in rows})
    axis: Axis = {}
    reasons = {"": f"no {what}"}
    for model, by_suite in cells.items():
        lacking = [s for s in suites if s not in by_suite or by_suite[s]["mean"] is None]
        if lacking:
            reasons[model] = f"no {what} on {', '.join(lacking)}"
        else:
            axis[model] = _independent([by_suite[s] for s in suites])
    return axis, reasons


def _independent(rows: list[Row]) -> Value:
    means = [float(row["mean"]) for row in rows]
    mean = math.fsum(means) / len(means)
    if any(row.get("ci95") is None for row in rows):
        return Value(mean=mean, ci95=None)
    below, above = (math.hypot(*(row["ci95"][end] - row["mean"] for row in rows)) / len(rows) for end in (0, 1))
    return Value(mean=mean, ci95=(mean - below, mean + above))


def _common_recipe(success: list[Row]) -> Recipe | None:
    counts = Counter((row["idm"], row["policy"]) for row in success)
    return min(counts, key=lambda recipe: (-counts[recipe], str(recipe))) if counts else None


def _outcomes(success: list[Row], *, recipe: Recipe | None) -> Side:
    same = [row for row in success if (row["idm"], row["policy"]) == recipe]
    axis, reasons = _over_suites(same, what="success rate")
    for row in success:
        if row["model"] not in axis and row["model"] not in reasons and recipe:
            other = f"its success rate is from idm {row['idm']}, policy {row['policy']}"
            reasons[row["model"]] = f"{other}; most are from idm {recipe[0]}, policy {recipe[1]}"
    return axis, reasons


def _read(path: Path, *, columns: list[str]) -> list[tuple[int, dict[str, str]]]:
    """The asked columns of every row, with the line it ends on."""
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            header = [cell.strip() for cell in next(lines, [])]
            places = {column: _place(path, header, column) for column in columns}
            rows = []
            for cells in lines:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise TableError(f"{path}:{lines.line_num}: {len(cells)} cells, but {len(header)} columns")
                rows.append((lines.line_num, {column: cells[at].strip() for column, at in places.items()}))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: not a CSV file in UTF-8: {error}") from error
    return rows


def _place(path: Path, header: list[str], column: str) -> int:
    if header.count(column) == 1:
        return header.index(column)
    if header.count(column) > 1:
        raise TableError(f"{path}: {header.count(column)} columns are named {column!r}; rename all but one")
    near = difflib.get_close_matches(column, header, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    there = ", ".join(header) if header else "none (the file is empty)"
    raise TableError(f"{path}: no column {column!r}.{guess} Columns: {there}")


def _refuse_words(path: Path, rows: list[tuple[int, dict[str, str]]], *, columns: tuple[str, str]) -> None:
    wrong = [
        f"{path}:{line}: {column} is {row[column]!r}, not a number"
        for line, row in rows
        for column in columns
        if _number(row[column]) is None
    ]
    if wrong:
        more = [f"... and {len(wrong) - 10} more cells"] if len(wrong) > 10 else []
        raise TableError("\n".join([*wrong[:10], *more, "Leave a cell empty to leave its row out."]))


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
