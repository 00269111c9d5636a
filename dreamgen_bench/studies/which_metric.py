"""Which metric predicts the policy: every score that we have of the same videos, ranked by how it predicts success.

The judges' rubrics and the paper's mean of them, replay success, other judges, distances to the true video, motion and
length, and columns that a user brings. A metric that is chosen because it looks best is not evidence of itself: models
are halved by a hash of their names, a metric is chosen on one half, and confirmed on the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from .. import agreement, judge, loop, measured, metrics, plots, registry, stats
from ..store import RecordFile, write_json
from ..types import Judgment, UserError, VideoRecord
from ..video import read
from . import score_vs_success
from .frame import Job, Json, attempt, correlated

USERS = "brought"
LONGEST_TABLE = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What is run, and which judges are asked beside the run's own."""

    base: score_vs_success.Preset
    judges: tuple[str, ...] = field(default=())


PRESETS = MappingProxyType(
    {
        "small": Preset(base=score_vs_success.PRESETS["small"], judges=("state",)),
        "medium": Preset(base=score_vs_success.PRESETS["medium"], judges=("state",)),
        "full": Preset(base=score_vs_success.PRESETS["full"], judges=("clip-b32", "state")),
    }
)


def run(job: Job, preset: Preset) -> Json:
    """The run of `score-vs-success` in the same --out if it is there, all metrics on its videos, and their ranking."""
    judges, unknown = known_judges(job.more.get("judges") or preset.judges)
    with attempt(job, preset) as about:
        whole = score_vs_success.configuration(job, preset.base)
        loop.everything(whole, workers=job.workers, watch=job.watch)
        extra: dict[str, dict[measured.Place, float]] = of_videos(whole)
        extra |= score_vs_success.begun(whole)
        for name in judges:
            extra |= of_judge(whole, name)
        extra |= of_table(job.more.get("table"), whole)
        about |= {"groups": score_vs_success.groups(whole), "covariates": score_vs_success.covariates(whole)}
        about |= {"absent_judges": unknown, "without_network": not metrics.available()}
        found = correlated(whole, job.out, covariates=about["covariates"], extra=extra)
        table: Json = {"ranked": ranked(found), "chosen_and_confirmed": confirmed(found)}
        write_json(job.out / "table.json", table)
        draw(job.out, table["ranked"])
    return found | table


