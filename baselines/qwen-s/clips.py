"""The judge's clips and what is asked about them: sound, broken, static and reversed videos with their true answers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import glitches
import numpy as np
import yaml

from dreamgen_bench.envs.defects import DEFECTS, VISIBLE, Stage
from dreamgen_bench.envs.scenes import SCENES, scene_of

INSTRUCTIONS: dict[str, list[str]] = yaml.safe_load(
    (Path(__file__).parents[2] / "dreamgen_bench/envs/instructions.yaml").read_text()
)
BEHAVIORS = list(INSTRUCTIONS)
LEFT_OUT = frozenset(map(BEHAVIORS.index, os.environ.get("LEFT_OUT", "").split()))
"""Behaviors that are neither shown nor asked about, for a judge that is to be examined on behaviors it never met."""
KINDS = list(DEFECTS)
PIXEL_KINDS = ("freeze", "time_warp", "deform", "color_drift")
DRAWN_ANEW = {
    "freeze": 0.26, "time_warp": 0.24, "deform": 0.06, "color_drift": 0.06,
    "appear": 0.14, "vanish": 0.14, "teleport": 0.1,
}  # fmt: skip
"""Kinds of defects that need no simulator, and how often each is drawn: the hard ones more often."""
IN_SIGHT = frozenset({"freeze", "color_drift", "appear"})
"""Kinds of defects after which it can still be seen what was done."""
OFTEN = {"picks": 3}
"""Sets whose clips are drawn more often than others, and how much."""
SUCCESS_WEIGHT = 1.5
"""Of a success's own instruction among the questions: there are fewer of them than of the others."""
PLAIN = 40
"""Pixels of some frame that a glitch must change so that it is plain to see."""
PHYSICS = -1
"""In place of a behavior: the question about physics."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recorded episode, and the same with a defect where there is one."""

    frames: np.ndarray  # uint8 [17, 64, 64, 3]
    behavior: int
    done: frozenset[int]  # behaviors that truly succeeded
    partners: tuple[int, ...]  # other behaviors possible from this first frame
    broken: np.ndarray | None = None
    kind: str = ""
    magnitude: float = 0.0
    how: str = "expert"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A video with questions: (behavior or PHYSICS, answer, weight) each; `kind` names its defect, '' for none."""

    frames: np.ndarray
    questions: list[tuple[int, int, float]]
    behavior: int
    done: frozenset[int] | None  # None where unknown
    kind: str = ""
    magnitude: float = 0.0


@dataclass(kw_only=True)
class Clips:
    """All shards of a folder that exist by now, split by shard number."""

    folder: Path
    held_out: frozenset[str]
    training: list[Clip] = field(default_factory=list)
    validation: list[Clip] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def reload(self, *patterns: str) -> None:
        """Read the shards that have appeared since."""
        for path in sorted(p for pattern in patterns for p in self.folder.glob(pattern)):
            if path.name not in self.seen:
                self.seen.add(path.name)
                kept = self.validation if path.stem in self.held_out else self.training
                clips = [clip for clip in read(path) if clip.behavior not in LEFT_OUT]
                kept.extend(clips * OFTEN.get(path.stem.partition("-")[0], 1))


def read(path: Path) -> list[Clip]:
    """The clips of a shard: judge's, or web's, which all succeeded."""
    with np.load(path) as file:
        shard = {key: file[key] for key in file.files}
    clips = []
    for i, name in enumerate(shard["behavior"]):
        behavior = BEHAVIORS.index(str(name))
        if "done" not in shard:
            partners = [b for b in (SCENES[shard["scene"][i]].behaviors if shard["scene"][i] else ()) if b != name]
            clips.append(_clip(shard, i, behavior, [str(name)], [] if _unsure(str(name)) else partners))
            continue
        partners = [b for b in str(shard["possible"][i]).split() if b != name]
        clips.append(_clip(shard, i, behavior, str(shard["done"][i]).split(), partners))
    return clips


def _unsure(behavior: str) -> bool:
    # A puck that was picked and placed may have been reached for or pushed as well; web shards don't say.
    return scene_of(behavior) == "puck"


def _clip(shard: dict[str, np.ndarray], i: int, behavior: int, done: list[str], partners: list[str]) -> Clip:
    extra = {}
    if "broken" in shard:
        extra = {
            "broken": shard["broken"][i],
            "kind": str(shard["kind"][i]),
            "magnitude": float(shard["magnitude"][i]),
            "how": str(shard["how"][i]),
        }
    return Clip(
        frames=shard["frames"][i],
        behavior=behavior,
        done=frozenset(map(BEHAVIORS.index, done)) - LEFT_OUT,
        partners=tuple(b for b in map(BEHAVIORS.index, partners) if b not in LEFT_OUT),
        **extra,
    )


def other(clip: Clip, rng: np.random.Generator) -> int:
    """A behavior that was not done: one possible from the same first frame where there is one, mostly."""
    near = [b for b in clip.partners if b not in clip.done]
    if near and rng.uniform() < 0.7:
        return int(rng.choice(near))
    out = {clip.behavior, *clip.done, *clip.partners, *LEFT_OUT}
    far = [b for b in range(len(BEHAVIORS)) if b not in out]
    return int(rng.choice(far))


def outcome(clip: Clip, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """What was done and what was not, asked."""
    questions = []
    if clip.done:
        questions.append((int(rng.choice(list(clip.done))), 1, SUCCESS_WEIGHT))
    if clip.behavior not in clip.done:
        questions.append((clip.behavior, 0, 1.5))
    if clip.behavior in clip.done or rng.uniform() < 0.4:
        questions.append((other(clip, rng), 0, 1.0))
    return questions


def sound(clip: Clip, rng: np.random.Generator) -> Asked:
    """The episode as it happened, at times with a block that lies there all along."""
    questions = [(PHYSICS, 1, 1.0), *outcome(clip, rng)]
    frames = with_block(clip.frames, "", rng) if rng.uniform() < 0.12 else clip.frames
    return Asked(frames=frames, questions=questions, behavior=clip.behavior, done=clip.done)


def static(clip: Clip, rng: np.random.Generator) -> Asked:
    """Nothing moves: possible, but nothing is done."""
    frames = np.repeat(clip.frames[:1], len(clip.frames), axis=0)
    questions = [(PHYSICS, 1, 1.0), (clip.behavior, 0, 1.0)]
    return Asked(frames=frames, questions=questions, behavior=clip.behavior, done=frozenset())


def reversed_(clip: Clip, rng: np.random.Generator) -> Asked:
    """What was done is undone; whether that could happen isn't asked."""
    return Asked(frames=clip.frames[::-1], questions=[(clip.behavior, 0, 1.0)], behavior=clip.behavior, done=None)


