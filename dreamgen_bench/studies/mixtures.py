"""Policies trained on so much teleoperation and so many neural trajectories: what the scaling studies are made of.

Each mixture is one policy a seed, trained and tried by the same stages, in the same run folder, as any other policy.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any

from .. import crossed, downstream, evaluate, loop, registry, scores, stats, suites, train
from ..envs import demonstrations
from ..store import RecordFile, Summary, digest, sharded, write_json
from ..types import EpisodeRecord, Suite, Trajectory, TrajectoryRecord, UserError
from .frame import Job, Json

by_start, by_behavior = attrgetter("task"), attrgetter("behavior")


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What one policy is trained on."""

    suite: str  # whose videos and whose starts
    model: str  # whose videos; '' for teleoperation alone
    idm: str  # which labels them
    real: int  # demonstrations of pick-and-place
    neural: int  # videos, spread evenly over the suite's tasks
    share: float = 0.5  # of a batch that is real, where there is both

    @property
    def name(self) -> str:
        """As records call it."""
        return f"{self.model or 'teleoperation'}:{self.idm}:{self.real}+{self.neural}@{self.share:g}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Mixtures, their run folder (which says policy recipe, seeds and episodes), for processes to share."""

    run: loop.Run
    mixtures: tuple[Mixture, ...]


def work(grid: Grid, *, workers: int, watch: Any) -> None:
    """Dream and label all that the mixtures need, then train and try each that has no episodes yet."""
    loop.check(grid.run)
    grid.run.out.mkdir(parents=True, exist_ok=True)
    with loop.Workers(workers) as pool:
        for stage in ("generate", "label"):
            for run in by_idm(grid) if stage == "label" else [grid.run]:
                with watch(stage, run) as progress:
                    progress(pool.run(stage, run))
        with watch("policies", grid.run) as progress:
            progress(pool.share(share_of, grid))


def published(grid: Grid, job: Job) -> list[Json]:
    """Every cell that is not there yet, then table.json and points.csv; the table's rows."""
    work(grid, workers=job.workers, watch=job.watch)
    rows = table(grid)
    write_json(job.out / "table.json", {"rows": rows})
    (job.out / "points.csv").write_text(csv_of(rows), "utf-8")
    return rows


def by_idm(grid: Grid) -> list[loop.Run]:
    """The run once for each IDM; labels of all of them lie in one folder."""
    names = dict.fromkeys(mixture.idm for mixture in grid.mixtures if mixture.neural)
    return [replace(grid.run, idm=name) for name in names]


def share_of(grid: Grid, shard: tuple[int, int]) -> Summary:
    """One process's share of the policies."""
    jobs = [(mixture, seed) for mixture in grid.mixtures for seed in range(grid.run.policy_seeds)]
    total = Summary()
    for mixture, seed in sharded(jobs, shard):
        done = _one(grid.run, mixture, seed)
        total.planned, total.done = total.planned + done.planned, total.done + done.done
        total.skipped, total.failed = total.skipped + done.skipped, total.failed + done.failed
    return total


def episodes(grid: Grid, mixture: Mixture) -> list[EpisodeRecord]:
    """What this mixture's policies did, as far as it is there."""
    there = RecordFile(grid.run.out / "episodes.jsonl", EpisodeRecord).read()
    where = evaluate.starts(suites.load(mixture.suite), grid.run.episodes)
    keys = [_recipe(grid.run, mixture, seed)[0] for seed in range(grid.run.policy_seeds)]
    owed = [digest("policy", key, start.suite, start.id, evaluate.HORIZON) for key in keys for start in where]
    return [there[key] for key in owed if key in there]


def table(grid: Grid) -> list[Json]:
    """One row a mixture: its success over starts and policies, and its difference to the same teleoperation alone."""
    rows = []
    alone = {(m.suite, m.real): episodes(grid, m) for m in grid.mixtures if not m.neural}
    for mixture in grid.mixtures:
        own = episodes(grid, mixture)
        if not own:
            continue
        facts = {"model": mixture.model, "suite": mixture.suite, "idm": mixture.idm, "share": mixture.share}
        facts |= {"real": mixture.real, "neural": mixture.neural, "episodes": len(own)}
        estimate = success(own)
        facts |= {"mean": estimate.mean, "ci95": stats.plain(estimate.ci95)}
        floor = alone.get((mixture.suite, mixture.real))
        gained = paired(own, floor).json() if floor and mixture.neural else None
        rows.append(facts | {"gained": gained})
    return rows


def success(rows: Sequence[EpisodeRecord]) -> stats.Estimate:
    """Mean success with its interval over starts and policies."""
    return crossed.interval(
        [float(bool(e.success)) for e in rows], tasks=[e.task for e in rows], repeats=[e.policy for e in rows]
    )


