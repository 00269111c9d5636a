"""Of a run folder the rows of its last run: other weights of the same names may have left theirs there before.

So may other rows of a manifest: which of them the last one held stands in `LISTED`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .store import RecordFile, digest, read_json
from .types import EpisodeRecord, Judgment, TrajectoryRecord, VideoRecord

LISTED = "manifest.json"
"""In a folder that `score` filled: the keys of the videos of its manifest, as it was read last."""


def videos(folder: Path) -> list[VideoRecord]:
    """Those of the manifest, or of the revisions that run.json names; of a model of which it has none, all."""
    there = list(RecordFile(folder / "videos.jsonl", VideoRecord).read().values())
    note = read_json(folder / "run.json") if (folder / "run.json").exists() else {}
    if "manifest" in note.get("config", {}) and (folder / LISTED).is_file():
        listed = set(read_json(folder / LISTED)["videos"])
        return [video for video in there if video.key in listed]
    wanted = {name: about.get("revision") for name, about in note.get("models", {}).items()}
    made = {(video.model, video.revision) for video in there}
    return [v for v in there if (v.model, wanted.get(v.model)) not in made or v.revision == wanted[v.model]]


def judgments(folder: Path) -> list[Judgment]:
    """Answers about those videos."""
    old = _superseded(folder)
    return [row for row in RecordFile(folder / "judgments.jsonl", Judgment).read().values() if row.video not in old]


def episodes(folder: Path) -> list[EpisodeRecord]:
    """Replays of those videos, and of each model and training seed the policy that was tried last."""
    labels = RecordFile(folder / "trajectories.jsonl", TrajectoryRecord).read().values()
    old = _superseded(folder)
    replayed_old = {digest("replay", label.key) for label in labels if label.video in old}
    rows = [
        r for r in RecordFile(folder / "episodes.jsonl", EpisodeRecord).read().values() if r.key not in replayed_old
    ]
    seeds = {row.policy: _seed(folder, row.policy) for row in rows}

    def trained(row: EpisodeRecord) -> tuple[Any, ...]:
        return row.suite, row.model, row.policy.partition(":")[0], seeds[row.policy]

    last = {trained(row): row.policy for row in rows}  # a replay's is '', as of all replays
    return [row for row in rows if last[trained(row)] == row.policy]


def _superseded(folder: Path) -> set[str]:
    return set(RecordFile(folder / "videos.jsonl", VideoRecord).read()) - {video.key for video in videos(folder)}


def _seed(folder: Path, policy: str) -> Any:
    """The seed that a policy was trained with; itself where its folder is not there, so that it stands alone."""
    key = policy.partition(":")[2]
    path = folder / "policies" / key / "policy.json"
    return read_json(path)["seed"] if key and path.is_file() else policy
