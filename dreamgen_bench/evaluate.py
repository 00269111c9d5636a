"""Policy x environment -> episodes; and neural trajectories replayed open loop, for `executable`."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from .store import RecordFile, Summary, digest, sharded
from .types import WAYPOINT, EpisodeRecord, Policy, Spec, Suite, Task, TrajectoryRecord, UserError

MakeEnv = Callable[..., Any]  # (behavior, *, scene, render) -> gymnasium.Env
Outcome = dict[str, Any]  # success, and progress where the simulator tells it
HORIZON = 26
"""Steps (frames) that a policy may take: half as many again as a video has."""
FIRST_SEED = 70_000
"""Of the starts of policies' episodes: suites use smaller ones, training data larger ones."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a policy's episode starts; the same starts for all policies, so that they can be compared in pairs."""

    suite: str
    behavior: str
    scene: str
    look: str
    seed: int
    instruction: str

    @property
    def id(self) -> str:
        """Names the start within its suite."""
        return f"{self.behavior}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a policy was tried often enough: its rate is known to within `precision` on either side."""

    precision: float
    interval: Callable[[int, int], tuple[float, float]]  # of (successes, episodes), and good at every look


def episode_key(policy: str, start: Start) -> str:
    """What determines a policy's episode."""
    return digest("policy", policy, start.suite, start.id, HORIZON)


def starts(suite: Suite, per_behavior: int) -> list[Start]:
    """New starts of a suite's behaviors, with the looks and instructions that its tasks have; sorted by behavior."""
    rows: dict[str, list[Task]] = {}
    for task in suite.tasks:
        rows.setdefault(task.behavior, []).append(task)
    made = []
    for behavior, tasks in sorted(rows.items()):
        for number in range(per_behavior):
            task = tasks[number % len(tasks)]
            state = task.state
            made.append(
                Start(
                    suite=suite.name,
                    behavior=behavior,
                    scene=state["scene"],
                    look=state["look"],
                    seed=FIRST_SEED + number,
                    instruction=task.instruction,
                )
            )
    return made


def run(
    name: str,
    policy: tuple[Spec, str, Callable[[], Policy]],
    where: Sequence[Start],
    make_env: MakeEnv,
    *,
    out: Path,
    stop: Stop | None = None,
) -> Summary:
    """Let a policy act from every start that `out` has no episode of, or until it was tried often enough.

    policy: its spec, its key (of the checkpoint), and how to load it. An episode that crashes is recorded with
    success null and counted; it is the policy's failure. With `stop`, starts are gone through in rounds of one start
    of each behavior, and it is looked at after whole rounds only; each record says how many episodes were planned.
    """
    spec, key, load = policy
    records = RecordFile(out / "episodes.jsonl", EpisodeRecord)
    there = records.read()
    summary = Summary()
    tried = _Tried(spec, key, name, load, _Envs(make_env, render=True))
    planned = {"planned": len(where), "precision": stop.precision} if stop else {}
    outcomes: list[bool] = []
    for round_ in _rounds(where) if stop else [where]:
        for start in round_:
            row, summary.planned = episode_key(key, start), summary.planned + 1
            if row in there:
                summary.skipped += 1
            else:
                there[row] = tried.episode(row, start).model_copy(update=planned)
                _note(records, summary, there[row])
            outcomes.append(bool(there[row].success))
        if stop and _known(stop, outcomes):
            break
    tried.envs.close()
    return summary


