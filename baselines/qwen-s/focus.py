"""The judge's last minutes, on what it overlooked: `python focus.py focus --out OUT --minutes 11 --lr 1e-3`.

It goes on from OUT/state.pt and leaves the state there, for `train.py finish`. A batch is of pairs, one clip as it was
and broken: with the puck gone or elsewhere, with a glitch that is no kind of any suite, smeared until nothing can be
made out, or with things that stay where they are whatever the hand does; the rest keeps what was learnt.
"""

from __future__ import annotations

import math
import time

import clips as C
import examine as X
import numpy as np
import torch
import train as T

HARD, PICKS, GENERAL, GLITCHED, SMEARED, IGNORED = 5, 4, 7, 4, 2, 10
"""Pairs in a batch: a thing gone or elsewhere, of the puck's scene, of everything, with a glitch, smeared, ignored."""
GONE = 0.6
"""Magnitude from which what has vanished can't be where it was to be brought."""
LEAST = 0.35
"""Magnitude from which a defect is shown as one."""


def recorded(clip: C.Clip, rng: np.random.Generator) -> C.Asked:
    """The recorded defect, never one that is painted anew."""
    questions = [(C.PHYSICS, int(clip.magnitude < C.VISIBLE), 1.0)]
    if clip.kind == "vanish" and clip.magnitude > GONE and C.BEHAVIORS[clip.behavior].startswith(("pick", "push")):
        questions.append((clip.behavior, 0, 1.0))
    return C.Asked(
        frames=clip.broken,
        questions=questions,
        behavior=clip.behavior,
        done=None,
        kind=clip.kind,
        magnitude=clip.magnitude,
    )


def batch(pools: tuple[list[C.Clip], ...], rng: np.random.Generator) -> list[C.Asked]:
    """Pairs from each pool: sound and broken."""
    some = [
        [pool[i] for i in rng.integers(len(pool), size=n)]
        for pool, n in zip(pools, (HARD, PICKS, GENERAL, IGNORED), strict=True)
    ]
    asked = [C.sound(clip, rng) for clip in some[0]] + [recorded(clip, rng) for clip in some[0]]
    makers, others = [C.sound, C.static, C.reversed_], some[1] + some[2]
    asked += [makers[int(rng.choice(3, p=[0.76, 0.12, 0.12]))](clip, rng) for clip in others]
    asked += [C.broken(clip, rng) for clip in others]
    asked += [C.sound(clip, rng) for clip in some[3]] + [C.ignored(clip, rng) for clip in some[3]]
    drawn = rng.integers(len(pools[2]), size=(GLITCHED, 2))
    glitched = [(pools[2][i], pools[2][j]) for i, j in drawn]
    asked += [C.sound(clip, rng) for clip, _ in glitched] + [C.glitched(*pair, rng) for pair in glitched]
    some_clips = (pools[2][i] for i in rng.integers(len(pools[2]), size=8 * SMEARED))
    done = [clip for clip in some_clips if clip.behavior in clip.done][:SMEARED]
    return asked + [C.sound(clip, rng) for clip in done] + [C.smeared(clip, rng) for clip in done]


def pools_of(args: T.Args) -> tuple[C.Clips, tuple[list[C.Clip], ...]]:
    """All clips but web's, and the pools that `batch` draws from."""
    data, picks, ignored = (C.Clips(folder=args.data, held_out=frozenset(T.VALIDATION)) for _ in range(3))
    data.reload("judge-*.npz", "objects-*.npz")
    picks.reload("picks-*.npz")
    ignored.reload("ignored-*.npz")
    pick = C.BEHAVIORS.index("pick-place")
    puck = list({id(clip): clip for clip in picks.training}.values())  # each once
    puck = puck + [clip for clip in data.training if pick in (clip.behavior, *clip.partners)]
    hard = [clip for clip in puck if clip.kind in ("vanish", "teleport") and clip.magnitude >= LEAST]
    return data, (hard, puck, data.training, ignored.training)


def focus(args: T.Args) -> None:
    """args.minutes from now, the rate falling from args.lr."""
    tokenizer = T.tokenizer_()
    prompts, (data, pools) = X.Prompts(tokenizer), pools_of(args)
    run, started, step = T.begun(args, data, tokenizer), time.time(), 0
    while (share := (time.time() - started) / 60 / args.minutes) < 1:
        rng = np.random.default_rng([args.seed, step])
        found = T.losses(run.both, batch(pools, rng), prompts, rng, words=True)
        loss = args.auxiliary * (found["done"] + found["behavior"] / 2 + found["kind"]) + found["IF"] + found["PA"]
        run.both.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.both.parameters(), 1.0)
        falling = 0.52 + 0.5 * math.cos(math.pi * share)
        run.optimizer.step(min(1.0, (step + 1) / 20) * args.lr * falling)
        step, run.step = step + 1, run.step + 1
        if step % 20 == 0:
            print(step, " ".join(f"{key} {value:.3f}" for key, value in found.items()), flush=True)
    run.spent += time.time() - started
    run.keep(args.out / "state.pt")


if __name__ == "__main__":
    T.main({"focus": focus}, __doc__)
