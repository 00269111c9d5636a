"""Record the simulator clips that the baselines are trained on: `python collect.py SET --out DIR`.

    web     action-free videos of all 50 behaviors, by experts of varied skill, never in the lab's look:
            what web video is to a real world model (world models, retrieval)
    siblings the same in looks nearer to the lab's: colors and light as varied, the camera 2 to 5 degrees off
    teleop  pick-and-place in the lab, with actions, the hand taken about its whole reach in between (IDM)
    play    the hand taken about in the lab among the things of every behavior, with actions; nothing is done (IDM)
    demos   pick-and-place in the lab, with actions, straight to the point, nearly all of it well done (sft)
    judge   clips whose truth is known: success, failure, another behavior, and physics broken on purpose
    picks   the same, of picking and placing the puck only: what it has between its fingers is easily overlooked
    objects the same, but what is broken is always an object's place or presence, and half of them are of the small puck
    ignored successes, and beside each the same hand while every thing stays where it was: nothing was done (judge)

    card    prints what is in DIR: clips, sizes, digests

Each worker writes one .npz per 50 episodes; a shard that is there is not made again. Seeds start at 1,000,000 and
drawn looks at 100,000; suites use smaller ones, so that no clip of a suite is ever in training data.
"""

import argparse
import hashlib
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from dreamgen_bench.envs.defects import DEFECTS, VISIBLE, Stage, break_recording
from dreamgen_bench.envs.experts import (
    Actor,
    Place,
    detour,
    expert,
    noisy,
    outlying,
    record,
    replay,
    stopping,
    wanderer,
)
from dreamgen_bench.envs.metaworld import BEHAVIORS, WAYPOINT_HIGH, WAYPOINT_LOW, MetaWorld
from dreamgen_bench.envs.scenes import SCENES, scene_of

FIRST_SEED, FIRST_LOOK, SHARD = 1_000_000, 100_000, 50
EPISODES = {
    "web": 5000,
    "siblings": 15000,
    "teleop": 2500,
    "play": 10000,
    "demos": 1500,
    "judge": 3450,
    "objects": 2000,
    "picks": 1000,
    "ignored": 1150,
}
JUDGED = ("lab", "lab", "object", "environment", "environment", "web")
"""Kinds of looks that a judge is shown, as often as they stand here."""
CHANGED = 12
"""Pixels of the last frame that must tell whether a thing moved."""
ROBOT = (*(f"right_j{number}" for number in range(7)), "r_close", "l_close")
PICKING = 700
"""Teleoperation episodes that pick and place; in the others the operator only takes the hand about."""
NEAR = 0.05
"""Spread of the places beside a thing to which playing takes the hand, in metres on each axis."""


@cache
def environment(behavior: str, scene: str, render: bool = True) -> MetaWorld:
    return MetaWorld(behavior, scene=scene, render=render)


def start(behavior: str, scene: str, seed: int, look: str, *, render: bool = True) -> MetaWorld:
    env = environment(behavior, scene, render)
    env.reset(seed=seed, options={"look": look})
    return env


def drawn_look(rng: np.random.Generator, *kinds: str) -> str:
    kind = rng.choice(kinds)
    return "lab" if kind == "lab" else f"{kind}-{FIRST_LOOK + rng.integers(800_000)}"


def web_episode(seed: int) -> dict | None:
    return shown(seed, "web")


def siblings_episode(seed: int) -> dict | None:
    return shown(seed, "sibling")


def shown(seed: int, kind: str) -> dict | None:
    """A success by an expert of varied skill, in a look of that kind."""
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[seed % len(BEHAVIORS)]
    scene = scene_of(behavior) if rng.uniform() < 0.6 else ""
    look = drawn_look(rng, kind)
    env = start(behavior, scene, seed, look)
    clip = record(env, noisy(expert(env), rng, sigma=rng.choice([0.0, 0.0, 0.1])))
    if not clip.success:
        return None
    return {"frames": clip.frames, "behavior": behavior, "scene": scene, "look": look}