def broken(clip: Clip, rng: np.random.Generator) -> Asked:
    """The recorded defect, or one drawn anew: of pixels or time, or of a block painted over the frames."""
    if clip.broken is not None and rng.uniform() < 0.6:
        frames, kind, magnitude = clip.broken, clip.kind, clip.magnitude
    else:
        kind = str(rng.choice(list(DRAWN_ANEW), p=list(DRAWN_ANEW.values())))
        magnitude = float(rng.uniform(0, VISIBLE) if rng.uniform() < 0.2 else rng.uniform(VISIBLE, 1))
        if kind in PIXEL_KINDS:
            frames = pixel_defect(clip.frames, kind, magnitude, rng)
        else:
            frames, magnitude = with_block(clip.frames, kind, rng), 1.0
    weight = 0.25 if abs(magnitude - VISIBLE) < 0.05 else 1.0
    questions = [(PHYSICS, int(magnitude < VISIBLE), weight), *(outcome(clip, rng) if kind in IN_SIGHT else ())]
    return Asked(frames=frames, questions=questions, behavior=clip.behavior, done=None, kind=kind, magnitude=magnitude)


def glitched(clip: Clip, another: Clip, rng: np.random.Generator) -> Asked:
    """The episode with a glitch of the picture; auxiliary questions have no class for it."""
    for _ in range(8):
        name = str(rng.choice(list(glitches.GLITCHES)))
        frames = glitches.GLITCHES[name](clip.frames, another.frames, rng)
        # A mirrored wall is still that wall: what can't be seen is not asked about.
        changed = (np.abs(frames.astype(np.int16) - clip.frames).max(-1) > 30).sum((1, 2)).max()
        if changed >= PLAIN:
            break
    questions = [(PHYSICS, int(changed < PLAIN), 1.0), *(outcome(clip, rng) if name in glitches.IN_SIGHT else ())]
    return Asked(frames=frames, questions=questions, behavior=clip.behavior, done=None)


