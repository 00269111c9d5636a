"""Where success is lost: by the video, by the label, or by the policy.

The same tasks, from the same simulator states, four times over:

    true actions      the expert's own waypoints, open loop
    replay + IDM      waypoints that the IDM read out of the true video, open loop       the fall is the label's
    generated + IDM   waypoints that it read out of the model's video, open loop         the fall is the video's
    generated + policy  the policy trained on all of these, from new starts              the fall is the policy's

The first two falls are paired by task; the last by behavior, since a policy is tried from other starts. A policy may
gain: it looks again, and averages over labels. The first and the third are run here where the run folder lacks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import downstream, evaluate, loop, stats
from .envs import demonstrations
from .store import RecordFile, digest, whole_file
from .types import EpisodeRecord, Suite, TrajectoryRecord, UserError

TRUE = "true_actions"
Json = dict[str, Any]
Rates = Mapping[str, float]  # task or behavior -> share of successes


def run(whole: loop.Run) -> list[Json]:
    """One row a (suite, model): the four rates with intervals, and what is lost between them."""
    if not whole.dreamed:
        raise UserError(f"{whole.out}: no policy was trained there (--no-downstream), so nothing can be attributed")
    rows = []
    for suite in whole.dreamed:
        replayed = _replayed(whole, suite)
        policies = [e for e in loop.records(whole)[2] if e.suite == suite.name]
        rows += [row(suite.name, spec.name, replayed, policies) for spec in whole.specs if spec.name in replayed]
    return rows


def row(suite: str, model: str, replayed: Mapping[str, list[EpisodeRecord]], policies: Sequence[EpisodeRecord]) -> Json:
    """One model's rates and losses; a loss is positive where success falls."""
    rates = {"true_actions": _by(replayed[TRUE], "task"), "replay_idm": _by(replayed["replay"], "task")}
    rates["generated_idm"] = _by(replayed[model], "task")
    rates["policy"] = _by([e for e in policies if e.model == model], "task")
    found: Json = {"suite": suite, "model": model}
    found |= {name: _mean(of) for name, of in rates.items()}
    by_behavior = (_by(replayed[model], "behavior"), _by([e for e in policies if e.model == model], "behavior"))
    lost = {
        "label": _fall(rates["true_actions"], rates["replay_idm"]),
        "video": _fall(rates["replay_idm"], rates["generated_idm"]),
        "policy": _fall(*by_behavior),
    }
    return found | {"lost": lost}


def _replayed(whole: loop.Run, suite: Suite) -> dict[str, list[EpisodeRecord]]:
    """Open-loop episodes of every model, and of the true actions, on one suite; what lacks is done now."""
    trajectories = [*_true(whole, suite), *downstream.trajectories(whole, [suite])]
    evaluate.replay(trajectories, whole.tasks, downstream.make_env, out=whole.out)
    there = RecordFile(whole.out / "episodes.jsonl", EpisodeRecord).read()
    found: dict[str, list[EpisodeRecord]] = {}
    for trajectory in trajectories:
        found.setdefault(trajectory.model, []).append(there[digest("replay", trajectory.key)])
    return found


def _true(whole: loop.Run, suite: Suite) -> list[TrajectoryRecord]:
    """The expert's own labels of every task, as files that an open-loop replay reads."""
    made = []
    for (name, task_id), task in whole.tasks.items():
        if name != suite.name or not task.state:
            continue
        key = digest("true labels", suite.digest, task_id)
        path = Path("trajectories") / f"{key}.npy"
        if not (whole.out / path).exists():
            with whole_file(whole.out / path) as file:
                np.save(file, demonstrations.true_labels(task), allow_pickle=False)
        known = {"key": key, "video": "", "suite": name, "task": task_id, "model": TRUE, "seed": 0, "idm": ""}
        made.append(TrajectoryRecord(**known, status="ok", file=path.as_posix()))
    return made


def _by(episodes: Sequence[EpisodeRecord], unit: str) -> Rates:
    groups: dict[str, list[bool]] = {}
    for episode in episodes:
        groups.setdefault(getattr(episode, unit), []).append(bool(episode.success))
    return {name: float(np.mean(values)) for name, values in groups.items()}


def _mean(rates: Rates) -> Json:
    estimate = stats.mean_interval(list(rates.values()), tasks=list(rates))
    return {"mean": estimate.mean, "ci95": stats.plain(estimate.ci95), "n": estimate.n}


def _fall(before: Rates, after: Rates) -> Json:
    shared = sorted(before.keys() & after.keys())
    found = stats.paired_difference([before[u] for u in shared], [after[u] for u in shared], tasks=shared)
    return {"mean": found.mean, "ci95": stats.plain(found.ci95), "p": found.p, "n": found.n}