def teleop_episode(seed: int) -> dict | None:
    rng = np.random.default_rng(seed)
    env = start("pick-place", "puck", seed, "lab")
    if seed >= FIRST_SEED * (1 + SEED_OF["teleop"]) + PICKING:
        clip = record(env, wanderer(rng, stay=int(rng.integers(12, 64)), place=outlying))
        return {"frames": clip.frames, "states": clip.states, "actions": clip.actions, "success": clip.success}
    wander = wanderer(rng, stay=int(rng.integers(12, 40)))
    act = noisy(expert(env), rng, sigma=rng.choice([0.0, 0.1, 0.25]))
    if rng.uniform() < 0.6:
        act = detour(act, wander, steps=int(rng.choice([0, 48, 128])))
    clip = record(env, act)
    return {"frames": clip.frames, "states": clip.states, "actions": clip.actions, "success": clip.success}


def play_episode(seed: int) -> dict | None:
    """What happens to come about is left out: play shows no behavior, and so cannot teach one."""
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[seed % len(BEHAVIORS)]
    env = start(behavior, scene_of(behavior) if rng.uniform() < 0.6 else "", seed, "lab")
    slow = rng.uniform(0.25, 1.0) if rng.uniform() < 0.5 else 1.0
    clip = record(env, wanderer(rng, stay=int(rng.integers(10, 64)), place=beside_things(env), speed=slow))
    if clip.success:
        return None
    return {"frames": clip.frames, "states": clip.states, "actions": clip.actions, "behavior": behavior}


def beside_things(env: MetaWorld) -> Place:
    """Half of the places near what stands there or its goal, where fingers are half hidden; else anywhere in reach."""
    things = np.concatenate([np.reshape(env.sim._get_pos_objects(), (-1, 3)), np.reshape(env.sim._target_pos, (-1, 3))])

    def place(rng: np.random.Generator) -> np.ndarray:
        if rng.uniform() < 0.5:
            return outlying(rng)
        near = things[rng.integers(len(things))] + rng.normal(0, NEAR, 3)
        return np.clip(near, WAYPOINT_LOW[:3], WAYPOINT_HIGH[:3])

    return place


def demos_episode(seed: int) -> dict | None:
    """What a world model is adapted to: whoever is to foresee a hand can't be shown detours that nothing announces."""
    rng = np.random.default_rng(seed)
    env = start("pick-place", "puck", seed, "lab")
    clip = record(env, noisy(expert(env), rng, sigma=rng.choice([0.0, 0.0, 0.1])))
    if not clip.success:
        return None
    return {"frames": clip.frames, "states": clip.states, "actions": clip.actions, "behavior": "pick-place"}


def judge_episode(seed: int) -> dict | None:
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[seed % len(BEHAVIORS)]
    return judged(seed, rng, behavior, scene_of(behavior) if rng.uniform() < 0.7 else "", tuple(DEFECTS))


def objects_episode(seed: int) -> dict | None:
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[seed % len(BEHAVIORS)] if seed % 2 else str(rng.choice(SCENES["puck"].behaviors))
    scene = scene_of(behavior) if rng.uniform() < 0.8 else ""
    return judged(seed, rng, behavior, scene, ("teleport", "teleport", "vanish", "vanish", "appear"))


def picks_episode(seed: int) -> dict | None:
    rng = np.random.default_rng(seed)
    kinds = (*DEFECTS, "vanish", "vanish", "vanish", "teleport")
    return judged(seed, rng, "pick-place", "puck", kinds)


def begun(seed: int, rng: np.random.Generator, behavior: str, scene: str) -> tuple[MetaWorld, Actor, str, str]:
    """An episode of a judge's clip before its first step, who will act in it, its look, and how skilled he is."""
    look = drawn_look(rng, *JUDGED)
    env = start(behavior, scene, seed, look)
    how = rng.choice(["expert", "noisy", "clumsy", "stopping", "wander"], p=[0.4, 0.15, 0.1, 0.15, 0.2])
    act = expert(env)
    if how == "noisy":
        act = noisy(act, rng, sigma=0.1)
    elif how == "clumsy":
        act = noisy(act, rng, sigma=rng.uniform(0.3, 0.8))
    elif how == "stopping":
        act = stopping(act, after=int(rng.integers(8, 50)))
    elif how == "wander":
        act = wanderer(rng, stay=int(rng.integers(20, 50)))
    return env, act, look, str(how)


