"""Verbs that work on a run folder: the demo, everything, and each stage by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import idms
from ..types import UserError
from .frame import (
    Episodes,
    IdmName,
    JudgeName,
    Limit,
    Mixture,
    Models,
    Out,
    PolicyName,
    PolicySeeds,
    Precision,
    Rubrics,
    Seeds,
    Shard,
    Suites,
    TrajectoryLimit,
    Workers,
    app,
    error_console,
    example,
    out_console,
    tell_scores,
    warn_of_drift,
)


def configured(suites: list[str], models: str, out: Path, **fields: Any) -> Any:
    """A run as its flags describe it. Raises UserError where it could not be begun."""
    from ..loop import Run, check

    chosen = tuple(name.strip() for name in models.split(",") if name.strip())
    run = Run(suites=tuple(dict.fromkeys(suites)), models=tuple(dict.fromkeys(chosen)), out=out, **fields)
    check(run)
    return run


def _workers(count: int | None) -> int:
    if count is not None and count < 1:
        raise UserError(f"--workers {count}: use 1 or more")
    return count or max(1, len(os.sched_getaffinity(0)))


def _everything(run: Any, workers: int | None) -> None:
    from .. import loop
    from ..progress import watch
    from ..summary import conclusion

    correlation = loop.everything(run, workers=_workers(workers), watch=watch(error_console))
    warn_of_drift(run.out)
    for renderable in conclusion(run, correlation):
        out_console.print(renderable)


DEMO_MODELS = (
    "replay,motion-regression,motion-regression-full,motion-recurrent-full,motion-flow-full,wan-s-sft,retrieval,"
    "static,wrong_instruction,reversed,"
    "corrupt_teleport_1,corrupt_teleport_3,corrupt_deform_2,corrupt_time_warp_3"
)


@app.command()
@example("dreamgen-bench demo --out runs/demo")
def demo(out: Out = Path("runs/demo"), workers: Workers = None) -> None:
    """The whole loop on the sim track, in minutes on two cores."""
    run = configured(
        ["metaworld-seen-v1", "metaworld-behavior-v1"],
        DEMO_MODELS,
        out,
        limit=24,
        trajectory_limit=96,
        episodes=8,
    )
    _everything(run, workers)


@app.command(name="run")
@example("dreamgen-bench run metaworld-behavior-v1 --models replay,static,wan-s --out runs/mine --limit 16")
def run_(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    trajectory_limit: TrajectoryLimit = None,
    seeds: Seeds = 1,
    judge: JudgeName = "qwen-s",
    rubric: Rubrics = None,
    idm: IdmName = idms.DEFAULT,
    policy: PolicyName = "bc-chunk",
    episodes: Episodes = 12,
    policy_seeds: PolicySeeds = 1,
    mixture: Mixture = "neural",
    precision: Precision = None,
    downstream: Annotated[bool, typer.Option(help="Train and evaluate policies too.")] = True,
    workers: Workers = None,
) -> None:
    """Every stage, resumable: videos, judgments, labels, policies, episodes, tables, plot and page."""
    fields: dict[str, Any] = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, judge=judge)
    fields |= dict(idm=idm, policy=policy)
    fields |= dict(episodes=episodes, policy_seeds=policy_seeds, downstream=downstream)
    fields |= dict(mixture=mixture, precision=precision)
    fields |= {"rubrics": tuple(rubric)} if rubric else {}
    _everything(configured(suites, models, out, **fields), workers)


def perform(names: tuple[str, ...], run: Any, shard: str) -> None:
    """Some stages of a run, and a line about each."""
    from ..loop import STAGES, answered

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in names:
        out_console.print(f"{name}: {STAGES[name](run, _parsed(shard))}")
        if name == "judge":
            warn_of_drift(run.out)
            tell_scores(answered(run))


def _parsed(shard: str) -> tuple[int, int]:
    index, _, count = shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {shard!r}: write i/n with 1 <= i <= n, as in 2/8")
    return int(index), int(count)


@app.command()
@example("dreamgen-bench generate metaworld-seen-v1 --models wan-s --out runs/mine --shard 1/4")
def generate(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    trajectory_limit: TrajectoryLimit = None,
    seeds: Seeds = 1,
    downstream: Annotated[bool, typer.Option(help="Dream the policy's trajectories too.")] = True,
    shard: Shard = "1/1",
) -> None:
    """Suites x world models -> videos."""
    fields = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, downstream=downstream)
    perform(("generate",), configured(suites, models, out, **fields), shard)


@app.command()
@example("dreamgen-bench judge metaworld-seen-v1 --models wan-s --out runs/mine --judge qwen-s")
def judge(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    seeds: Seeds = 1,
    judge: JudgeName = "qwen-s",
    rubric: Rubrics = None,
    shard: Shard = "1/1",
) -> None:
    """Videos x judge x rubrics -> judgments."""
    fields: dict[str, Any] = dict(limit=limit, seeds=seeds, judge=judge)
    fields |= {"rubrics": tuple(rubric)} if rubric else {}
    perform(("judge",), configured(suites, models, out, **fields), shard)


@app.command()
@example("dreamgen-bench label metaworld-seen-v1 --models wan-s --out runs/mine --idm waypoint-play")
def label(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    trajectory_limit: TrajectoryLimit = None,
    seeds: Seeds = 1,
    idm: IdmName = idms.DEFAULT,
    shard: Shard = "1/1",
) -> None:
    """Videos x IDM -> neural trajectories, each replayed open loop for the score `executable`."""
    fields = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, idm=idm)
    perform(("label", "replay"), configured(suites, models, out, **fields), shard)


def _policies(name: str, summary: str, line: str) -> None:
    """`train` and `evaluate` are one stage: a policy is evaluated by the process that trained it."""

    def verb(
        suites: Suites,
        models: Models,
        out: Out,
        limit: Limit = None,
        trajectory_limit: TrajectoryLimit = None,
        seeds: Seeds = 1,
        idm: IdmName = idms.DEFAULT,
        policy: PolicyName = "bc-chunk",
        episodes: Episodes = 12,
        policy_seeds: PolicySeeds = 1,
        mixture: Mixture = "neural",
        precision: Precision = None,
        shard: Shard = "1/1",
    ) -> None:
        fields: dict[str, Any] = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds)
        fields |= dict(idm=idm, policy=policy)
        fields |= dict(episodes=episodes, policy_seeds=policy_seeds, mixture=mixture, precision=precision)
        perform(("policies",), configured(suites, models, out, **fields), shard)

    verb.__doc__ = summary
    app.command(name=name)(example(line)(verb))


_policies(
    "train",
    "Trajectories x policy recipe -> checkpoints, and their episodes.",
    "dreamgen-bench train metaworld-behavior-v1 --models wan-s --out runs/mine --policy bc-chunk",
)
_policies(
    "evaluate",
    "Policies x environment -> episodes (trains what is not trained yet).",
    "dreamgen-bench evaluate metaworld-behavior-v1 --models wan-s --out runs/mine --episodes 25",
)
