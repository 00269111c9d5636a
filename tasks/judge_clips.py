"""Build the suite of clips that judges are examined on: `python tasks/judge_clips.py` (see ground_truth.py).

Half of the clips are sound. Of the others each has one defect, drawn from the eight kinds of `defects.DEFECTS` and the
six of `novelties.NOVELTIES`, of a magnitude well above `VISIBLE`, and of those that change next to nothing in this
episode (a freeze where nothing moves) another episode is taken: of a ground truth nobody must doubt. Seeds and drawn
looks lie under those of any training set and over those of the other suites.
"""

import dataclasses
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml

from dreamgen_bench.envs import start
from dreamgen_bench.envs.defects import DEFECTS
from dreamgen_bench.envs.experts import replay
from dreamgen_bench.envs.metaworld import BEHAVIORS
from dreamgen_bench.envs.novelties import NOVELTIES
from dreamgen_bench.envs.scenes import SCENES, scene_of
from dreamgen_bench.ground_truth import HOW, Recipe, digest_of, drawn, record_of

FOLDER = Path(__file__).parent / "metaworld-judge-v1"
INSTRUCTIONS = yaml.safe_load((FOLDER.parents[1] / "dreamgen_bench/envs/instructions.yaml").read_text("utf-8"))
SOUND, SEEN, UNSEEN = 384, 28, 26
"""Clips that are sound; of each kind that judges were trained on; of each that none was."""
FIRST_SEED, ATTEMPTS = 80_000, 12
LEVELS = {"medium": (0.4, 0.65), "severe": (0.65, 1.0)}
LOOKS = ("lab", "lab", "object", "environment", "environment", "web")
SHOWN_TO_THE_END = ("freeze", "color_drift", "appear", "flicker", "duplicate", "ghost")
"""Kinds that leave the last frames as telling as they were: what became of the instruction can be asked."""
PIXELS, CHANGE = 12, 20
"""A defect is to change so many pixels by so much in some frame, and a third of that in three frames."""


def clip(number: int) -> Recipe:
    """The recipe of one clip, with its truth."""
    kinds = [kind for kind in DEFECTS for _ in range(SEEN)] + [kind for kind in NOVELTIES for _ in range(UNSEEN)]
    kind = "" if number < SOUND else kinds[number - SOUND]
    for attempt in range(ATTEMPTS):
        recipe = tried(number, kind, FIRST_SEED + 1000 * attempt + number)
        if recipe is not None:
            return recipe
    raise RuntimeError(f"clip {number}: no episode in which {kind} can be seen")


def tried(number: int, kind: str, seed: int) -> Recipe | None:
    """The recipe from one seed; None where the defect can't be seen."""
    rng = np.random.default_rng(seed)
    behavior = BEHAVIORS[number % len(BEHAVIORS)]
    scene = scene_of(behavior) if rng.uniform() < 0.7 else ""
    look = str(rng.choice(LOOKS))
    shares = [0.55, 0.15, 0.15, 0.05, 0.1, 0.0] if kind else [0.55, 0.15, 0.1, 0.08, 0.08, 0.04]
    level = str(rng.choice(list(LEVELS))) if kind else ""
    others = [other for other in (SCENES[scene].behaviors if scene else ()) if other != behavior]
    recipe = Recipe(
        id=f"{number:03d}-{behavior}-{kind or 'sound'}",
        behavior=behavior,
        scene=scene,
        seed=seed,
        look=look if look == "lab" else f"{look}-{seed}",
        how=str(rng.choice(HOW, p=shares)),
        instruction="",
        asked=str(rng.choice(others)) if others and not kind and rng.uniform() < 0.3 else behavior,
        sound=not kind,
        fulfilled=None,
        kind=kind,
        magnitude=round(float(rng.uniform(*LEVELS[level])), 3) if kind else 0.0,
        level=level,
        # Our judges were trained on every behavior, and on drawn looks of the same kinds with other numbers.
        held_out={"kind": kind in NOVELTIES, "behavior": False, "look": False},
    )
    truth = {} if kind and kind not in SHOWN_TO_THE_END else {"fulfilled": fulfilled(recipe)}
    words = INSTRUCTIONS[recipe.asked]
    recipe = dataclasses.replace(recipe, instruction=words[int(rng.integers(len(words)))], **truth)
    frames = drawn(recipe)
    if kind and not seen(frames, record_of(recipe)[1].frames):
        return None
    return dataclasses.replace(recipe, frames=digest_of(frames))


def fulfilled(recipe: Recipe) -> bool:
    """Whether what the instruction asks for truly happened in the simulator."""
    if recipe.how == "static":
        return False
    recording = record_of(recipe)[1]
    if recipe.asked == recipe.behavior:
        return recording.success
    return replay(start(recipe.asked, recipe.scene, recipe.seed, recipe.look, render=False), recording.waypoints)


def seen(frames: np.ndarray, true: np.ndarray) -> bool:
    """Whether a defect changes the pictures."""
    changed = sorted((np.abs(frames.astype(int) - true).max(-1) > CHANGE).sum((1, 2)))
    return changed[-1] >= PIXELS and changed[-3] >= PIXELS // 3


def main() -> None:
    count = SOUND + SEEN * len(DEFECTS) + UNSEEN * len(NOVELTIES)
    FOLDER.mkdir(exist_ok=True)
    part = FOLDER / "clips.part"
    there = {json.loads(line)["id"][:3] for line in part.read_text("utf-8").splitlines()} if part.exists() else set()
    # Clips of one behavior stand fifty apart: together they need its simulator once.
    order = sorted(range(count), key=lambda number: (number % len(BEHAVIORS), number))
    missing = [number for number in order if f"{number:03d}" not in there]
    spawn = get_context("spawn")  # a forked process inherits a GL library that it can't use
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool, part.open("a", encoding="utf-8") as file:
        for recipe in pool.map(clip, missing, chunksize=4):
            file.write(json.dumps(dataclasses.asdict(recipe), ensure_ascii=False) + "\n")
            file.flush()
    lines = sorted(part.read_text("utf-8").splitlines(keepends=True))
    (FOLDER / "clips.jsonl").write_text("".join(lines), "utf-8")
    part.unlink()
    recipes = [Recipe(**json.loads(line)) for line in lines]
    asked = [recipe for recipe in recipes if recipe.fulfilled is not None]
    print(f"{len(recipes)} clips, {sum(r.sound for r in recipes)} sound; instruction asked of {len(asked)}, "
          f"fulfilled in {sum(bool(r.fulfilled) for r in asked)}")  # fmt: skip


if __name__ == "__main__":
    main()