def known_judges(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Judges that are registered here, and why the others are not."""
    known, unknown = [], {}
    for name in names:
        try:
            registry.find("judges", name)
            known.append(name)
        except UserError as error:
            unknown[name] = str(error)
    return known, unknown


def of_videos(whole: loop.Run) -> dict[str, dict[measured.Place, float]]:
    """Every metric of metrics.py on every scored video; kept beside the run, so that it is done once."""
    videos = [video for video in whole.videos(whole.scored) if video.file]
    path = whole.out.parent / f"metrics-{'network' if metrics.available() else 'plain'}.csv"
    there = {axis: dict(places) for axis, places in measured.read(path).items()} if path.exists() else {}
    truths = {(v.suite, v.task): v for v in videos if v.model == "replay"}
    frames = lambda video: read(whole.out / str(video.file)).frames  # noqa: E731
    beside = {n: f for n, f in metrics.BESIDE_TRUTH.items() if metrics.available() or n not in metrics.NETWORK}
    for video in videos:
        place = (video.model, video.suite, video.task, str(video.seed))
        truth = truths.get((video.suite, video.task))
        lacking = {n for n in (*metrics.ALONE, *beside) if place not in there.get(n, {})}
        if lacking:
            clip = frames(video)
            for name in lacking & set(metrics.ALONE):
                there.setdefault(name, {})[place] = metrics.ALONE[name](clip)
            for name in lacking & set(beside) if truth else ():
                there.setdefault(name, {})[place] = beside[name](clip, frames(truth))
    if metrics.available() and "frechet" not in there:
        there["frechet"] = dict(_of_suites(videos, list(truths.values()), frames))
    measured.write(path, there)
    return {axis: places for axis, places in there.items() if places}


def _of_suites(
    videos: Sequence[VideoRecord], truths: Sequence[VideoRecord], frames: Any
) -> Iterable[tuple[measured.Place, float]]:
    for model, suite in sorted({(v.model, v.suite) for v in videos}):
        own = [frames(v) for v in videos if (v.model, v.suite) == (model, suite)]
        value = metrics.frechet(own, [frames(v) for v in truths if v.suite == suite])
        if value is not None:
            yield (model, suite, "all", "0"), value


def of_judge(whole: loop.Run, name: str) -> dict[str, dict[measured.Place, float]]:
    """What another judge says of the same videos, under its own name."""
    spec = registry.find("judges", name)
    other = replace(whole, judge=name)
    videos = other.videos(other.scored)
    judge.run(videos, other.tasks, spec, partial(registry.load, spec), rubrics=other.chosen_rubrics(), out=other.out)
    keys = {video.key for video in videos}
    said = RecordFile(other.out / "judgments.jsonl", Judgment).read().values()
    rows = measured.of([j for j in said if j.judge == spec.id and j.video in keys], [], [])
    return {f"{name.replace('-', '_')}_{axis}": dict(places) for axis, places in rows.items()}


def of_table(path: Path | None, whole: loop.Run) -> dict[str, dict[measured.Place, float]]:
    """Columns that a user brings: a CSV file with `model` and one column a metric, higher meaning better."""
    if path is None:
        return {}
    if not path.is_file() or path.stat().st_size > LONGEST_TABLE:
        raise UserError(f"{path}: no file, or one of more than {LONGEST_TABLE // 10**6} MB")
    table = pd.read_csv(path)
    if "model" not in table or len(table.columns) < 2:
        raise UserError(f"{path}: columns are {', '.join(table.columns)}; `model` and one or more metrics are needed")
    if twice := table["model"][table["model"].duplicated()].tolist():
        raise UserError(f"{path}: model {twice[0]!r} stands there twice; average its rows first")
    known = {spec.name for spec in whole.specs}
    found = {}
    for column in table.columns.drop("model"):
        values = pd.to_numeric(table[column], errors="coerce")
        if values.isna().any() and not table[column].isna().equals(values.isna()):
            raise UserError(f"{path}: column {column!r} holds something that is no number")
        own = {(m, USERS, "all", "0"): float(v) for m, v in zip(table["model"], values, strict=True) if m in known}
        found[f"{USERS}_{column}".lower().replace("-", "_").replace(" ", "_")] = own
    return found


def ranked(found: Json, group: str = "trained") -> list[Json]:
    """All scores by Pearson's r with success over a group's models; those without an r last, with the reason."""
    boards = {"bench": found["groups"], **found["by_score"]}
    rows = []
    for name, groups in boards.items():
        own = groups[group]
        values = {key: own[key]["value"] for key in ("spearman", "pairwise_accuracy")}
        noise = {"corrected": own.get("corrected"), "n_models": own["n_models"]}
        rows.append({"metric": name} | own["pearson"] | values | noise)
    return sorted(rows, key=lambda row: (row["value"] is None, -(row["value"] or 0), row["metric"]))


def half(model: str) -> str:
    """On which half of the models this one is: decided by its name alone, before any result."""
    return "choose" if hashlib.sha256(f"half/{model}".encode()).digest()[0] % 2 else "confirm"


def confirmed(found: Json, group: str = "trained") -> Json:
    """The metric with the largest r on one half of the models, and its r on the other, which did not choose it."""
    boards: Mapping[str, Any] = {"bench": found["groups"], **found["by_score"]}
    r: dict[str, dict[str, Any]] = {"choose": {}, "confirm": {}}
    for name, groups in boards.items():
        for part, of in r.items():
            rows = [row for row in groups[group]["models"] if half(row["model"]) == part]
            of[name] = stats.pearson([row["score"] for row in rows], [row["success"] for row in rows])
            of[name] = of[name].json() | {"n_models": len(rows), "ci95": _ends(rows)}
    known = {name: one["value"] for name, one in r["choose"].items() if one["value"] is not None}
    best = min(known, key=lambda name: (-known[name], name)) if known else None
    why = "" if best else "no metric has an r on the half that chooses: it needs 3 models or more"
    both = {part: of[best] if best else None for part, of in r.items()}
    models = sorted({row["model"] for groups in boards.values() for row in groups[group]["models"]})
    return {"metric": best, "why": why, **both, "models": {name: half(name) for name in models}}


def _ends(rows: Sequence[Json]) -> list[float] | None:
    x, y = [row["score"] for row in rows], [row["success"] for row in rows]
    return stats.plain(agreement.interval("pearson", x, y))


def draw(out: Path, rows: Sequence[Json]) -> None:
    """Each metric's r with its interval."""
    known = [(row["metric"], row["value"], row["ci95"]) for row in rows if row["value"] is not None]
    if known:
        base = out / "figures" / "which-metric"
        into = {"path_png": base.with_suffix(".png"), "path_svg": base.with_suffix(".svg")}
        plots.intervals(known, x="Pearson's r with policy success over trained models [95 %]", **into)
