"""Of a run folder the rows of its last run: other weights of the same names may have left theirs there before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from .store import RecordFile, digest, read_json
from .types import EpisodeRecord, TrajectoryRecord, VideoRecord


def videos(there: Sequence[VideoRecord], settings: Mapping[str, Any]) -> list[VideoRecord]:
    """Those of the revisions that run.json names; of a model of which it has none, all."""
    wanted = {name: about.get("revision") for name, about in settings["models"].items()}
    made = {(video.model, video.revision) for video in there}
    return [v for v in there if (v.model, wanted.get(v.model)) not in made or v.revision == wanted[v.model]]


def episodes(folder: Path, chosen: Set[str]) -> list[EpisodeRecord]:
    """Replays of the chosen videos (keys), and of each model and training seed the policy that was tried last."""
    labels = RecordFile(folder / "trajectories.jsonl", TrajectoryRecord).read().values()
    replayed = {digest("replay", label.key): label.video for label in labels}
    rows = list(RecordFile(folder / "episodes.jsonl", EpisodeRecord).read().values())
    seeds = {row.policy: _seed(folder, row.policy) for row in rows}
    last = {_trained(row, seeds): row.policy for row in rows}

    def told(row: EpisodeRecord) -> bool:
        if row.kind == "policy":
            return last[_trained(row, seeds)] == row.policy
        return row.key not in replayed or replayed[row.key] in chosen

    return [row for row in rows if told(row)]


def _trained(row: EpisodeRecord, seeds: Mapping[str, Any]) -> tuple[Any, ...]:
    return row.kind, row.suite, row.model, row.policy.partition(":")[0], seeds[row.policy]


def _seed(folder: Path, policy: str) -> Any:
    """The seed that a policy was trained with; itself where its folder is not there, so that it stands alone."""
    path = folder / "policies" / policy.partition(":")[2] / "policy.json"
    return read_json(path)["seed"] if policy.partition(":")[2] and path.is_file() else policy
