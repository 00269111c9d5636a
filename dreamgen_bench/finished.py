"""Finished videos from anywhere, scored: manifest -> videos.jsonl -> judgments.jsonl -> scores.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import judge, manifest, registry, rubrics, scores
from .store import RecordFile, write_json
from .types import Judgment


def run(
    path: Path, *, out: Path, judge_name: str, rubric_names: Sequence[str] = rubrics.DEFAULT
) -> list[dict[str, Any]]:
    """Score finished videos: manifest -> videos.jsonl -> judgments.jsonl -> scores.json, whose rows are returned."""
    spec = registry.find("judges", judge_name)
    chosen = [rubrics.load(name) for name in rubric_names]
    imported = manifest.run(path, out=out)
    judge.run(imported.videos, imported.tasks, spec, lambda: registry.load(spec), rubrics=chosen, out=out)
    keys = {video.key for video in imported.videos}
    judged = RecordFile(out / "judgments.jsonl", Judgment).read().values()
    table = scores.scores([j for j in judged if j.video in keys and j.judge == spec.id], [])
    write_json(out / "scores.json", table)
    return table
