"""What the state judge's eyes learn from: `python states.py --out DIR`, scenes and where everything in them is.

Three kinds of episodes, in the looks that judges are shown. `displaced`: things go to places drawn at random, by
themselves, and in three of five the hand goes along so that it hides what it would hide if it had moved them; `wander`:
the hand is taken about; `performed`: somebody of varied skill does the behavior. Only the last shows a behavior, so
that eyes can be made that never saw some of them done, but know what is in their scenes (`train.py see --left-out`).
Nothing here is broken, and no answer of a judge is in it.
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "sim-data"))
import collect as sim

from dreamgen_bench.envs.defects import Stage
from dreamgen_bench.envs.experts import Actor, record, wanderer
from dreamgen_bench.envs.looks import part_of
from dreamgen_bench.envs.metaworld import BEHAVIORS, GAIN, NUM_FRAMES, STRIDE, MetaWorld
from dreamgen_bench.envs.scenes import SCENES, scene_of

FIRST_SEED = 40_000_000
SHOWN = (0, 3, 6, 9, 12, 16)
"""Frames whose masks are kept."""
PARTS = {"arm": 1, "object": 2}
POSSIBLE = 4
"""Most behaviors of a scene."""
KINDS = {"displaced": 0.45, "wander": 0.15, "performed": 0.4}
RANGE = {"LeverAxis": (-2.4, 0.2)}
"""Where a joint goes elsewhere than its model says: the lever is pulled up, to -2.3, against a range of 0 to 1.57."""
WITHIN = 0.05
"""Of most success predicates: metres from the goal."""
PREDICATE = {
    **dict.fromkeys(["button-press", "coffee-button", "door-lock", "door-unlock"], 0.02),
    **dict.fromkeys(["handle-press", "handle-press-side"], 0.02),
    **dict.fromkeys(["button-press-topdown", "button-press-topdown-wall"], 0.024),
    **dict.fromkeys(["button-press-wall", "drawer-open"], 0.03),
    "drawer-close": 0.065,
    **dict.fromkeys(["coffee-pull", "coffee-push", "dial-turn", "faucet-close", "faucet-open"], 0.07),
    **dict.fromkeys(["peg-insert-side", "peg-unplug-side", "pick-out-of-hole", "pick-place", "pick-place-wall"], 0.07),
    **dict.fromkeys(["plate-slide", "plate-slide-back", "plate-slide-side", "plate-slide-back-side"], 0.07),
    **dict.fromkeys(["push-back", "push-wall", "shelf-place", "soccer"], 0.07),
    **dict.fromkeys(["basketball", "box-close", "door-close", "door-open", "handle-pull-side"], 0.08),
    **dict.fromkeys(["stick-pull", "stick-push"], 0.12),
    "lever-pull": np.pi / 24,
}
"""How near the goal is near enough, by Meta-World's `evaluate_state` of each behavior; the others: WITHIN."""


def apart(env: MetaWorld, info: dict) -> float:
    """How far the state is from the behavior's success, in PREDICATE's terms: what Meta-World compares with it."""
    sim_, goal = env.sim, np.array(env.sim._target_pos)
    thing = np.array(sim_._get_pos_objects()[:3])
    if env.behavior == "door-open":
        return float(abs(thing[0] - goal[0]))
    if env.behavior == "disassemble":  # success is to be above: a height, shifted so that WITHIN is its edge
        return float(max(0.0, goal[2] - thing[2] + WITHIN))
    if env.behavior == "assembly":
        return float(np.linalg.norm(sim_._get_site_pos("RoundNut") - goal))
    if env.behavior == "box-close":
        return float(np.linalg.norm(thing - goal))
    if env.behavior == "hammer":  # the nail's way, success from 9 cm on
        return float(0.09 + WITHIN - env.data.joint("NailSlideJoint").qpos[0])
    if env.behavior == "lever-pull":
        return float(abs(-env.data.joint("LeverAxis").qpos[0] - np.pi / 2))
    return float(info["obj_to_target"])


def margin(behavior: str, far: float) -> float:
    """The predicate in doublings: 0 at its edge, 1 at twice as far, under 0 where it holds; -2 at the goal itself."""
    within = PREDICATE.get(behavior, WITHIN)
    return float(np.log2((far + within / 3) / (within * 4 / 3)))