def smeared(clip: Clip, rng: np.random.Generator) -> Asked:
    """A success in which nothing can be made out: nobody could say that it was done. Physics is not asked about."""
    frames = glitches.smeared(clip.frames, rng)
    return Asked(frames=frames, questions=[(clip.behavior, 0, 1.0)], behavior=clip.behavior, done=None)


def ended(clip: Clip, another: Clip, rng: np.random.Generator) -> Asked:
    """A success whose end nobody sees, or that never begins."""
    base = clip.frames if rng.uniform() < 0.6 else np.repeat(clip.frames[:1], len(clip.frames), 0)
    frames = glitches.ended(base, another.frames, rng)
    questions = [(PHYSICS, 0, 1.0), (clip.behavior, 0, SUCCESS_WEIGHT)]
    return Asked(frames=frames, questions=questions, behavior=clip.behavior, done=None)


def ignored(clip: Clip, rng: np.random.Generator) -> Asked:
    """The hand does it and every thing stays where it was. Whether that could happen isn't asked."""
    questions = [(clip.behavior, 0, SUCCESS_WEIGHT)]
    return Asked(frames=clip.broken, questions=questions, behavior=clip.behavior, done=None)


def with_block(frames: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A block painted over still parts of the frames, which appears, vanishes or teleports, or (kind '') stays."""
    height, width = rng.integers(4, 12, 2)
    side, start = frames.shape[1], int(rng.integers(3, len(frames) - 6))
    motion = np.abs(frames[::4].astype(np.int16) - frames[0]).max((0, 3))
    places = np.stack([rng.integers(16, side - height, 6), rng.integers(0, side - width, 6)], axis=1)
    stir = [motion[y : y + height, x : x + width].sum() for y, x in places]
    (y, x), (y2, x2) = places[np.argsort(stir)[:2]]
    if abs(y2 - y) + abs(x2 - x) < 6:
        x2 = x + 8 if x < side // 2 else x - 8
        x2 = int(np.clip(x2, 0, side - width))
    color = 255 * rng.permutation([rng.uniform(0.7, 1), rng.uniform(0, 0.4), rng.uniform(0, 1)]) * rng.uniform(0.5, 1)
    block = np.broadcast_to(color, (height, width, 3)).copy()
    block[: height // 2] *= rng.uniform(0.9, 1.2)  # the lit top
    painted = frames.copy()
    for t in range(len(frames)):
        late = t >= start
        if kind == "appear" and not late or kind == "vanish" and late:
            continue
        top, left = (y2, x2) if kind == "teleport" and late else (y, x)
        painted[t, top : top + height, left : left + width] = np.clip(block, 0, 255)
    return painted


def pixel_defect(frames: np.ndarray, kind: str, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """A defect that needs no simulator, by the benchmark's own arithmetic, the most visible of four draws."""

    stage = Stage(env=None, recording=SimpleNamespace(frames=frames))
    defect = DEFECTS[kind]

    def visibility(particulars: dict) -> float:
        shown = (defect.frame(stage, particulars, magnitude, t) for t in range(2, len(frames), 4))
        pairs = zip(shown, frames[2::4], strict=True)
        return sum(float(np.abs(f[::2, ::2].astype(int) - g[::2, ::2]).mean()) for f, g in pairs)

    best = max((defect.draw(stage, rng) for _ in range(4)), key=visibility)
    return np.stack([defect.frame(stage, best, magnitude, t) for t in range(len(frames))])


def jittered(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same clip from a camera moved by up to 3 pixels, in a slightly different light; constant over time."""
    rows, columns = (np.clip(np.arange(64) + rng.integers(-3, 4), 0, 63) for _ in range(2))
    light = np.clip(np.arange(256)[:, None] * rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3), 0, 255)
    moved = frames[:, rows[:, None], columns]
    return np.stack([light[:, c].astype(np.uint8)[moved[..., c]] for c in range(3)], axis=-1)
