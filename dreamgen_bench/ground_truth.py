"""Clips whose truth the simulator knows: a suite of recipes, drawn on the user's machine when a judge is examined.

A folder tasks/<suite>/ with clips.jsonl, one recipe a line: where an episode starts, who moves the arm, what was broken
in the recording, what the judge is asked, and the truth of both questions. The repository holds no video: the same
recipe draws the same pictures, and a digest in the row says whether they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import suites
from .envs import start
from .types import UserError, Video
from .video import encode

if TYPE_CHECKING:
    from .envs.experts import Actor, Recording
    from .envs.metaworld import MetaWorld

RECIPES = "clips.jsonl"
HOW = ("expert", "noisy", "clumsy", "stopping", "wander", "static")
RATER = "simulator"
_BLOCK = 16


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One clip of known truth."""

    id: str
    behavior: str
    scene: str
    seed: int
    look: str
    how: str  # one of HOW: who moved the arm
    instruction: str
    asked: str  # the behavior that the instruction asks for
    sound: bool  # true PA
    fulfilled: bool | None  # true IF; null where the defect hides what became of it
    kind: str = ""  # of the defect; '' for none
    magnitude: float = 0.0
    level: str = ""  # medium or severe
    held_out: dict[str, bool] = field(default_factory=dict)  # kind, behavior, look: never in the training of our judges
    frames: str = ""  # sha256 of uint8 [T, H, W, 3]


def names() -> list[str]:
    """The suites of recipes that come with the package."""
    return sorted(path.parent.name for path in suites.folder().glob(f"*/{RECIPES}"))


def read(name: str) -> list[Recipe]:
    """The recipes of a suite by name or folder. Raises UserError with the line of what is no recipe."""
    folder = Path(name) if Path(name, RECIPES).is_file() else suites.folder() / name
    recipes = []
    for number, line in enumerate((folder / RECIPES).read_text("utf-8").splitlines(), 1):
        try:
            recipes.append(Recipe(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise UserError(f"{folder / RECIPES}:{number}: is no recipe of a clip: {error}") from error
    return recipes


def record_of(recipe: Recipe) -> tuple[MetaWorld, Recording]:
    """The episode as it truly was, and the environment that it was recorded in."""
    from .envs.experts import record

    env = start(recipe.behavior, recipe.scene, recipe.seed, recipe.look)
    return env, record(env, _actor(env, recipe))


def _actor(env: MetaWorld, recipe: Recipe) -> Actor:
    from .envs.experts import expert, noisy, stopping, wanderer

    rng = np.random.default_rng([recipe.seed, HOW.index(recipe.how)])
    makers: dict[str, Callable[[], Actor]] = {
        "expert": lambda: expert(env),
        "noisy": lambda: noisy(expert(env), rng, sigma=0.1),
        "clumsy": lambda: noisy(expert(env), rng, sigma=rng.uniform(0.3, 0.8)),
        "stopping": lambda: stopping(expert(env), after=int(rng.integers(8, 50))),
        "wander": lambda: wanderer(rng, stay=int(rng.integers(20, 50))),
        "static": lambda: stopping(expert(env), after=0),
    }
    return makers[recipe.how]()


def drawn(recipe: Recipe) -> np.ndarray:
    """The clip's pictures; uint8 [T, H, W, 3]."""
    env, recording = record_of(recipe)
    if recipe.how == "static":
        return np.repeat(recording.frames[:1], len(recording.frames), axis=0)
    return _broken(recipe, recording) if recipe.kind else recording.frames


def _broken(recipe: Recipe, recording: Recording) -> np.ndarray:
    from .envs.defects import DEFECTS, Stage, broken_by
    from .envs.novelties import NOVELTIES

    env = start(recipe.behavior, recipe.scene, recipe.seed, recipe.look)
    defect = (DEFECTS | NOVELTIES)[recipe.kind]
    return broken_by(defect, Stage(env=env, recording=recording), magnitude=recipe.magnitude, seed=recipe.seed)


def digest_of(frames: np.ndarray) -> str:
    """What a recipe's `frames` holds."""
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()[:16]


def prepare(name: str, *, workers: int = 2, told: Callable[[int, int], None] = lambda done, planned: None) -> Path:
    """A folder with labels.jsonl and every clip of a suite; drawn in processes where the cache lacks it.

    `told` hears how many clips are there, and of how many. A clip that comes out otherwise than its digest says
    (another graphics driver draws other pixels) is kept, and told by `differing`.
    """
    recipes = read(name)
    text = json.dumps([asdict(recipe) for recipe in recipes], sort_keys=True)
    out = cache_folder() / f"{Path(name).name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    (out / "clips").mkdir(parents=True, exist_ok=True)
    # Clips of one environment together: building its simulator takes longer than an episode.
    missing = sorted((r for r in recipes if not _file(out, r).exists()), key=lambda r: (r.behavior, r.scene))
    blocks = [missing[i : i + _BLOCK] for i in range(0, len(missing), _BLOCK)]
    told(len(recipes) - len(missing), len(recipes))
    if blocks:
        # A forked process inherits a GL library that it can't use.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            there = len(recipes) - len(missing)
            for block in pool.map(_write, blocks, [out] * len(blocks)):
                there += block
                told(there, len(recipes))
    rows = [json.dumps(row, ensure_ascii=False) + "\n" for recipe in recipes for row in labels_of(recipe)]
    (out / "labels.jsonl").write_text("".join(rows), "utf-8")
    return out


def _write(block: Sequence[Recipe], out: Path) -> int:
    from .envs.metaworld import FPS

    for recipe in block:
        frames = drawn(recipe)
        path = _file(out, recipe)
        # The digest is of what was drawn, before any coding: it stands beside the clip for `differing`.
        path.with_suffix(".sha256").write_text(digest_of(frames))
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_bytes(encode(Video(frames=frames, fps=FPS)))
        temporary.rename(path)
    return len(block)


def _file(out: Path, recipe: Recipe) -> Path:
    return out / "clips" / f"{recipe.id}.mp4"


def differing(name: str, out: Path) -> list[str]:
    """Ids of clips that this machine drew otherwise than the suite's makers did."""
    return [r.id for r in read(name) if _file(out, r).with_suffix(".sha256").read_text() != r.frames]


def labels_of(recipe: Recipe) -> list[dict[str, Any]]:
    """The rows of labels of a clip, in the format of `labels`: PA, and IF where its truth is known."""
    row = {
        "id": recipe.id,
        "video": f"clips/{recipe.id}.mp4",
        "instruction": recipe.instruction,
        "rater": RATER,
        "behavior": recipe.behavior,
        "look": recipe.look.partition("-")[0],
        "defect": recipe.kind or "none",
        "level": recipe.level or "none",
        "how": recipe.how,
        "held_out": " ".join(sorted(name for name, held in recipe.held_out.items() if held)) or "nothing",
    }
    rows = [row | {"rubric": "PA", "label": int(recipe.sound)}]
    if recipe.fulfilled is not None:
        rows.append(row | {"rubric": "IF", "label": int(recipe.fulfilled)})
    return rows


@cache
def cache_folder() -> Path:
    """Where what can be drawn again is kept: $XDG_CACHE_HOME/dreamgen-bench, by default in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dreamgen-bench"
