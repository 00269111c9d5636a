"""The whole loop over a run folder: which stage gets what, in how many processes.

    suite -> generate -> judge -> scores ---------------------+
                 |                                            +-> correlate -> leaderboard, report
                 +-> label -> replay, train -> evaluate ------+

Stages know nothing of each other; this module hands each what the last one left on disk. Every process runs the same
stages on its own share of the keys, so one worker and eight leave the same records.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import groupby, product
from pathlib import Path
from typing import Any

from . import (
    anchors,
    correlate,
    downstream,
    evaluate,
    generate,
    idms,
    judge,
    label,
    leaderboard,
    registry,
    rubrics,
    scores,
    suites,
)
from .provenance import facts, peak_memory, up_to_date
from .store import RecordFile, Summary, digest, read_json, sharded, write_json
from .types import (
    EpisodeRecord,
    Judgment,
    Rubric,
    Spec,
    Suite,
    Task,
    UserError,
    VideoRecord,
)

CEILINGS = ("replay",)
FLOORS = ("static",)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One resolved configuration: what is scored, by whom, and what is trained on it. Crosses processes as it is."""

    suites: tuple[str, ...]
    models: tuple[str, ...]
    out: Path
    judge: str = "qwen-s"
    rubrics: tuple[str, ...] = rubrics.DEFAULT
    idm: str = idms.DEFAULT
    policy: str = "bc-chunk"
    mixture: str = "neural"
    limit: int | None = None
    trajectory_limit: int | None = None
    seeds: int = 1
    policy_seeds: int = 1
    episodes: int = 12
    precision: float | None = None
    downstream: bool = True

    @cached_property
    def scored(self) -> list[Suite]:
        """The suites that are scored."""
        return [suites.load(name) for name in self.suites]

    @cached_property
    def dreamed(self) -> list[Suite]:
        """The suites whose videos become neural trajectories."""
        names = dict.fromkeys(suite.trajectories for suite in self.scored if suite.trajectories)
        return [suites.load(name) for name in names] if self.downstream else []

    @cached_property
    def specs(self) -> list[Spec]:
        """The world models; where policies are trained, ceiling and floor are always among them, loaded or served."""
        names = dict.fromkeys((*self.models, *(CEILINGS + FLOORS if self.dreamed else ())))
        served = {name.partition("@")[0] for name in names if "@" in name}
        return [registry.find("world_models", name) for name in names if name not in served]

    @cached_property
    def tasks(self) -> dict[tuple[str, str], Task]:
        """(suite, task id) -> task, of everything that this run looks at."""
        chosen = [(suite, self.limit) for suite in self.scored]
        chosen += [(suite, self.trajectory_limit) for suite in self.dreamed]
        return {(suite.name, task.id): task for suite, limit in chosen for task in suites.limited(suite, limit)}

    def plans(self) -> list[generate.Plan]:
        """What every model owes to every suite."""
        everything = {suite.name: suite for suite in (*self.scored, *self.dreamed)}
        return [
            generate.plan(suite, [t for (s, _), t in self.tasks.items() if s == suite.name], spec, range(self.seeds))
            for suite in everything.values()
            for spec in self.specs
        ]

    def videos(self, which: Iterable[Suite]) -> list[VideoRecord]:
        """The records of this run's videos of some suites, in the order in which they were planned."""
        there = RecordFile(self.out / "videos.jsonl", VideoRecord).read()
        names = {suite.name for suite in which}
        keys = [key for plan in self.plans() if plan.suite.name in names for key in plan.owed]
        return [there[key] for key in keys if key in there]

    def chosen_rubrics(self) -> list[Rubric]:
        """The rubrics by name."""
        return [rubrics.load(name) for name in self.rubrics]


def reopened(out: Path) -> Run:
    """The configuration of a run folder that was run once. Raises UserError where it is none of this version's."""
    config = read_json(out / "run.json").get("config")
    if isinstance(config, dict) and "manifest" in config:
        raise UserError(f"{out} was made by `score`: finished videos have no trajectories, policies or episodes")
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        return Run(**(fields | {"out": out}))
    except (AttributeError, TypeError) as error:
        raise UserError(f"{out / 'run.json'} holds no configuration that this version knows: {error}") from error


