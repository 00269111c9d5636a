"""What is done with trajectories: which policies a run owes, what each is trained on, and how long it is tried.

A policy's key says all of it, so the names here are part of keys: changing one makes every run folder's policies anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import evaluate, label, registry, scores, stats, train
from .store import RecordFile, Summary
from .types import EpisodeRecord, Policy, Spec, Suite, Trajectory, TrajectoryRecord, UserError
from .video import read

if TYPE_CHECKING:
    from .loop import Run

DEMONSTRATED = ("true_actions", "teleoperation", "random")
"""Rows of the downstream table that no world model makes: a ceiling and two floors."""
TELEOPERATION = 48
"""Demonstrations that the teleoperation-only floor, and co-training, may use."""
MIXTURES = {"neural": "neural trajectories only", "cotrain": "teleoperation and neural trajectories, one to one"}
"""What a policy is trained on, as the paper names its choices (sec. 2.4)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one policy is trained on, and what it is called by that."""

    spec: Spec
    key: str
    inputs: tuple[str, ...]
    records: tuple[TrajectoryRecord, ...] = ()


def check(run: Run) -> None:
    """Raises UserError for what can't be trained or tried."""
    spec = registry.find("policies", run.policy)
    if run.downstream and not spec.address:
        registry.fitter(spec)  # hours of videos later it would be as lacking
    if run.mixture not in MIXTURES:
        raise UserError(f"no mixture named {run.mixture!r}{registry.nearest(run.mixture, list(MIXTURES))}")
    latent = run.downstream and registry.find("idms", run.idm).latent
    if latent and not spec.latent:
        able = ", ".join(name for name, known in registry.specs("policies").items() if known.latent)
        raise UserError(
            f"labels of {run.idm!r} are latent actions, from which {run.policy!r} can't learn: use --policy {able}"
        )
    if latent and run.mixture != "neural":
        raise UserError(f"--mixture {run.mixture}: latent actions are always learned beside teleoperation")
    if run.precision is not None and not 0 < run.precision < 0.5:
        raise UserError(
            f"--precision {run.precision}: half the width of an interval of a rate, more than 0 and below 0.5"
        )
    if spec.address and (len(run.models) != 1 or run.mixture != "neural"):
        raise UserError(
            f"{spec.name!r} is served and already trained: name the one model whose trajectories it was trained on, "
            "and no mixture"
        )


def trainees(run: Run) -> list[str]:
    """Whose trajectories policies are trained on: every world model, and the rows that no world model makes."""
    if registry.find("policies", run.policy).address:
        return [spec.name for spec in run.specs if spec.name == run.models[0]]
    return [spec.name for spec in run.specs] + list(DEMONSTRATED)


def jobs(run: Run) -> list[tuple[Suite, str, int]]:
    """Every policy that a run owes: the suite that it is tried on, whose trajectories it has, and its seed."""
    return [(suite, name, seed) for suite in run.dreamed for name in trainees(run) for seed in range(run.policy_seeds)]


def recipe(run: Run, suite: Suite, name: str, seed: int) -> Recipe:
    """What a policy is, by what determines it. No inputs: its videos could not be made."""
    if name == "random":
        return Recipe(spec=registry.find("policies", "random"), key=f"random-{seed}", inputs=())
    spec = registry.find("policies", run.policy)
    if spec.address:
        return Recipe(spec=spec, key=train.policy_key([name], spec, seed), inputs=())
    if name == "teleoperation":
        inputs = [f"teleoperation-{TELEOPERATION}"]
        return Recipe(spec=spec, key=train.policy_key(inputs, spec, seed), inputs=tuple(inputs))
    source = "replay" if name == "true_actions" else name
    records = sorted((t for t in trajectories(run, [suite]) if t.model == source and t.file), key=lambda t: t.key)
    inputs = [t.key for t in records]
    if name != "true_actions" and any(t.latent for t in records):
        inputs.append(f"teleoperation-{TELEOPERATION}")  # what latent actions mean is learned from real ones
    if name == "true_actions":
        inputs = ["true", *inputs]  # the same videos as replay's, with other labels
    if run.mixture == "cotrain" and records:
        inputs = [f"teleoperation-{TELEOPERATION}", "1:1", *inputs]
        spec = replace(spec, revision=f"{spec.revision}+cotrain")  # a success rate names the recipe that it is of
    return Recipe(spec=spec, key=train.policy_key(inputs, spec, seed), inputs=tuple(inputs), records=tuple(records))