def judged(seed: int, rng: np.random.Generator, behavior: str, scene: str, kinds: tuple[str, ...]) -> dict:
    env, act, look, how = begun(seed, rng, behavior, scene)
    clip = record(env, act)
    done = {behavior: clip.success}
    for other in SCENES[scene].behaviors if scene else ():
        if other != behavior:
            done[other] = replay(start(other, scene, seed, look, render=False), clip.waypoints)
    kind = kinds[int(rng.integers(len(kinds)))]
    magnitude = float(rng.uniform(0, VISIBLE) if rng.uniform() < 0.25 else rng.uniform(VISIBLE, 1))
    env = start(behavior, scene, seed, look)
    broken = break_recording(env, clip, kind, magnitude=magnitude, seed=seed)
    return {
        "frames": clip.frames,
        "broken": broken,
        "kind": kind,
        "magnitude": magnitude,
        "behavior": behavior,
        "scene": scene,
        "look": look,
        "how": how,
        "done": " ".join(sorted(name for name, success in done.items() if success)),
        "possible": " ".join(sorted(done)),
    }


def ignored_episode(seed: int) -> dict | None:
    """None where the expert fails, or nothing is seen to move."""
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[seed % len(BEHAVIORS)]
    scene = scene_of(behavior) if rng.uniform() < 0.7 else ""
    look = drawn_look(rng, *JUDGED)
    env = start(behavior, scene, seed, look)
    clip = record(env, noisy(expert(env), rng, sigma=0.05))
    if not clip.success:
        return None
    env = start(behavior, scene, seed, look)
    moves = [env.model.joint(name).qposadr[0] for name in ROBOT]
    stay = np.repeat(clip.qpos[:1], len(clip.qpos), 0)
    stay[:, moves] = clip.qpos[:, moves]
    stage = Stage(env=env, recording=replace(clip, qpos=stay))
    unmoved = np.stack([clip.frames[0], *(stage.redraw(t) for t in range(1, len(clip.frames)))])
    if (np.abs(clip.frames[-1].astype(int) - unmoved[-1]).max(-1) > 30).sum() < CHANGED:
        return None
    told = {"kind": "ignored", "magnitude": 1.0, "how": "expert", "done": behavior, "possible": behavior}
    return {"frames": clip.frames, "broken": unmoved, "behavior": behavior, "scene": scene, "look": look} | told


EPISODE = {
    "web": web_episode,
    "teleop": teleop_episode,
    "play": play_episode,
    "judge": judge_episode,
    "objects": objects_episode,
    "picks": picks_episode,
    "ignored": ignored_episode,
    "siblings": siblings_episode,
    "demos": demos_episode,
}
SEED_OF = {
    "web": 0,
    "teleop": 1,
    "judge": 2,
    "objects": 3,
    "picks": 4,
    "siblings": 5,
    "demos": 6,
    "ignored": 7,
    "play": 8,
}


def write_shard(what: str, shard: int, out: Path) -> str:
    path = out / f"{what}-{shard:04d}.npz"
    if path.exists():
        return f"{path.name} is there"
    started, rows = time.time(), []
    first = FIRST_SEED * (1 + SEED_OF[what]) + shard * SHARD
    for seed in range(first, first + SHARD):
        row = EPISODE[what](seed)
        if row is not None:
            rows.append(row)
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **columns)
    temporary.rename(path)
    return f"{path.name} {len(rows)} episodes, {time.time() - started:.0f} s"


def card(out: Path) -> str:
    """What a folder holds: a Markdown row a set, with the digest of all its frames and other columns."""
    rows = ["| set | shards | clips | MB | sha256 of the content |", "|---|---|---|---|---|"]
    for what in EPISODE:
        paths, digest, clips = sorted(out.glob(f"{what}-*.npz")), hashlib.sha256(), 0
        for path in paths:
            with np.load(path) as shard:
                clips += len(shard["frames"])
                for name in sorted(shard.files):
                    digest.update(np.ascontiguousarray(shard[name]).tobytes())
        size = sum(path.stat().st_size for path in paths) / 1e6
        rows.append(f"| `{what}` | {len(paths)} | {clips} | {size:.0f} | {digest.hexdigest()[:16]} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*EPISODE, "card"))
    parser.add_argument("--out", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.what == "card":
        print(card(args.out))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    shards = range((args.episodes or EPISODES[args.what]) // SHARD)
    spawn = multiprocessing.get_context("spawn")  # a forked process inherits a GL library that it can't use
    with ProcessPoolExecutor(args.workers, mp_context=spawn) as pool:
        for line in pool.map(write_shard, [args.what] * len(shards), shards, [args.out] * len(shards)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