def check(run: Run) -> None:
    """Every name is known and something is left to do. Raises UserError before anything is written."""
    if not run.suites or not run.models:
        raise UserError("nothing is selected: name at least one suite and one model (dreamgen-bench list)")
    for kind, name in (("judges", run.judge), ("idms", run.idm)):
        registry.find(kind, name)
    for name in run.models:
        if name in downstream.DEMONSTRATED:
            raise UserError(f"{name!r} is no world model: its row is in every downstream table anyway")
    if twice := [name for name, count in Counter(spec.name for spec in run.specs).items() if count > 1]:
        raise UserError(f"two of the models are named {twice[0]!r}, and a table has one row for it: leave one out")
    run.chosen_rubrics()
    downstream.check(run)
    if run.seeds < 1 or run.episodes < 1 or run.policy_seeds < 1:
        raise UserError("--seeds, --episodes and --policy-seeds must be 1 or more")
    if not run.tasks or not run.specs:
        raise UserError("nothing is selected")


# What one process does of each stage


def do_generate(run: Run, shard: tuple[int, int]) -> Summary:
    """Dream this process's share of all videos.

    Task by task of one behavior for all models, and not model by model: the controls then share one simulator and one
    recording of the expert. A served model gets all its tasks at once, so that its server is never idle.
    """
    specs = {spec.name: spec for spec in run.specs}
    load = cache(lambda name: registry.load(specs[name]))
    there = RecordFile(run.out / "videos.jsonl", VideoRecord).read()
    summaries = []
    for suite, plans in groupby(run.plans(), key=lambda plan: plan.suite.name):
        tasks = sharded([key for key in run.tasks if key[0] == suite], shard)
        behaviors = groupby(tasks, key=lambda key: run.tasks[key].behavior)
        shares = [[task for _, task in keys] for _, keys in behaviors]
        every = list(plans)
        work = [pair for pair in product(shares, every) if not pair[1].spec.address]
        work += [([task for _, task in tasks], plan) for plan in every if plan.spec.address]
        for share, plan in work:
            mine = {key: row for key, row in plan.owed.items() if row[0].id in share}
            owed = {key: row for key, row in mine.items() if key not in there}
            summaries.append(Summary(planned=len(mine) - len(owed), skipped=len(mine) - len(owed)))
            if owed:
                part = replace(plan, owed=owed)
                summaries.append(generate.run(part, partial(load, plan.spec.name), out=run.out))
    return _sum(summaries)


def _made(run: Run, which: Iterable[Suite]) -> list[VideoRecord]:
    """The run's videos. Raises UserError where there is none at all: a mistyped folder is no folder without work."""
    videos = run.videos(which)
    if not videos:
        raise UserError(f"{run.out} holds no video of these suites and models yet: dreamgen-bench generate makes them")
    return videos


def do_judge(run: Run, shard: tuple[int, int]) -> Summary:
    """Judge this process's share of the scored suites' videos."""
    spec = registry.find("judges", run.judge)
    videos = _made(run, run.scored)
    chosen = run.chosen_rubrics()
    load = anchors.watched(spec, lambda: registry.load(spec), rubrics=chosen, out=run.out)
    return judge.run(videos, run.tasks, spec, load, rubrics=chosen, out=run.out, shard=shard)


def answered(run: Run) -> list[dict[str, Any]]:
    """The rows of scores.json for what this run's judge has said so far, by these rubrics."""
    spec, videos = registry.find("judges", run.judge), run.videos(run.scored)
    return scores.scores(judge.answers(videos, spec, rubrics=run.chosen_rubrics(), out=run.out), [])


def do_label(run: Run, shard: tuple[int, int]) -> Summary:
    """Label this process's share of all videos."""
    spec = registry.find("idms", run.idm)
    made = _made(run, (*run.scored, *run.dreamed))
    videos = [video for video in made if run.tasks[video.suite, video.task].state]
    return label.run(videos, spec, lambda: registry.load(spec), out=run.out, shard=shard)


def do_replay(run: Run, shard: tuple[int, int]) -> Summary:
    """Replay this process's share of the scored suites' trajectories."""
    labeled = downstream.trajectories(run, run.scored)
    return evaluate.replay(labeled, run.tasks, downstream.make_env, out=run.out, shard=shard)


def do_policies(run: Run, shard: tuple[int, int]) -> Summary:
    """Train and evaluate this process's share of the policies."""
    return _sum(summary for job in sharded(downstream.jobs(run), shard) for summary in downstream.do(run, *job))


