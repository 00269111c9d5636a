"""The true states behind the judge's clips of baselines/sim-data: `python collect.py DATA --out DIR --shards 20`.

An episode's seed is its place in its shard, so it can be simulated again. Written for some frames of each clip: what
each pixel shows (0 surroundings, 1 arm, 2 objects), the hand, and for every behavior that is possible from the first
frame where its object is, where it should come to, and whether it succeeded.
"""

import argparse
import sys
import time
from pathlib import Path

import mujoco
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "sim-data"))
import collect as sim

from dreamgen_bench.envs.experts import record, replay
from dreamgen_bench.envs.looks import part_of
from dreamgen_bench.envs.metaworld import BEHAVIORS, MetaWorld
from dreamgen_bench.envs.scenes import SCENES, scene_of

SHOWN = (0, 3, 6, 9, 12, 16)
"""Frames whose masks are kept."""
PARTS = {"arm": 1, "object": 2}
HELD_OUT = (3, 7)
"""Shards that calibrate, of the other judge too."""
POSSIBLE = 4
"""Most behaviors of a scene."""


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


def objects(env: MetaWorld, qpos: np.ndarray) -> np.ndarray:
    """Where the behavior's object is at each frame; float32 [17, 3]."""
    found = []
    for now in qpos:
        env.data.qpos[:] = now
        mujoco.mj_forward(env.model, env.data)
        found.append(np.array(env.sim._get_pos_objects()[:3], np.float32))
    return np.stack(found)


def episode(seed: int) -> dict:
    """One row of a shard."""
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[seed % len(BEHAVIORS)]
    scene = scene_of(behavior) if rng.uniform() < 0.7 else ""
    env, act, look, _ = sim.begun(seed, rng, behavior, scene)
    camera, env.camera = env.camera, None  # its frames are in the data already
    clip = record(env, act)
    env.camera = camera
    row = {"states": clip.states, "masks": masks(env, clip.qpos), "behaviors": np.full(POSSIBLE, -1)}
    row |= {"objects": np.zeros((POSSIBLE, 17, 3), np.float32), "goals": np.zeros((POSSIBLE, 3), np.float32)}
    row["done"] = np.zeros(POSSIBLE, bool)
    for place, name in enumerate(SCENES[scene].behaviors if scene else (behavior,)):
        other = sim.start(name, scene, seed, look, render=False)
        row["behaviors"][place], row["goals"][place] = BEHAVIORS.index(name), other.sim._target_pos
        row["done"][place] = clip.success if name == behavior else replay(other, clip.waypoints)
        row["objects"][place] = objects(other, clip.qpos)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/state-judge"))
    parser.add_argument("--shards", type=int, default=20)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    first = sim.FIRST_SEED * (1 + sim.SEED_OF["judge"])
    for place, behavior in enumerate(BEHAVIORS):  # all of one behavior together: its simulator is built once
        path, started = args.out / f"states-{behavior}.npz", time.time()
        if path.exists():
            continue
        chosen = [shard for shard in range(args.shards) if shard not in HELD_OUT]
        rows = [{"shard": shard, "place": place} | episode(first + shard * sim.SHARD + place) for shard in chosen]
        np.savez_compressed(path.with_suffix(".part.npz"), **{k: np.stack([r[k] for r in rows]) for k in rows[0]})
        path.with_suffix(".part.npz").rename(path)
        sim.environment.cache_clear()  # 70 MB each
        print(f"{path.name}: {len(rows)} episodes, {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