def paired(
    one: Sequence[EpisodeRecord], two: Sequence[EpisodeRecord], *, unit: Callable[[EpisodeRecord], str] = by_start
) -> stats.Difference:
    """How much more often `one` succeeds, over the units that both have: starts, or `by_behavior` for more than these.

    The luck of training is in the interval where both have as many policies, two or more (`crossed.difference`).
    """
    shared = {unit(e) for e in one} & {unit(e) for e in two}
    sides = ([e for e in rows if unit(e) in shared] for rows in (one, two))
    return crossed.difference(*(crossed.table(*scores.rates(rows, unit)) for rows in sides))


def csv_of(rows: Sequence[Json]) -> str:
    """The table as CSV, without what hangs below a row."""
    names = ("suite", "model", "idm", "real", "neural", "share", "mean", "low", "high", "episodes")
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        low, high = row["ci95"] or ("", "")
        writer.writerow(row | {"low": low, "high": high})
    return text.getvalue()


def mixed(real: Sequence[Trajectory], neural: Sequence[Trajectory], share: float) -> list[Trajectory]:
    """Both, the smaller part repeated until `share` of all frames is real, as a policy draws frames uniformly."""
    if not real or not neural:
        return [*real, *neural]
    if not 0 < share < 1:
        raise UserError(f"a share of {share} real trajectories beside neural ones: choose between 0 and 1")
    times = share / (1 - share) * len(neural) / len(real)  # how often each real one for each neural one
    many, few, count = (real, neural, times) if times >= 1 else (neural, real, 1 / times)
    whole = round(count * len(many))
    return [many[at % len(many)] for at in range(max(whole, len(many)))] + list(few)


def _one(run: loop.Run, mixture: Mixture, seed: int) -> Summary:
    key, inputs, chosen = _recipe(run, mixture, seed)
    if not inputs or (mixture.neural and not chosen):
        return Summary()  # no video could be made or labeled: the table has no row for it
    spec = registry.find("policies", run.policy)
    fit = (spec, registry.fitter(spec))
    done = train.run(mixture.name, inputs, lambda: _material(run, mixture, chosen), fit, seed=seed, out=run.out)
    policy = (spec, key, partial(registry.load, spec, checkpoint=run.out / "policies" / key))
    where = evaluate.starts(suites.load(mixture.suite), run.episodes)
    tried = evaluate.run(mixture.name, policy, where, downstream.make_env, out=run.out)
    return Summary(
        planned=done.planned + tried.planned,
        done=done.done + tried.done,
        skipped=done.skipped + tried.skipped,
        failed=done.failed + tried.failed,
    )


def _recipe(run: loop.Run, mixture: Mixture, seed: int) -> tuple[str, list[str], list[TrajectoryRecord]]:
    chosen = _chosen(run, mixture) if mixture.neural else []
    inputs = [f"teleoperation-{mixture.real}"] if mixture.real else []
    inputs += [record.key for record in chosen]
    spec = registry.find("policies", run.policy)
    both = [f"share-{mixture.share:g}"] if mixture.real and chosen else []
    return train.policy_key([*inputs, *both], spec, seed), [*inputs, *both], chosen


def _chosen(run: loop.Run, mixture: Mixture) -> list[TrajectoryRecord]:
    """The first `neural` trajectories: one a task before a second of any, tasks spread over behaviors."""
    suite: Suite = suites.load(mixture.suite)
    there = downstream.trajectories(replace(run, idm=mixture.idm), [suite])
    own = [t for t in there if t.model == mixture.model and t.file]
    place = {task.id: number for number, task in enumerate(_interleaved(suite))}
    return sorted(own, key=lambda t: (t.seed, place[t.task]))[: mixture.neural]


def _interleaved(suite: Suite) -> list[Any]:
    """The suite's tasks, one of each behavior before a second of any."""
    numbered: dict[str, int] = {}
    order = []
    for task in suite.tasks:
        numbered[task.behavior] = numbered.get(task.behavior, 0) + 1
        order.append((numbered[task.behavior], task.behavior, task))
    return [task for _, _, task in sorted(order, key=lambda row: row[:2])]


def _material(run: loop.Run, mixture: Mixture, chosen: Sequence[TrajectoryRecord]) -> list[Trajectory]:
    real = demonstrations.teleoperation(mixture.real) if mixture.real else []
    made = downstream.dreamed(replace(run, idm=mixture.idm), mixture.model, chosen) if chosen else ()
    return mixed(real, [trajectory for _, trajectory in made], mixture.share)
