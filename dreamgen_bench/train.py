"""Trajectories x policy recipe -> checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .store import Summary, digest, write_json
from .types import Spec, Trajectory, UserError

Fit = Callable[..., Any]


def policy_key(inputs: Sequence[str], spec: Spec, seed: int) -> str:
    """What determines a policy: the trajectories (their keys, in order), the recipe with its revision, the seed."""
    return digest(list(inputs), spec.id, dict(spec.args), seed)


def one_to_one(real: Sequence[Trajectory], neural: Sequence[Trajectory]) -> list[Trajectory]:
    """Both kinds in turn, equally often: the smaller is gone through again (DreamGen, sec. 2.5). Neither may be empty.

    A recipe that draws from all that it is given then draws as often from one kind as from the other; exactly so
    where all trajectories are of one length.
    """
    count = max(len(real), len(neural))
    return [kind[number % len(kind)] for number in range(count) for kind in (real, neural)]


def run(
    name: str,
    inputs: Sequence[str],
    trajectories: Callable[[], Sequence[Trajectory]],
    fit: tuple[Spec, Fit],
    *,
    seed: int,
    out: Path,
) -> Summary:
    """Train one policy on the trajectories with these keys, unless `out` has it: policies/KEY/policy.json comes last.

    name: whose trajectories they are (a world model, a ceiling or a floor). `fit` is called as
    fit(trajectories, seed=seed, out=folder) and writes the checkpoint into the folder.
    """
    spec, fitter = fit
    key = policy_key(inputs, spec, seed)
    folder = out / "policies" / key
    summary = Summary(planned=1)
    if (folder / "policy.json").exists():
        summary.skipped = 1
        return summary
    if not inputs:
        raise UserError(f"no trajectory to train {name!r} on: its videos could not be made or labeled")
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    fitter(trajectories(), seed=seed, out=folder)
    facts = {"schema": 1, "key": key, "name": name, "policy": spec.id, "seed": seed, "trajectories": len(inputs)}
    write_json(folder / "policy.json", facts | {"seconds": round(time.perf_counter() - started, 2)})
    summary.done = 1
    return summary
