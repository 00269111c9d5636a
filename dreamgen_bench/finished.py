"""Finished videos from anywhere: scored, and then told of as a run is, with run.json, tables and page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import anchors, judge, latest, leaderboard, manifest, registry, rubrics, scores, suites
from .provenance import commit, hardware, versions
from .store import write_json
from .types import VideoRecord


def score(
    clips: Path, *, out: Path, judge_name: str, rubric_names: Sequence[str] = rubrics.DEFAULT
) -> list[dict[str, Any]]:
    """Manifest -> videos.jsonl -> judgments.jsonl -> scores.json, whose rows are returned."""
    spec = registry.find("judges", judge_name)
    chosen = [rubrics.load(name) for name in rubric_names]
    imported = manifest.run(clips, out=out)
    write_json(out / latest.LISTED, {"schema": 1, "videos": [video.key for video in imported.videos]})
    load = anchors.watched(spec, lambda: registry.load(spec), rubrics=chosen, out=out)
    judge.run(imported.videos, imported.tasks, spec, load, rubrics=chosen, out=out)
    table = scores.scores(judge.answers(imported.videos, spec, rubrics=chosen, out=out), [])
    write_json(out / "scores.json", table)
    return table


def warning(videos: Sequence[VideoRecord], judge_name: str) -> str:
    """What is to be said of a judge that was made for other videos than these; '' where nothing is."""
    spec = registry.specs("judges").get(judge_name)
    domain = spec.domain if spec else ""
    foreign = sum(not video.suite_digest for video in videos)
    if not domain or not foreign:
        return ""
    return (
        f"{judge_name} was made for {domain} alone, and {foreign} of these videos are of no suite that shows them: "
        "what it says of others is worth little. Of real robots ask --judge qwen2.5-vl-7b, or a card of your own"
    )


def reasons(out: Path, *, most: int = 5) -> list[str]:
    """Why there is no video, or no answer, a line each; of more than `most` how many more."""
    videos = [f"no video: {video.reason}" for video in latest.videos(out) if video.reason]
    silent = (row for row in latest.judgments(out) if row.status == "judge_error")
    found = list(dict.fromkeys([*videos, *(f"no answer: {row.reply}" for row in silent)]))
    more = f"and {len(found) - most} more, in videos.jsonl and judgments.jsonl"
    return found[:most] + ([more] if found[most:] else [])


def publish(clips: Path, *, out: Path, judge_name: str, rubric_names: Sequence[str]) -> list[str]:
    """Write run.json, the tables and the page of a folder that `score` filled; gives the files' names.

    The machine is that of the judging: what made the videos, and at what cost, only their owner knows.
    """
    imported = manifest.run(clips, out=out)
    mine, known = imported.videos, imported.tasks
    config = {"suites": sorted({v.suite for v in mine}), "judge": judge_name, "rubrics": list(rubric_names)}
    note = {
        "schema": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config | {"manifest": str(clips), "seeds": len({v.seed for v in mine})},
        "suites": {v.suite: v.suite_digest for v in mine if v.suite_digest},
        "rubrics": {rubric.name: rubric.digest for rubric in map(rubrics.load, rubric_names)},
        "models": {name: _about(name) for name in sorted({v.model for v in mine})},
        "tasks": [{"suite": suite, "id": name, "instruction": t.instruction} for (suite, name), t in known.items()],
        "warning": warning(mine, judge_name),
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
