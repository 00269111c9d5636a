"""What pictures suffer that no camera does: fourteen kinds that need no simulator, and are no kind of any suite.

Told eight tricks, a judge knows eight tricks; these are to make it suspicious of others. Each takes the frames uint8
[T, H, W, 3] of a sound clip, those of another, and a generator, and is plain to see from some frame on. Two more were
written and left out, single frames of another light and a piece that is there twice: they are too near to the kinds
`flicker` and `duplicate`, on which judges are examined as unseen. `smeared` and `ended` are for the other question:
what nobody can see nobody can call done.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

Frames = np.ndarray


def _onset(frames: Frames, rng: np.random.Generator) -> int:
    return int(rng.integers(3, len(frames) - 5))


def _box(frames: Frames, rng: np.random.Generator, low: int, high: int) -> tuple[slice, slice]:
    """Somewhere in what moves, since the rest of a picture is mostly empty."""
    side = frames.shape[1]
    moving = np.argwhere(np.abs(frames[::3].astype(np.int16) - frames[0]).max((0, 3)) > 40)
    y, x = moving[rng.integers(len(moving))] if len(moving) else rng.integers(16, side - 16, 2)
    height, width = rng.integers(low, high, 2)
    top, left = (int(np.clip(at - size // 2, 0, side - size)) for at, size in ((y, height), (x, width)))
    return slice(top, top + height), slice(left, left + width)


def mosaic(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of the picture falls into squares."""
    out, start, size = frames.copy(), _onset(frames, rng), int(rng.choice([4, 8]))
    rows, columns = _box(frames, rng, 20, 44)
    coarse = frames[:, size // 2 :: size, size // 2 :: size].repeat(size, 1).repeat(size, 2)
    out[start:, rows, columns] = coarse[start:, rows, columns]
    return out


def dissolve(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """Another clip shines through, more and more."""
    start = _onset(frames, rng)
    share = np.clip((np.arange(len(frames)) - start + 1) / rng.integers(2, 6), 0, 1) * rng.uniform(0.25, 0.7)
    share = share[:, None, None, None]
    return (frames * (1 - share) + other * share).astype(np.uint8)


def splice(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """It goes on as another clip, here or in a part of the picture."""
    out, start = frames.copy(), _onset(frames, rng)
    rows, columns = (slice(None), slice(None)) if rng.uniform() < 0.3 else _box(frames, rng, 16, 48)
    out[start:, rows, columns] = other[start:, rows, columns]
    return out


def tear(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """Some rows are out of line."""
    out, start = frames.copy(), _onset(frames, rng)
    rows, by = _box(frames, rng, 6, 24)[0], int(rng.choice([-1, 1]) * rng.integers(4, 16))
    out[start:, rows] = np.roll(frames[start:, rows], by, axis=2)
    return out


def hole(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of what moves is covered by a color of its surroundings."""
    out, start = frames.copy(), _onset(frames, rng)
    rows, columns = _box(frames, rng, 6, 18)
    edge = frames[0, rows, max(0, columns.start - 2)].mean(0)
    out[start:, rows, columns] = (edge * rng.uniform(0.8, 1.2)).clip(0, 255)
    return out


def late(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of the picture is some frames behind the rest."""
    out, start, by = frames.copy(), _onset(frames, rng), int(rng.integers(2, 7))
    rows, columns = _box(frames, rng, 14, 44)
    for t in range(start, len(frames)):
        out[t, rows, columns] = frames[max(0, t - by), rows, columns]
    return out


def stale(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of the picture is as it was at first, whatever passes through it."""
    out, start = frames.copy(), _onset(frames, rng)
    rows, columns = _box(frames, rng, 12, 36)
    out[start:, rows, columns] = frames[0, rows, columns]
    return out


def jolt(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """The camera jumps, once or in every frame."""
    out, start, often = frames.copy(), _onset(frames, rng), rng.uniform() < 0.5
    by = rng.choice([-1, 1], 2) * rng.integers(2, 7, 2)
    for t in range(start, len(frames)):
        out[t] = np.roll(frames[t], by * (t % 2 if often else 1), axis=(0, 1))
    return out


def mirror(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of the picture changes its sides."""
    out, start = frames.copy(), _onset(frames, rng)
    rows, columns = _box(frames, rng, 16, 40)
    out[start:, rows, columns] = frames[start:, rows, columns][:, :, ::-1]
    return out


def resize(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of the picture is drawn in another size."""
    out, start, scale = frames.copy(), _onset(frames, rng), float(rng.choice([0.5, 0.65, 1.5, 2.0]))
    rows, columns = _box(frames, rng, 16, 40)
    side, height, width = frames.shape[1], rows.stop - rows.start, columns.stop - columns.start
    y, x = (
        np.clip((np.arange(n) - n / 2) / scale + n / 2 + span.start, 0, side - 1).astype(int)
        for n, span in ((height, rows), (width, columns))
    )
    out[start:, rows, columns] = frames[start:, y[:, None], x]
    return out


def recolor(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """A part of what moves takes another color."""
    out, start = frames.copy(), _onset(frames, rng)
    rows, columns = _box(frames, rng, 12, 36)
    turned = frames[start:, rows, columns][..., rng.permutation(3)[::-1]]
    out[start:, rows, columns] = 255 - turned if rng.uniform() < 0.4 else turned[..., [1, 2, 0]]
    return out


def shuffle(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """Moments follow one another in a wrong order."""
    out, start = frames.copy(), _onset(frames, rng)
    out[start:] = frames[start + rng.permutation(len(frames) - start)]
    return out


def grain(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """Noise over a part of the picture, or all of it."""
    out, start = frames.astype(float), _onset(frames, rng)
    rows, columns = (slice(None), slice(None)) if rng.uniform() < 0.4 else _box(frames, rng, 16, 48)
    part = out[start:, rows, columns]
    part += rng.normal(0, rng.uniform(25, 90), (*part.shape[:3], int(rng.choice([1, 3]))))
    return out.clip(0, 255).astype(np.uint8)


def scramble(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """Pieces of a part of the picture change places."""
    out, start, size = frames.copy(), _onset(frames, rng), int(rng.choice([4, 8]))
    rows, columns = _box(frames, rng, 24, 41)
    down, across = ((span.stop - span.start) // size for span in (rows, columns))
    order = rng.permutation(down * across)
    rows, columns = slice(rows.start, rows.start + down * size), slice(columns.start, columns.start + across * size)
    part = frames[start:, rows, columns]
    pieces = part.reshape(-1, down, size, across, size, 3).swapaxes(2, 3).reshape(-1, down * across, size, size, 3)
    mixed = pieces[:, order].reshape(-1, down, across, size, size, 3).swapaxes(2, 3)
    out[start:, rows, columns] = mixed.reshape(part.shape)
    return out


def smeared(frames: Frames, rng: np.random.Generator) -> Frames:
    """As a poor world model dreams: after the first frame outlines and whatever moves run together."""
    height, width = frames.shape[1:3]
    out, side = frames.copy(), int(rng.integers(6, 17))
    for t in range(1, len(frames)):
        small = Image.fromarray(frames[t]).resize((side, side), Image.Resampling.BOX)
        out[t] = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    keep = rng.uniform(0.2, 0.9)
    mixed = keep * out[1:] + (1 - keep) * out[1:].mean(0)
    grain = rng.normal(0, rng.uniform(0, 8), (len(frames) - 1, height // 4, width // 4, 1)).repeat(4, 1).repeat(4, 2)
    out[1:] = (mixed + grain).clip(0, 255)
    return out


def ended(frames: Frames, other: Frames, rng: np.random.Generator) -> Frames:
    """It ends, at once or fading, in noise, one color, black, white or another clip: nothing is to be seen of it."""
    shape = frames.shape
    ends = {
        "noise": lambda: rng.integers(0, 256, shape),
        "still noise": lambda: np.broadcast_to(rng.integers(0, 256, shape[1:]), shape),
        "grain": lambda: np.broadcast_to(rng.normal(frames.mean(), 60, (*shape[:3], 1)), shape),
        "color": lambda: np.broadcast_to(rng.integers(0, 256, 3), shape),
        "black or white": lambda: np.full(shape, rng.choice([0, 255])),
        "another": lambda: other,
    }
    end = ends[str(rng.choice(list(ends)))]()
    start, length = int(rng.integers(1, len(frames) // 2)), int(rng.choice([1, rng.integers(2, 8)]))
    share = np.clip((np.arange(len(frames)) - start + 1) / length, 0, 1)[:, None, None, None]
    return (frames * (1 - share) + end * share).clip(0, 255).astype(np.uint8)


GLITCHES: dict[str, Callable[[Frames, Frames, np.random.Generator], Frames]] = {
    "mosaic": mosaic, "dissolve": dissolve, "splice": splice, "tear": tear, "hole": hole, "late": late, "stale": stale,
    "jolt": jolt, "mirror": mirror, "resize": resize, "recolor": recolor, "shuffle": shuffle, "grain": grain,
    "scramble": scramble,
}  # fmt: skip
IN_SIGHT = frozenset({"tear", "jolt"})
"""After these it can still be seen what was done."""
