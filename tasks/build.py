"""Build the sim-track suites: `python tasks/build.py [SUITE ...]`. Anyone who runs it gets the same digests.

A start (behavior, scene, seed, look) is taken into a suite only if the scripted expert succeeds from it within the
video's length, and succeeds again when its waypoints are replayed open loop: then a failure is the world model's.
"""

import json
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from dreamgen_bench.envs.experts import expert, record, replay
from dreamgen_bench.envs.metaworld import BEHAVIORS, FPS, NUM_FRAMES, MetaWorld
from dreamgen_bench.envs.scenes import SCENES

HERE = Path(__file__).parent
INSTRUCTIONS = yaml.safe_load((HERE.parent / "dreamgen_bench/envs/instructions.yaml").read_text("utf-8"))
PICK_AND_PLACE = ("pick-place", "pick-place-wall", "shelf-place", "bin-picking", "basketball")
POLICY_BEHAVIORS = ("button-press", "button-press-topdown", "door-open", "drawer-open", "faucet-open", "window-open")
NEW_BEHAVIORS = (
    *("button-press", "button-press-topdown", "button-press-topdown-wall", "button-press-wall", "coffee-button"),
    *("coffee-push", "dial-turn", "door-close", "door-lock", "door-open", "door-unlock", "drawer-close", "drawer-open"),
    *("faucet-close", "faucet-open", "handle-press", "handle-press-side", "plate-slide", "plate-slide-back"),
    *("plate-slide-back-side", "plate-slide-side", "reach-wall", "window-close", "window-open"),
)
"""What neural trajectories are to teach that no teleoperation showed: 24, chosen before any policy saw one."""
ELSEWHERE = ("pick-place", *NEW_BEHAVIORS[::2])
"""The behavior that teleoperation shows and every second one of the new, in rooms never seen (the paper: 6 and 7)."""
GROUPS = ("coffee", "door", "drawer", "faucet", "plate", "puck", "window")

DESCRIPTIONS = {
    "metaworld-seen-v1": "Pick-and-place in the lab at new positions: the behavior that teleoperation data shows.",
    "metaworld-object-v1": "Pick-and-place of objects never seen: new colors, sizes and kinds.",
    "metaworld-behavior-v1": "Behaviors never seen in teleoperation data, in the lab.",
    "metaworld-environment-v1": "Behaviors seen and new in rooms never seen: table, floor, light and objects drawn.",
    "metaworld-policy-v1": "Starts from which neural trajectories are dreamed, to train a policy of six behaviors.",
    "metaworld-policy-v2": "Starts from which neural trajectories of 24 behaviors never teleoperated are dreamed, "
    "in the lab.",
    "metaworld-policy-environment-v1": "Starts from which neural trajectories are dreamed in rooms never seen.",
}


@cache
def environment(behavior: str, scene: str) -> MetaWorld:
    return MetaWorld(behavior, scene=scene)


@cache
def feasible(behavior: str, scene: str, seed: int, look: str) -> bool:
    env = environment(behavior, scene)
    env.reset(seed=seed, options={"look": look})
    camera, env.camera = env.camera, None  # nothing is drawn: ten times faster
    try:
        clip = record(env, expert(env))
        env.reset(seed=seed, options={"look": look})
        return clip.success and replay(env, clip.waypoints)
    finally:
        env.camera = camera


def group_seeds(scene: str, behaviors: tuple[str, ...], count: int, *, first: int, look) -> list[int]:
    """The first seeds from which every behavior of the group can be done."""
    found, seed = [], first
    while len(found) < count:
        if all(feasible(behavior, scene, seed, look(seed)) for behavior in behaviors):
            found.append(seed)
        seed += 1
        if seed > first + 60:
            raise RuntimeError(f"{behaviors} from {scene or 'their own start'}: the expert hardly ever succeeds")
    return found


def rows_of(behavior: str, scene: str, seeds: list[int], *, look, group: str = "") -> list[dict]:
    return [
        {
            "id": f"{behavior}-{seed}",
            "behavior": behavior,
            "group": f"{group}-{seed}" if group else "",
            "state": {"behavior": behavior, "scene": scene, "seed": seed, "look": look(seed)},
        }
        for seed in seeds
    ]


def singles(behaviors, count: int, *, first: int, look) -> list[dict]:
    rows = []
    for behavior in behaviors:
        scene = "puck" if behavior in SCENES["puck"].vectors else ""
        rows += rows_of(behavior, scene, group_seeds(scene, (behavior,), count, first=first, look=look), look=look)
    return rows


def groups(scenes, count: int, *, first: int, look, without: tuple[str, ...] = ()) -> list[dict]:
    rows = []
    for scene in scenes:
        behaviors = tuple(b for b in SCENES[scene].behaviors if b not in without)
        seeds = group_seeds(scene, behaviors, count, first=first, look=look)
        for behavior in behaviors:
            rows += rows_of(behavior, scene, seeds, look=look, group=scene)
    return rows


