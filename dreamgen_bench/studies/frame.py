"""What all studies share: which models take part, the facts of an attempt, and what is published."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import correlate, loop, measured, provenance, registry, scores, stats
from ..store import read_json, write_json
from ..types import Spec, UserError

Json = dict[str, Any]
PUBLISHED = ("study.json", "correlation.json", "scores.json", "success.json", "samples.csv", "points.csv", "table.json")
LARGEST = 4_000_000
"""Bytes of one published file: what is larger does not belong into a repository."""


@dataclass(frozen=True, kw_only=True)
class Roster:
    """Who takes part, and who can't, with the reason; nobody is left out in silence."""

    trained: tuple[str, ...]
    controls: tuple[str, ...]
    absent: Mapping[str, str]

    @property
    def all(self) -> tuple[str, ...]:
        """Trained models, then controls."""
        return self.trained + self.controls


@dataclass(frozen=True, kw_only=True)
class Job:
    """One attempt at a study: where, with whom, how many processes, and who watches."""

    name: str
    preset: str
    out: Path
    roster: Roster
    workers: int
    watch: Callable[..., Any]
    more: Mapping[str, Any] = field(default_factory=dict)  # what only some studies take: judges, tables


def roster(given: Sequence[str], controls: Sequence[str]) -> Roster:
    """The named models (or cards), or every registered trained model, as far as their weights are here."""
    known = registry.specs("world_models")
    names = list(given) or [name for name, spec in known.items() if spec.group == "trained"]
    found = {name: registry.find("world_models", name) for name in names}
    absent = {spec.name: why for spec in found.values() if (why := missing(spec))}
    trained = tuple(name for name, spec in found.items() if spec.name not in absent and spec.group != "control")
    more = tuple(name for name, spec in found.items() if spec.group == "control")
    return Roster(trained=trained, controls=tuple(dict.fromkeys((*controls, *more))), absent=absent)


def missing(spec: Spec) -> str:
    """Why a model can't take part here; '' where it can."""
    gone = [path for path in registry.weight_files(spec) if not path.exists()]
    if spec.address or spec.weights in ("none", "hub") or not gone:
        return ""
    return f"its weights are not here ({gone[0]}): make them by its recipe in baselines/, or give a card by its path"


@contextmanager
def attempt(job: Job, values: Any) -> Iterator[Json]:
    """Facts of this attempt for study.json, there from its start and however it ends; what the body adds is kept."""
    path = job.out / "study.json"
    before = read_json(path) if path.exists() else {}
    if before and (before["study"], before["preset"]) != (job.name, job.preset):
        raise UserError(f"{job.out} holds the study {before['study']} ({before['preset']}): choose another --out")
    note: Json = {"ended": "killed", "code": provenance.commit(), "command": " ".join(sys.argv[1:])}
    started = time.perf_counter()
    about: Json = {}
    _keep(job, values, before, about, note | {"seconds": 0.0})  # what stays of an attempt that can write no more
    note["ended"] = "failed"
    try:
        yield about
        note["ended"] = "finished"
    except KeyboardInterrupt:
        note["ended"] = "stopped"
        raise
    finally:
        _keep(job, values, before, about, note | {"seconds": round(time.perf_counter() - started, 1)})


def _keep(job: Job, values: Any, before: Json, about: Json, note: Json) -> None:
    note = note | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    attempts = [*before.get("attempts", []), note]
    facts = {"schema": 1, "study": job.name, "preset": job.preset, "values": asdict(values)}
    facts |= {"trained": job.roster.trained, "controls": job.roster.controls, "absent": dict(job.roster.absent)}
    facts |= {"hardware": provenance.hardware() | {"workers": job.workers}, "versions": provenance.versions()}
    total = round(sum(one["seconds"] for one in attempts), 1)
    job.out.mkdir(parents=True, exist_ok=True)
    write_json(job.out / "study.json", facts | about | {"seconds": total, "attempts": attempts})


def correlated(
    run: loop.Run, out: Path, *, covariates: Mapping[str, Mapping[str, float]], extra: measured.Rows
) -> Json:
    """A finished run's agreement with all that its rows allow; writes correlation.json and what it is made from."""
    judged, replays, policies = loop.records(run)
    measured.write(out / "samples.csv", {**measured.of(judged, replays, policies), **extra})
    rows = measured.read(out / "samples.csv")  # as anyone reads it: what is published gives the same again
    groups = {spec.name: "control" if spec.group == "control" else "trained" for spec in run.specs}
    table = scores.scores(judged, replays) + aggregates(rows, tuple(extra))
    success = scores.success(policies, {spec.name: run.idm for spec in run.specs})
    write_json(out / "scores.json", table)
    write_json(out / "success.json", success)
    found = correlate.run(table, success, groups=groups, rows=rows, covariates=covariates)
    write_json(out / "correlation.json", found)
    (out / "points.csv").write_text(points(found), "utf-8")
    return found


def aggregates(rows: measured.Rows, axes: Sequence[str]) -> list[Json]:
    """Rows as in scores.json of measurements that no judge made: a mean for each (axis, model, suite)."""
    made = []
    for axis in axes:
        for model, suite in sorted({place[:2] for place in rows.get(axis, {})}):
            own = {place: v for place, v in rows[axis].items() if place[:2] == (model, suite)}
            estimate = stats.mean_interval(list(own.values()), tasks=[place[2] for place in own])
            where = {"model": model, "suite": suite, "rubric": axis.replace("_", "-"), "judge": "measured"}
            made.append(where | {"mean": estimate.mean, "ci95": stats.plain(estimate.ci95), "n": estimate.n})
    return made


def points(correlation: Json) -> str:
    """Every model's place under every score, as CSV."""
    lines = ["score,group,model,value,value_low,value_high,success,success_low,success_high"]
    boards = {"bench": correlation["groups"], **correlation["by_score"]}
    for score, groups in boards.items():
        for group in ("trained", "controls"):
            for row in groups[group]["models"]:
                ends = [*(row["score_ci95"] or ("", "")), row["success"], *(row["success_ci95"] or ("", ""))]
                lines.append(",".join(map(str, (score, group, row["model"], row["score"], *ends))))
    return "\n".join(lines) + "\n"


def recomputed(folder: Path) -> Json:
    """correlation.json again, from nothing but what is published beside it."""
    study = read_json(folder / "study.json")
    return correlate.run(
        read_json(folder / "scores.json"),
        read_json(folder / "success.json"),
        groups=study["groups"],
        rows=measured.read(folder / "samples.csv"),
        covariates=study["covariates"],
    )


def publish(out: Path, to: Path) -> list[Path]:
    """Copy a study's records and figures, not its videos. Raises UserError for one that is too large to publish."""
    if not (out / "study.json").is_file():
        raise UserError(f"{out}: no study there yet")
    if read_json(out / "study.json")["attempts"][-1]["ended"] != "finished":
        raise UserError(f"{out}: the study has not finished; the same command goes on")
    files = [out / name for name in PUBLISHED if (out / name).is_file()] + sorted((out / "figures").glob("*.*"))
    for file in files:
        if file.stat().st_size > LARGEST:
            raise UserError(
                f"{file}: {file.stat().st_size / 1e6:.1f} MB, and at most {LARGEST / 1e6:.0f} are published"
            )
    for file in files:
        target = to / file.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return files
