"""Records -> scores.json and success.json: every aggregate with its interval, its coverage, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import crossed, stats
from .types import EpisodeRecord, Judgment

Row = dict[str, Any]


def scores(judgments: Iterable[Judgment], replays: Iterable[EpisodeRecord]) -> list[Row]:
    """One row per (model, suite, rubric, judge), and one with rubric 'executable' per (model, suite, IDM).

    planned = n + judge_error + unparsed + no_video: `n` are the videos that were judged, `no_video` those that are
    missing, which count 0 in the mean; the judge's failures count nothing, and widen the bounds.
    """
    groups: dict[tuple[str, str, str, str], list[Judgment]] = {}
    for judgment in judgments:
        groups.setdefault((judgment.model, judgment.suite, judgment.rubric, judgment.judge), []).append(judgment)
    rows = [_judged(key, sorted(group, key=lambda j: (j.task, j.seed))) for key, group in groups.items()]
    replayed: dict[tuple[str, str, str], list[EpisodeRecord]] = {}
    for episode in replays:
        replayed.setdefault((episode.model, episode.suite, episode.idm), []).append(episode)
    rows += [_executed(key, sorted(group, key=lambda e: (e.task, e.seed))) for key, group in replayed.items()]
    return sorted(rows, key=lambda row: (row["suite"], row["rubric"], row["judge"], row["model"]))


def _judged(key: tuple[str, str, str, str], group: list[Judgment]) -> Row:
    model, suite, rubric, judge = key
    count = {status: sum(j.status == status for j in group) for status in ("no_video", "judge_error", "unparsed")}
    known = [j for j in group if j.value is not None]
    row = _aggregate([float(j.value or 0) for j in known], [j.task for j in known], len(group))
    row["n"] -= count["no_video"]
    return {"model": model, "suite": suite, "rubric": rubric, "judge": judge} | row | count


PA_VARIANTS = {
    "pa-mean-of-probabilities-v1": lambda chance: chance,
    "pa-thresholded-v1": lambda chance: float(chance >= 0.5),
}
"""The paper's PA, either way its second half can be read: no text says which, and its tables fit both."""


def physics_alignment(judgments: Iterable[Judgment], *, vlm: tuple[str, str], scorer: tuple[str, str]) -> list[Row]:
    """The paper's PA: per video the mean of a VLM's hard answer and a physics scorer's P(yes), under two metric ids.

    vlm, scorer: (judge's id, rubric's name). A video that either of them left without an answer is missing.
    """
    answers: dict[tuple[str, str], dict[str, tuple[Judgment | None, Judgment | None]]] = {}
    for judgment in judgments:
        for place, wanted in enumerate((vlm, scorer)):
            if (judgment.judge, judgment.rubric) == wanted:
                group = answers.setdefault((judgment.model, judgment.suite), {})
                pair = group.get(judgment.video, (None, None))
                group[judgment.video] = (judgment, pair[1]) if place == 0 else (pair[0], judgment)
    judge = f"{vlm[0]} + {scorer[0]}"
    return [
        {"model": model, "suite": suite, "rubric": metric, "judge": judge} | _pa(list(group.values()), metric)
        for (model, suite), group in sorted(answers.items())
        for metric in PA_VARIANTS
    ]


def _pa(pairs: list[tuple[Judgment | None, Judgment | None]], metric: str) -> Row:
    values, tasks, no_video = [], [], 0
    for first, second in pairs:
        known = first or second
        if known is not None and known.status == "no_video":
            no_video += 1
            values.append(0.0)
            tasks.append(known.task)
        elif first and second and first.value is not None and second.probability is not None:
            values.append((first.value + PA_VARIANTS[metric](second.probability)) / 2)
            tasks.append(first.task)
    row = _aggregate(values, tasks, len(pairs))
    return row | {"n": row["n"] - no_video, "no_video": no_video, "unjudged": len(pairs) - len(values)}


def _executed(key: tuple[str, str, str], group: list[EpisodeRecord]) -> Row:
    model, suite, idm = key
    no_video = sum(episode.success is False and episode.reason is not None for episode in group)
    row = _aggregate([float(bool(e.success)) for e in group], [e.task for e in group], len(group))
    row["n"] -= no_video
    absent = {"no_video": no_video, "judge_error": 0, "unparsed": 0}
    return {"model": model, "suite": suite, "rubric": "executable", "judge": idm} | row | absent


def _aggregate(values: list[float], tasks: list[str], planned: int) -> Row:
    missing = planned - len(values)
    estimate = stats.mean_interval(values, tasks=tasks)
    low, high = sum(values) / planned, (sum(values) + missing) / planned
    return {
        "mean": _rounded(estimate.mean),
        "ci95": [_rounded(v) for v in estimate.ci95] if estimate.ci95 is not None else None,
        "n": len(values),
        "planned": planned,
        "bounds": [_rounded(low), _rounded(high)],
    }