def seen() -> list[dict]:
    return singles(["pick-place"], 50, first=1000, look=lambda seed: "lab")


def objects() -> list[dict]:
    look = lambda seed: f"object-{seed}"  # noqa: E731
    return singles(["pick-place"], 18, first=2000, look=look) + singles(PICK_AND_PLACE[1:], 8, first=2000, look=look)


def behavior() -> list[dict]:
    lab = lambda seed: "lab"  # noqa: E731
    rows = groups(GROUPS, 2, first=3000, look=lab, without=("pick-place",))
    grouped = {row["behavior"] for row in rows}
    others = [b for b in BEHAVIORS if b not in grouped and b not in PICK_AND_PLACE]
    return rows + singles([b for b in others if b not in SLOW], 1, first=3100, look=lab)


# Often longer than the video, or (handle-pull) lost when replayed: a waypoint says where the hand is, not how it pulls.
SLOW = ("push-back", "disassemble", "peg-unplug-side", "peg-insert-side", "box-close", "handle-pull")


def environments() -> list[dict]:
    look = lambda seed: f"environment-{seed}"  # noqa: E731
    rows = singles(["pick-place"], 12, first=4000, look=look) + groups(GROUPS[:5], 2, first=4100, look=look)
    more = ("button-press", "handle-press", "hammer", "soccer", "lever-pull", "dial-turn", "push", "reach")
    return rows + singles(more, 2, first=4200, look=look)


def policy() -> list[dict]:
    rows = []
    for name in POLICY_BEHAVIORS:
        look = lambda seed: "lab"  # noqa: E731
        rows += rows_of(name, "", group_seeds("", (name,), 24, first=5000, look=look), look=look)
    return rows


def policy_new() -> list[dict]:
    return singles(NEW_BEHAVIORS, 12, first=6000, look=lambda seed: "lab")


def policy_environment() -> list[dict]:
    return singles(ELSEWHERE, 12, first=6500, look=lambda seed: f"environment-{seed}")


SUITES = {
    "metaworld-seen-v1": seen,
    "metaworld-object-v1": objects,
    "metaworld-behavior-v1": behavior,
    "metaworld-environment-v1": environments,
    "metaworld-policy-v1": policy,
    "metaworld-policy-v2": policy_new,
    "metaworld-policy-environment-v1": policy_environment,
}
# Those whose own videos train the policy; the others are only scored, and say whose do.
OWN = ("metaworld-policy-v2", "metaworld-policy-environment-v1")


def write(name: str, rows: list[dict]) -> None:
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    (target / "frames").mkdir(parents=True)
    header = {
        "name": name,
        "track": "sim",
        "description": DESCRIPTIONS[name],
        "license": "Apache-2.0 (pictures of Meta-World, MIT)",
        "environment": "metaworld",
        "fps": FPS,
        "num_frames": NUM_FRAMES,
    }
    if name != "metaworld-policy-v1":
        header["trajectories"] = name if name in OWN else "metaworld-policy-v1"
    (target / "suite.yaml").write_text(yaml.safe_dump(header, sort_keys=False), "utf-8")
    rng = np.random.default_rng(7)
    drawn: dict[str, np.ndarray] = {}
    with (target / "tasks.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            frame = f"frames/{row['group'] or row['id']}.png"
            row |= {"instruction": str(rng.choice(INSTRUCTIONS[row["behavior"]])), "first_frame": frame}
            state = row["state"]
            env = environment(state["behavior"], state["scene"])
            picture = env.reset(seed=state["seed"], options={"look": state["look"]})[0]["image"]
            if frame in drawn and not np.array_equal(drawn[frame], picture):
                raise RuntimeError(f"{row['id']}: the group's first frames differ")
            drawn[frame] = picture
            Image.fromarray(picture).save(target / frame, optimize=True)
            file.write(json.dumps(row) + "\n")
    (target / "README.md").write_text(readme(name, rows), "utf-8")
    print(f"{name}: {len(rows)} tasks, {len({r['behavior'] for r in rows})} behaviors, {len(drawn)} first frames")


def readme(name: str, rows: list[dict]) -> str:
    behaviors = sorted({row["behavior"] for row in rows})
    text = (
        f"# {name}\n\n{DESCRIPTIONS[name]}\n\n{len(rows)} tasks, {len(behaviors)} behaviors: {', '.join(behaviors)}.\n"
    )
    shared: dict[str, list[dict]] = {}
    for row in rows:
        if row["group"]:
            shared.setdefault(row["group"], []).append(row)
    if shared:
        text += f"\n{len(shared)} groups share one first frame under different instructions:\n\n"
        text += "| group | tasks |\n|---|---|\n"
        for group, members in shared.items():
            text += f"| {group} | {'; '.join(m['behavior'] + ': “' + m['instruction'] + '”' for m in members)} |\n"
    return text + "\nMade by `python tasks/build.py`; frozen: a correction is a new version. Do not edit.\n"


if __name__ == "__main__":
    for suite in sys.argv[1:] or SUITES:
        write(suite, SUITES[suite]())