STAGES: dict[str, Callable[[Run, tuple[int, int]], Summary]] = {
    "generate": do_generate,
    "judge": do_judge,
    "label": do_label,
    "replay": do_replay,
    "policies": do_policies,
}
"""In the order in which they run."""


def _sum(summaries: Iterable[Summary]) -> Summary:
    total = Summary()
    for summary in summaries:
        total.planned += summary.planned
        total.done += summary.done
        total.skipped += summary.skipped
        total.failed += summary.failed
    return total


# All of it


class Workers:
    """Processes that each do a share of a stage. They live as long as the run: torch is imported once in each."""

    def __init__(self, count: int):
        # One thread each: sums are then added in the same order whatever else the machine does, and two processes
        # of one thread are faster than one of two.
        os.environ.update(OMP_NUM_THREADS="1", LP_NUM_THREADS="0", TRANSFORMERS_VERBOSITY="error")
        os.environ.update(PYTHONWARNINGS="ignore", HF_HUB_DISABLE_PROGRESS_BARS="1")
        self.count = count
        # A forked process would inherit a GL library that it can't use.
        self._pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))

    def run(self, stage: str, run: Run) -> Summary:
        """Every process does its share; the first error is raised here."""
        return self.share(STAGES[stage], run)

    def share(self, act: Callable[[Any, tuple[int, int]], Summary], job: Any) -> Summary:
        """`act(job, (i, n))` in every process; the first error is raised here."""
        shards = [(index + 1, self.count) for index in range(self.count)]
        return _sum(self._pool.map(act, [job] * self.count, shards))

    def peak_memory(self) -> float | None:
        """GiB held at most so far by all of them."""
        return peak_memory(self._pool._processes)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def everything(run: Run, *, workers: int, watch: Callable[[str, Run], Any]) -> dict[str, Any]:
    """Run every stage that has anything left to do, then write the aggregates, the leaderboard and the report.

    watch(stage, run) is a context manager that shows progress.
    """
    check(run)
    run.out.mkdir(parents=True, exist_ok=True)
    times: dict[str, Any] = {}
    note, work = facts(run), 0
    with Workers(workers) as pool:
        for stage in STAGES:
            if stage == "policies" and not run.dreamed:
                continue
            started = time.perf_counter()
            with watch(stage, run) as progress:
                summary = pool.run(stage, run)
                progress(summary)
            work += summary.done + summary.failed.total()
            seconds = round(time.perf_counter() - started, 2)
            times[stage] = {"seconds": seconds, "peak_gib": pool.peak_memory(), "summary": str(summary)}
    if not work and up_to_date(run.out, note):
        return read_json(run.out / "correlation.json")
    return finish(run, note | {"phases": times})


def finish(run: Run, note: dict[str, Any]) -> dict[str, Any]:
    """Records -> scores.json, success.json, correlation.json, leaderboard.*, report/. Returns the correlation."""
    _remember(run, note)
    judged, replays, policies = records(run)
    table = scores.scores(judged, replays)
    success = scores.success(policies, {spec.name: run.idm for spec in run.specs})
    write_json(run.out / "scores.json", table)
    write_json(run.out / "success.json", success)
    groups = {spec.name: "control" if spec.group == "control" else "trained" for spec in run.specs}
    correlation = correlate.run(table, success, groups=groups)
    write_json(run.out / "correlation.json", correlation)
    leaderboard.run(run.out, suites=[*run.scored, *run.dreamed])
    return correlation


def records(run: Run) -> tuple[list[Judgment], list[EpisodeRecord], list[EpisodeRecord]]:
    """This run's judgments, its trajectories replayed open loop, and its policies' episodes, as far as they go."""
    spec = registry.find("judges", run.judge)
    judged = judge.answers(run.videos(run.scored), spec, rubrics=run.chosen_rubrics(), out=run.out)
    episodes = RecordFile(run.out / "episodes.jsonl", EpisodeRecord).read()
    labeled = downstream.trajectories(run, run.scored)
    replays = [episodes[k] for t in labeled if (k := digest("replay", t.key)) in episodes]
    return judged, replays, downstream.episodes(run, episodes)


def _remember(run: Run, note: dict[str, Any]) -> None:
    """run.json; the times of earlier runs in this folder are kept, since this one may have found all done."""
    path = run.out / "run.json"
    before = read_json(path).get("history", []) if path.exists() else []
    write_json(path, note | {"history": [*before, note["phases"]][-20:]})