def success(episodes: Iterable[EpisodeRecord], idms: Mapping[str, str]) -> list[Row]:
    """One row per (model, suite, policy recipe): the success rate over episodes; a crashed episode is a failure.

    idms: model -> the IDM whose labels trained its policy ('' for true actions and floors). Where the environment told
    how far episodes came, a row has their mean `progress`; where policies could be stopped early, its interval is one
    that allows it, and it says how many episodes were planned. `ci95` is over starts, of these very behaviors, and,
    with several policies, over these too; `interval` says how it was made. `ci95_behaviors` is of behaviors like these.
    """
    groups: dict[tuple[str, str, str], list[EpisodeRecord]] = {}
    for episode in episodes:
        groups.setdefault((episode.model, episode.suite, episode.policy.split(":")[0]), []).append(episode)
    rows = []
    for (model, suite, policy), group in groups.items():
        group = sorted(group, key=lambda e: (e.task, e.policy))
        estimate = crossed.interval(
            [float(bool(e.success)) for e in group],
            tasks=[e.task for e in group],
            repeats=[e.policy for e in group],
        )
        rows.append(
            {
                "model": model,
                "suite": suite,
                "idm": idms.get(model, ""),
                "policy": policy,
                "mean": _rounded(estimate.mean),
                "ci95": [_rounded(v) for v in estimate.ci95] if estimate.ci95 is not None else None,
                "interval": estimate.method or estimate.why,
                "ci95_behaviors": stats.plain(over_behaviors(group).ci95),
                "episodes": len(group),
                "crashed": sum(e.success is None for e in group),
                "seeds": len({e.policy for e in group}),
                "behaviors": _by_behavior(group),
                **_progress(group),
                **_sequential(group),
            }
        )
    return sorted(rows, key=lambda row: (row["suite"], row["policy"], row["model"]))


def over_behaviors(group: Sequence[EpisodeRecord]) -> stats.Estimate:
    """The success rate with its interval over behaviors, not starts, and over policies: of behaviors like these."""
    means, behaviors, policies = rates(group, lambda episode: episode.behavior)
    return crossed.interval(means, tasks=behaviors, repeats=policies)


def rates(
    episodes: Iterable[EpisodeRecord], unit: Callable[[EpisodeRecord], str]
) -> tuple[np.ndarray, list[str], list[str]]:
    """The success rate of each policy in each unit (a start, a behavior): rates, units and policies, a row each."""
    cells: dict[tuple[str, str], list[bool]] = {}
    for episode in episodes:
        cells.setdefault((unit(episode), episode.policy), []).append(bool(episode.success))
    means = np.array([sum(values) / len(values) for values in cells.values()], np.float64)
    return means, [name for name, _ in cells], [policy for _, policy in cells]


def _progress(group: list[EpisodeRecord]) -> Row:
    """Nothing for episodes of before it was noted; a crashed episode came nowhere."""
    if all(episode.progress is None for episode in group):
        return {}
    known = [e.progress or 0.0 for e in group if e.progress is not None or e.success is None]
    return {"progress": _rounded(sum(known) / len(known))}


def _sequential(group: list[EpisodeRecord]) -> Row:
    """The mean over policies, and an interval of it that holds although each was stopped when it was narrow enough."""
    if all(episode.precision is None for episode in group):
        return {}
    policies: dict[str, list[EpisodeRecord]] = {}
    for episode in group:
        policies.setdefault(episode.policy, []).append(episode)
    done = [(sum(bool(e.success) for e in tried), len(tried)) for tried in policies.values()]
    level = 1 - 0.05 / len(done)  # each is so sure that all are at once 95 % sure
    intervals = [stats.anytime_interval(wins, n, level=level) for wins, n in done]
    return {
        "mean": _rounded(sum(wins / n for wins, n in done) / len(done)),
        "ci95": [_rounded(sum(ends) / len(done)) for ends in zip(*intervals, strict=True)],
        "interval": "anytime-valid: Robbins' beta-binomial mixture, looked at after whole rounds of behaviors",
        "precision": max(e.precision for e in group if e.precision is not None),
        "planned_episodes": sum(max(e.planned or 0 for e in tried) for tried in policies.values()),
    }


def flips(first: Iterable[EpisodeRecord], again: Iterable[EpisodeRecord]) -> Row:
    """How many outcomes changed when the same policies were tried from the same starts again: `share` with `ci95`.

    Success, failure and crash are three outcomes. Episodes without a counterpart are left out and counted.
    """
    before, after = ({e.key: e for e in episodes} for episodes in (first, again))
    shared = sorted(before.keys() & after.keys())
    changed = [float(before[key].success is not after[key].success) for key in shared]
    estimate = stats.mean_interval(changed, tasks=[before[key].task for key in shared])
    return {
        "episodes": len(shared),
        "unmatched": len(before.keys() ^ after.keys()),
        "flipped": int(sum(changed)),
        "share": _rounded(estimate.mean),
        "ci95": [_rounded(v) for v in estimate.ci95] if estimate.ci95 is not None else None,
        "changed": [before[key].task for key, flipped in zip(shared, changed, strict=True) if flipped],
    }


def _by_behavior(group: list[EpisodeRecord]) -> dict[str, float]:
    names = sorted({episode.behavior for episode in group})
    return {
        name: _rounded(
            sum(bool(e.success) for e in group if e.behavior == name) / sum(e.behavior == name for e in group)
        )
        for name in names
    }


def _rounded(value: float | None) -> Any:
    return None if value is None else round(float(value), 6)