def do(run: Run, suite: Suite, name: str, seed: int) -> Iterator[Summary]:
    """Train one policy, unless it is there or needs none, and try it from every start that it was not tried from."""
    one = recipe(run, suite, name, seed)
    if not one.inputs and one.spec.fit and not one.spec.address:
        return  # its videos could not be made: the row has no success, and the table says so
    if one.inputs:
        fit = (one.spec, registry.fitter(one.spec))
        yield train.run(name, one.inputs, lambda: material(run, name, one.records), fit, seed=seed, out=run.out)
    where = evaluate.starts(suite, run.episodes)
    policy = (one.spec, one.key, partial(loaded, run, one))
    yield evaluate.run(name, policy, where, make_env, out=run.out, stop=stopping(run))


def loaded(run: Run, one: Recipe) -> Policy:
    """A policy that is trained, needs no training, or is served."""
    return registry.load(one.spec, **({"checkpoint": run.out / "policies" / one.key} if one.inputs else {}))


def stopping(run: Run) -> evaluate.Stop | None:
    """When a policy was tried often enough, where the run says so."""
    if run.precision is None:
        return None
    return evaluate.Stop(precision=run.precision, interval=stats.anytime_interval)


def material(run: Run, name: str, records: Sequence[TrajectoryRecord]) -> list[Trajectory]:
    """The trajectories behind a policy: videos with inferred labels or with true ones, demonstrations, or both."""
    from .envs import demonstrations

    if name == "teleoperation":
        return demonstrations.teleoperation(TELEOPERATION)
    made = [trajectory for _, trajectory in dreamed(run, name, records)]
    if run.mixture == "cotrain":
        return train.one_to_one(demonstrations.teleoperation(TELEOPERATION), made)
    latent = any(trajectory.latent for trajectory in made)
    return [*(demonstrations.teleoperation(TELEOPERATION) if latent else ()), *made]


def dreamed(run: Run, name: str, records: Sequence[TrajectoryRecord]) -> Iterator[tuple[Path, Trajectory]]:
    """Neural trajectories one by one, each with its video's file; with their true labels for `true_actions`.

    Raises UserError for a record whose file is not in the run folder.
    """
    from .envs import demonstrations

    videos = {video.key: video for video in run.videos((*run.scored, *run.dreamed))}
    for record in records:
        task = run.tasks[record.suite, record.task]
        path, labeled = (_inside(run.out, str(file)) for file in (videos[record.video].file, record.file))
        labels = np.load(labeled, allow_pickle=False)
        latent = record.latent and name != "true_actions"
        if name == "true_actions":
            labels = demonstrations.true_labels(task)
        yield path, Trajectory(frames=read(path).frames, labels=labels, instruction=task.instruction, latent=latent)


def _inside(folder: Path, file: str) -> Path:
    path = folder / file
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise UserError(f"{file}: a record of {folder} names a file that is not in it")
    return path


def trajectories(run: Run, which: Iterable[Suite]) -> list[TrajectoryRecord]:
    """The records of this run's trajectories of some suites, in the order in which their videos were planned."""
    there = RecordFile(run.out / "trajectories.jsonl", TrajectoryRecord).read()
    spec = registry.find("idms", run.idm)
    keys = [label.label_key(video, spec) for video in run.videos(which)]
    return [there[key] for key in keys if key in there]


def episodes(run: Run, there: Mapping[str, EpisodeRecord]) -> list[EpisodeRecord]:
    """Of the episodes in a run folder, those of this run's policies, in the order of the folder."""
    owed = set()
    for suite, name, seed in jobs(run):
        key = recipe(run, suite, name, seed).key
        starts = evaluate.starts(suite, run.episodes)
        owed |= {evaluate.episode_key(key, start) for start in starts}
    return [episode for key, episode in there.items() if key in owed]


def again(run: Run, name: str) -> dict[str, Any]:
    """Try the policies of one row again from every start that they were tried from, and count the flipped outcomes.

    The second episodes are kept in RUN/repeat. Raises UserError where there is nothing to repeat.
    """
    out = run.out / "repeat"
    before = RecordFile(run.out / "episodes.jsonl", EpisodeRecord).read()
    first = []
    for suite, row, seed in jobs(run):
        one = recipe(run, suite, name, seed)
        where = [
            start for start in evaluate.starts(suite, run.episodes) if evaluate.episode_key(one.key, start) in before
        ]
        if row == name and where:
            first += [before[evaluate.episode_key(one.key, start)] for start in where]
            evaluate.run(name, (one.spec, one.key, partial(loaded, run, one)), where, make_env, out=out)
    if not first:
        raise UserError(f"{run.out} has no episode of a policy of {name!r}: its rows are {', '.join(trainees(run))}")
    keys = {episode.key for episode in first}
    second = RecordFile(out / "episodes.jsonl", EpisodeRecord).read()
    return scores.flips(first, [episode for key, episode in second.items() if key in keys])


def make_env(behavior: str, *, scene: str, render: bool) -> Any:
    """The simulated robot."""
    return registry.load(registry.find("envs", "metaworld"), behavior=behavior, scene=scene, render=render)
