"""The judge's last part, on what it overlooked: `python focus.py focus --out OUT --minutes 40 --lr 1e-3 --workers 2`.

It goes on from OUT/state.pt, for which `take` puts the written judge there, and leaves the state there for `train.py
finish`. A batch is of pairs, one clip as it was and broken: with the puck gone or elsewhere, with a glitch that is no
kind of any suite, smeared until nothing can be made out, ending in nothing that could be seen, or with things that
stay where they are whatever the hand does; the rest keeps what was learnt. Workers are processes, each with batches of
its own.
"""

from __future__ import annotations

import math
import time

import clips as C
import examine as X
import model as M
import numpy as np
import torch
import torch.distributed as D
import train as T
from transformers import Qwen2_5_VLForConditionalGeneration

HARD, PICKS, GENERAL, GLITCHED, SMEARED, ENDED, IGNORED = 4, 4, 9, 6, 2, 2, 5
"""Pairs in a batch: a thing gone or moved, of the puck's scene, of everything, glitched, smeared, ended, unmoved."""
ALONE = 120
"""Steps of `take`, in which only the auxiliary heads learn: they are not written with the judge."""
MEETING = "meeting"
"""File of args.out in which workers find each other."""
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
    some_clips = (pools[2][i] for i in rng.integers(len(pools[2]), size=8 * (SMEARED + ENDED)))
    done = [clip for clip in some_clips if clip.behavior in clip.done][: SMEARED + ENDED]
    asked += [C.sound(clip, rng) for clip in done] + [C.smeared(clip, rng) for clip in done[:SMEARED]]
    return asked + [C.ended(clip, glitched[0][1], rng) for clip in done[SMEARED:]]


def pools_of(args: T.Args) -> tuple[C.Clips, tuple[list[C.Clip], ...]]:
    """All clips but web's, and the pools that `batch` draws from."""
    held = frozenset((*T.VALIDATION, *T.UNMOVED))
    data, picks, ignored = (C.Clips(folder=args.data, held_out=held) for _ in range(3))
    data.reload("judge-*.npz", "objects-*.npz")
    picks.reload("picks-*.npz")
    ignored.reload("ignored-*.npz")
    pick = C.BEHAVIORS.index("pick-place")
    puck = list({id(clip): clip for clip in picks.training}.values())  # each once
    puck = puck + [clip for clip in data.training if pick in (clip.behavior, *clip.partners)]
    hard = [clip for clip in puck if clip.kind in ("vanish", "teleport") and clip.magnitude >= LEAST]
    return data, (hard, puck, data.training, ignored.training)


def take(args: T.Args) -> None:
    """The written judge into args.out, to go on from; its heads are new."""
    tokenizer, data = T.tokenizer_(), T.clips(args)
    run = T.begun(args, data, tokenizer)
    net, heads = run.both
    net.load_state_dict(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(args.weights, dtype=torch.float32).state_dict()
    )
    adam = torch.optim.AdamW(heads.parameters(), lr=args.lr)
    for step in range(ALONE):
        rng = np.random.default_rng([args.seed, step])
        asked = T.drawn(data.training, rng, args.batch)
        with torch.no_grad():
            visual = M.see(net, X.stacked(asked, rng))
        found = T.auxiliary(heads(visual), asked)
        adam.zero_grad()
        T.of_heads(found).backward()
        adam.step()
    print(" ".join(f"{key} {value:.3f}" for key, value in found.items()))
    args.out.mkdir(parents=True, exist_ok=True)
    run.keep(args.out / "state.pt")


def focus(args: T.Args) -> None:
    """args.minutes from now, the rate falling from args.lr."""
    if args.workers == 1:
        learn(0, args)
    else:
        (args.out / MEETING).unlink(missing_ok=True)  # workers would wait for those of an earlier training
        torch.multiprocessing.spawn(joined, (args,), args.workers)


def joined(rank: int, args: T.Args) -> None:
    """One of several workers; their gradients are averaged."""
    meeting = f"file://{(args.out / MEETING).absolute()}"
    D.init_process_group("gloo", init_method=meeting, rank=rank, world_size=args.workers)
    torch.set_num_threads(args.threads)
    learn(rank, args)
    D.destroy_process_group()


def averaged(both: torch.nn.Module, share: float) -> float:
    """Every gradient becomes the mean of the workers'; returns the first worker's share, as its clock is the clock."""
    grads = [p.grad for p in both.parameters() if p.grad is not None]
    flat = torch.cat([grad.ravel() for grad in grads])
    D.all_reduce(flat)
    clock = torch.tensor([share])
    D.broadcast(clock, 0)
    for grad, part in zip(grads, flat.div_(D.get_world_size()).split([g.numel() for g in grads]), strict=True):
        grad.copy_(part.view_as(grad))
    return clock.item()


def learn(rank: int, args: T.Args) -> None:
    """The training of a worker; the first one writes the state, every five minutes and at the end."""
    tokenizer = T.tokenizer_()
    prompts, (data, pools) = X.Prompts(tokenizer), pools_of(args)
    run, started, share, saved = T.begun(args, data, tokenizer), time.time(), 0.0, 0
    spent, first = run.spent, run.step
    while share < 1:
        rng = np.random.default_rng([args.seed, run.step, rank])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = T.losses(run.both, batch(pools, rng), prompts, rng, words=True)
        loss = args.auxiliary * T.of_heads(found) + found["IF"] + found["PA"]
        run.both.zero_grad(set_to_none=True)
        loss.backward()
        share = (time.time() - started) / 60 / args.minutes
        if args.workers > 1:
            share = averaged(run.both, share)
        torch.nn.utils.clip_grad_norm_(run.both.parameters(), 1.0)
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, share))
        run.optimizer.step(min(1.0, (run.step - first + 1) / 20) * (args.last_lr + args.lr * falling))
        run.step, run.spent = run.step + 1, spent + (time.time() - started) * args.workers
        if rank == 0 and run.step % 20 == 0:
            print(f"{run.step} {share:.3f}", *(f"{key} {value:.3f}" for key, value in found.items()), flush=True)
        if rank == 0 and (share >= 1 or int(share * args.minutes / 5) > saved):
            saved = int(share * args.minutes / 5)
            run.keep(args.out / "state.pt")


if __name__ == "__main__":
    T.main({"take": take, "focus": focus}, __doc__)
