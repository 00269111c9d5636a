"""Finished videos from anywhere: scored, and then told of as a run is, with run.json, tables and page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import judge, leaderboard, manifest, registry, rubrics, scores, suites
from .provenance import commit, hardware, versions
from .store import RecordFile, read_json, write_json
from .types import VideoRecord


def score(
    clips: Path, *, out: Path, judge_name: str, rubric_names: Sequence[str] = rubrics.DEFAULT
) -> list[dict[str, Any]]:
    """Manifest -> videos.jsonl -> judgments.jsonl -> scores.json, whose rows are returned."""
    spec = registry.find("judges", judge_name)
    chosen = [rubrics.load(name) for name in rubric_names]
    imported = manifest.run(clips, out=out)
    judge.run(imported.videos, imported.tasks, spec, lambda: registry.load(spec), rubrics=chosen, out=out)
    table = scores.scores(judge.answers(imported.videos, spec, rubrics=chosen, out=out), [])
    write_json(out / "scores.json", table)
    return table


def publish(clips: Path, *, out: Path, judge_name: str, rubric_names: Sequence[str]) -> list[str]:
    """Write run.json, the tables and the page of a folder that `score` filled; gives the files' names.

    The machine is that of the judging: what made the videos, and at what cost, only their owner knows.
    """
    known = manifest.run(clips, out=out).tasks
    scored = {(row["model"], row["suite"]) for row in read_json(out / "scores.json")}
    mine = [v for v in RecordFile(out / "videos.jsonl", VideoRecord).read().values() if (v.model, v.suite) in scored]
    config = {"suites": sorted({v.suite for v in mine}), "judge": judge_name, "rubrics": list(rubric_names)}
    note = {
        "schema": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config | {"manifest": str(clips), "seeds": len({v.seed for v in mine})},
        "suites": {v.suite: v.suite_digest for v in mine if v.suite_digest},
        "rubrics": {rubric.name: rubric.digest for rubric in map(rubrics.load, rubric_names)},
        "models": {name: _about(name) for name in sorted({v.model for v in mine})},
        "tasks": [{"suite": suite, "id": name, "instruction": t.instruction} for (suite, name), t in known.items()],
        "versions": versions(),
        "code": commit(),
        "hardware": hardware(),
    }
    write_json(out / "run.json", note)
    published = [suites.load(name) for name in config["suites"] if name in suites.names()]
    written: list[str] = leaderboard.run(out, suites=published)["files"]
    return written


def _about(name: str) -> dict[str, Any]:
    return {"name": name, "revision": "manifest", "group": "trained", "adaptation": "", "license": "", "args": {}}