def states_of(env: MetaWorld, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The behavior's object [17, 3] and the margin of its predicate [17] at each frame."""
    objects, margins = [], []
    for now in qpos:
        env.data.qpos[:] = now
        mujoco.mj_forward(env.model, env.data)
        objects.append(np.array(env.sim._get_pos_objects()[:3], np.float32))
        _, info = env.sim.evaluate_state(env.sim._get_obs(), np.zeros(4, np.float32))
        margins.append(margin(env.behavior, apart(env, info)))
    return np.stack(objects), np.array(margins, np.float32)


def displaced(env: MetaWorld, rng: np.random.Generator) -> np.ndarray:
    """From the start that was reset to: what is no robot goes elsewhere once or twice; qpos [17, nq]."""
    qpos = np.repeat(env.data.qpos[None], NUM_FRAMES, 0)
    for joint in things(env):
        if rng.uniform() < 0.1:
            continue
        first, moment = int(joint.qposadr[0]), int(rng.integers(1, 12))
        free = joint.type[0] == mujoco.mjtJoint.mjJNT_FREE
        for _ in range(2):
            to = _free(env, qpos[moment, first : first + 3], rng) if free else _within(joint, rng)
            steps = min(int(rng.integers(1, 8)), len(qpos) - moment)
            way = np.linspace(0, 1, steps + 1)[1:, None]
            begin = qpos[moment - 1, first : first + len(to)].copy()
            qpos[moment : moment + steps, first : first + len(to)] = begin + way * (to - begin)
            qpos[moment + steps :, first : first + len(to)] = to
            moment += steps + int(rng.integers(1, 6))
            if moment >= len(qpos):
                break
    return qpos


def things(env: MetaWorld) -> list:
    """The joints that are no robot's."""
    joints = [env.model.joint(number) for number in range(env.model.njnt)]
    return [joint for joint in joints if joint.name not in sim.ROBOT]


def _free(env: MetaWorld, now: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where a loose thing goes: about the goal, towards it, or anywhere over the table."""
    goal = np.array(env.sim._target_pos)
    towards = (
        goal + rng.normal(0, rng.choice([0.01, 0.03, 0.08]), 3),
        now + rng.uniform(0, 1.1) * (goal - now) + rng.normal(0, 0.03, 3),
        np.array([rng.uniform(-0.35, 0.35), rng.uniform(0.45, 0.9), now[2] + max(0.0, rng.normal(0, 0.08))]),
    )
    to = towards[rng.choice(3, p=[0.4, 0.3, 0.3])]
    return np.clip(to, [-0.5, 0.35, -0.1], [0.5, 1.0, 0.5])


def _within(joint: mujoco.MjModel, rng: np.random.Generator) -> np.ndarray:
    low, high = RANGE.get(joint.name, joint.range)
    if low == high:
        low, high = -0.15, 0.15
    share = rng.choice([rng.uniform(), rng.uniform(0, 0.15), rng.uniform(0.85, 1)])
    return np.array([low + share * (high - low)])


def beside(places: np.ndarray, rng: np.random.Generator) -> Actor:
    """The hand goes where a thing [17, 3] is by then, a little off: it hides what it would hide if it had moved it."""
    offset, grip, step = rng.normal([0, 0, 0.02], 0.025), rng.choice([-1.0, 1.0]), 0

    def act(state: np.ndarray) -> np.ndarray:
        nonlocal step
        step += 1
        goal = places[min((step - 1) // STRIDE + 1, NUM_FRAMES - 1)] + offset
        return np.append(np.clip((goal - state[:3]) * GAIN, -1, 1), grip)

    return act


def masks(env: MetaWorld, qpos: np.ndarray) -> np.ndarray:
    """What each pixel shows in the frames SHOWN; uint8 [len(SHOWN), 64, 64]."""
    model, data, renderer = env.model, env.data, env.camera._renderer
    of = np.array([PARTS.get(part_of(model, geom), 0) for geom in range(model.ngeom)], np.uint8)
    camera, look = mujoco.MjvCamera(), env.look
    camera.lookat[:], camera.distance = look.lookat, look.distance
    camera.azimuth, camera.elevation = look.azimuth, look.elevation
    found = []
    renderer.enable_segmentation_rendering()
    for t in SHOWN:
        data.qpos[:] = qpos[t]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        renderer.update_scene(data, camera=camera, scene_option=env.camera._option)
        ids, kinds = renderer.render()[::2, ::2].transpose(2, 0, 1)
        known = (kinds == int(mujoco.mjtObj.mjOBJ_GEOM)) & (ids >= 0)
        found.append(np.where(known, of[np.clip(ids, 0, None)], 0))
    renderer.disable_segmentation_rendering()
    return np.stack(found).astype(np.uint8)


def episode(seed: int, behavior: str, *, shown: bool) -> dict:
    """One row of a file; of a behavior that is not to be shown none is performed."""
    rng = np.random.default_rng(seed)
    scene = scene_of(behavior) if rng.uniform() < 0.7 else ""
    kinds = KINDS if shown else {"displaced": 0.85, "wander": 0.15}
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    if kind == "performed":
        env, act, look, _ = sim.begun(seed, rng, behavior, scene)
    else:
        look = sim.drawn_look(rng, *sim.JUDGED)
        env = sim.start(behavior, scene, seed, look)
        act = wanderer(rng, stay=int(rng.integers(10, 64)), place=sim.beside_things(env), speed=rng.uniform(0.3, 1))
    moved = displaced(env, rng) if kind == "displaced" else None
    if moved is not None:
        if rng.uniform() < 0.6:
            act = beside(states_of(env, moved)[0], rng)
        env.reset(seed=seed, options={"look": look})
    camera, env.camera = env.camera, None  # drawn below, where things are by then
    clip = record(env, act)
    env.camera = camera
    qpos = clip.qpos
    if moved is not None:
        for joint in things(env):
            first = int(joint.qposadr[0])
            last = first + (7 if joint.type[0] == mujoco.mjtJoint.mjJNT_FREE else 1)
            qpos[:, first:last] = moved[:, first:last]
    stage = Stage(env=env, recording=replace(clip, qpos=qpos))
    row = {"kind": kind, "states": clip.states, "behaviors": np.full(POSSIBLE, -1)}
    row |= {"frames": np.stack([stage.redraw(t) for t in range(len(qpos))]), "masks": masks(env, qpos)}
    row |= {"objects": np.zeros((POSSIBLE, 17, 3), np.float32), "goals": np.zeros((POSSIBLE, 3), np.float32)}
    row["margins"] = np.zeros((POSSIBLE, 17), np.float32)
    for place, name in enumerate(SCENES[scene].behaviors if scene else (behavior,)):
        other = sim.start(name, scene, seed, look, render=False)
        row["behaviors"][place], row["goals"][place] = BEHAVIORS.index(name), other.sim._target_pos
        row["objects"][place], row["margins"][place] = states_of(other, qpos)
    return row


def write(behavior: str, args: argparse.Namespace) -> str:
    """All of one behavior together: its simulators are built once. Of what is left out twice as many episodes."""
    out, shown = args.out, behavior not in args.left_out.split(",")
    episodes = args.episodes if shown else 2 * args.episodes
    path, started = out / f"states-{behavior}.npz", time.time()
    if path.exists():
        return f"{path.name} is there"
    first = FIRST_SEED + BEHAVIORS.index(behavior) * 10_000
    rows = [episode(first + number, behavior, shown=shown) for number in range(episodes)]
    np.savez(path.with_suffix(".part.npz"), **{k: np.stack([r[k] for r in rows]) for k in rows[0]})
    path.with_suffix(".part.npz").rename(path)
    sim.environment.cache_clear()  # 70 MB each
    return f"{path.name}: {len(rows)} episodes, {time.time() - started:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/state-judge"))
    parser.add_argument("--episodes", type=int, default=120, help="of each behavior")
    parser.add_argument("--behaviors", default=",".join(BEHAVIORS))
    parser.add_argument("--left-out", default="", help="behaviors that nobody performs, by commas")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")  # a forked process inherits a GL library that it can't use
    with ProcessPoolExecutor(args.workers, mp_context=spawn) as pool:
        chosen = args.behaviors.split(",")
        for line in pool.map(write, chosen, [args] * len(chosen)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