def _rounds(where: Sequence[Start]) -> list[list[Start]]:
    """Starts by their place among those of their behavior: the first of each, the second of each, and so on."""
    rounds: dict[int, list[Start]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for start in where:
        rounds.setdefault(seen[start.suite, start.behavior], []).append(start)
        seen[start.suite, start.behavior] += 1
    return list(rounds.values())


def _known(stop: Stop, outcomes: Sequence[bool]) -> bool:
    low, high = stop.interval(sum(outcomes), len(outcomes))
    return high - low <= 2 * stop.precision


class _Tried:
    """A policy that is loaded when it is first needed, and its simulators."""

    def __init__(self, spec: Spec, key: str, name: str, load: Callable[[], Policy], envs: _Envs):
        self.envs, self._id, self._name = envs, f"{spec.id}:{key}", name
        self._load = cache(load)

    def episode(self, key: str, start: Start) -> EpisodeRecord:
        started, model = time.perf_counter(), self._load()
        outcome, reason = _attempt(partial(_episode, model, self.envs, start))
        return EpisodeRecord(
            key=key,
            kind="policy",
            suite=start.suite,
            model=self._name,
            seed=start.seed,
            task=start.id,
            behavior=start.behavior,
            policy=self._id,
            reason=reason,
            seconds=round(time.perf_counter() - started, 3),
            **outcome,
        )


def replay(
    trajectories: Sequence[TrajectoryRecord],
    tasks: Mapping[tuple[str, str], Task],
    make_env: MakeEnv,
    *,
    out: Path,
    shard: tuple[int, int] = (1, 1),
) -> Summary:
    """Follow each trajectory's waypoints open loop from its task's own simulator state, and see whether it succeeds.

    A video that could not be made or labeled is no success: its share of `executable` is 0, and it is counted. Latent
    actions can't be followed: they get no episode, and are counted as not applicable.
    """
    records = RecordFile(out / "episodes.jsonl", EpisodeRecord)
    there = records.read()
    mine = [t for t in sharded(trajectories, shard) if tasks[t.suite, t.task].state]
    latent = [t for t in mine if t.latent]
    missing = [t for t in mine if not t.latent and digest("replay", t.key) not in there]
    summary = Summary(planned=len(mine), skipped=len(mine) - len(missing) - len(latent))
    summary.failed["not_applicable"] += len(latent)
    summary.failed = +summary.failed
    envs = _Envs(make_env, render=False)
    # By environment, so that few simulators are alive at once.
    for trajectory in sorted(missing, key=lambda t: (tasks[t.suite, t.task].behavior, t.key)):
        task = tasks[trajectory.suite, trajectory.task]
        started = time.perf_counter()
        outcome, reason = _attempt(partial(_follow, trajectory, task, envs, out))
        record = EpisodeRecord(
            key=digest("replay", trajectory.key),
            kind="replay",
            suite=trajectory.suite,
            model=trajectory.model,
            seed=trajectory.seed,
            task=trajectory.task,
            behavior=task.behavior,
            idm=trajectory.idm,
            reason=reason or trajectory.reason,
            seconds=round(time.perf_counter() - started, 3),
            **outcome,
        )
        _note(records, summary, record)
    envs.close()
    return summary


def _attempt(act: Callable[[], Outcome]) -> tuple[Outcome, str | None]:
    try:
        return act(), None
    except (UserError, OSError):
        raise
    except Exception as error:  # one crashed episode costs one episode
        return {"success": None}, f"{type(error).__name__}: {error}"[:300]


def _episode(policy: Policy, envs: _Envs, start: Start) -> Outcome:
    env = envs.reset(start.behavior, start.scene, start.seed, start.look)
    policy.reset()
    if hasattr(policy, "seed"):
        policy.seed(int.from_bytes(hashlib.sha256(start.id.encode()).digest()[:4], "big"))
    observation, taken = envs.observation, 0
    info: dict[str, Any] = {"success": False}
    while taken < HORIZON:
        chunk = _checked(policy.act({**observation, "instruction": start.instruction}), env.action_space.shape)
        chunk = chunk[: HORIZON - taken]
        for left, action in zip(reversed(range(len(chunk))), chunk, strict=True):
            env.watched = left == 0  # drawing is two fifths of a step, and the policy looks after the chunk alone
            observation, _, _, _, info = env.step(action)
            taken += 1
            if info["success"]:
                return _outcome(info)
    return _outcome(info)


def _checked(chunk: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A policy's answer, if it is what the contract says: an empty one would never end the episode."""
    actions = np.asarray(chunk)
    if actions.ndim != 2 or not len(actions) or actions.shape[1:] != shape or actions.dtype.kind not in "fiu":
        raise ValueError(
            f"the policy answered {actions.dtype} {list(actions.shape)} instead of floats [chunk, {shape[0]}]"
        )
    if not np.isfinite(actions).all():
        raise ValueError("the policy answered actions that are not finite")
    return actions


def _follow(trajectory: TrajectoryRecord, task: Task, envs: _Envs, out: Path) -> Outcome:
    if trajectory.file is None:
        return {"success": False}
    labels = np.load(out / trajectory.file, allow_pickle=False)
    state = task.state
    env = envs.reset(state["behavior"], state["scene"], state["seed"], state["look"])
    info: dict[str, Any] = {"success": False}
    for waypoint in labels[:, WAYPOINT]:
        info = env.step(waypoint)[-1]
        if info["success"]:
            break
    return _outcome(info)


def _outcome(info: Mapping[str, Any]) -> Outcome:
    progress = info.get("progress")
    return {"success": bool(info["success"]), "progress": None if progress is None else round(float(progress), 6)}


class _Envs:
    """Simulators that are alive; one each of a behavior in a scene."""

    def __init__(self, make_env: MakeEnv, *, render: bool):
        self._make, self._render = make_env, render
        self._alive: dict[tuple[str, str], Any] = {}
        self.observation: dict[str, Any] = {}

    def reset(self, behavior: str, scene: str, seed: int, look: str) -> Any:
        if (behavior, scene) not in self._alive:
            self._alive[behavior, scene] = self._make(behavior, scene=scene, render=self._render)
        env = self._alive[behavior, scene]
        self.observation, _ = env.reset(seed=seed, options={"look": look})
        return env

    def close(self) -> None:
        for env in self._alive.values():
            env.close()


def _note(records: RecordFile, summary: Summary, record: EpisodeRecord) -> None:
    records.append(record)
    if record.success is None:
        summary.failed["crashed"] += 1
    else:
        summary.done += 1
