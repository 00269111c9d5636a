"""Make the small judge: `python train.py train|blend|finish|eval`; run.sh has the commands that were used.

`train` resumes from OUT/state.pt. First only the vision tower learns, from three auxiliary questions (what was done,
which behavior, which defect) that tell more of a clip than one bit each; then the words too, all questions of a video
over the same visual tokens. `blend` moves the last weights back towards an earlier state's. `finish` takes the averaged
or the last weights, calibrates them and writes the judge's folder; `eval` prints the table of the judge in it.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import clips as C
import examine as X
import model as M
import numpy as np
import torch
import torch.nn.functional as F
from optimizer import Optimizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from dreamgen_bench import rubrics

VALIDATION = ("judge-0003", "judge-0007")
"""Shards that are watched in training."""
UNMOVED = ("ignored-0023", "ignored-0024")
"""Shards of `ignored` that nothing is learnt from."""
CALIBRATION = (*VALIDATION, "judge-0080", "judge-0081", "judge-0082", "picks-0020", "picks-0021")
"""Shards that the answers are calibrated on; nothing is learnt from them."""


@dataclass(kw_only=True)
class Args:
    """What a run is determined by."""

    data: Path = Path("runs/sim-data")
    test: Path = Path("runs/judge-test")  # shards of clips that no training has seen
    out: Path = Path("runs/qwen-s")
    other: Path = Path("runs/qwen-s-before")  # whose state `blend` mixes in
    share: float = 0.4  # of it
    weights: Path = Path("dreamgen_bench/weights/qwen-s")
    width: int = 192
    depth: int = 4  # blocks of the vision tower
    layers: int = 3  # of the language model
    batch: int = 64
    lr: float = 2e-3
    last_lr: float = 2e-5
    warmup: int = 50
    tower: float = 10.0  # first minutes, in which only the vision tower learns
    minutes: float = 50.0  # of training in all, over which the learning rate falls
    weight_decay: float = 0.05
    ema: float = 0.998
    auxiliary: float = 0.5
    chosen: str = "ema"  # of the state: which weights `finish` takes, "ema" or "both" (the last ones)
    seed: int = 0
    threads: int = 1
    workers: int = 1  # of `focus`


class Heads(torch.nn.Module):
    """Auxiliary questions to the visual tokens' mean and maximum: done [50], behavior [50], defect [1 + 8]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width * 2)
        self.out = torch.nn.Linear(width * 2, 2 * len(C.BEHAVIORS) + len(C.KINDS) + 1)

    def forward(self, visual: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of the three questions for visual tokens [B, N, width]."""
        pooled = self.norm(torch.cat([visual.mean(1), visual.amax(1)], dim=-1))
        return self.out(pooled).split([len(C.BEHAVIORS), len(C.BEHAVIORS), len(C.KINDS) + 1], dim=-1)


def drawn(pool: list[C.Clip], rng: np.random.Generator, count: int) -> list[C.Asked]:
    """A batch of pairs: an episode as it was (some of them static, some reversed), and the same one broken.

    A fifth of the broken ones are so invisibly. In pairs the two differ in nothing but the defect.
    """
    clips = [pool[i] for i in rng.integers(len(pool), size=count // 2)]
    makers = [C.sound, C.static, C.reversed_]
    whole = [makers[int(rng.choice(3, p=[0.76, 0.12, 0.12]))](clip, rng) for clip in clips]
    return whole + [C.broken(clip, rng) for clip in clips]


def losses(
    both: torch.nn.ModuleList, asked: list[C.Asked], prompts: X.Prompts, rng: np.random.Generator, *, words: bool
) -> dict[str, torch.Tensor]:
    """Losses and shares of right answers by name: of the auxiliary questions, and of the rubrics' where `words`."""
    net, heads = both
    visual = M.see(net, X.stacked(asked, rng))
    found = auxiliary(tuple(out.float() for out in heads(visual)), asked)
    return found | (answers(net, visual, asked, prompts, rng) if words else {})


def answers(
    net: torch.nn.Module, visual: torch.Tensor, asked: list[C.Asked], prompts: X.Prompts, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """Cross entropy over the vocabulary at the first generated position, for each rubric."""
    questions = [(i, *q) for i, a in enumerate(asked) for q in a.questions]
    rows = torch.tensor([prompts.row(behavior, int(rng.integers(8))) for _, behavior, _, _ in questions])
    index, truth, weight = (torch.tensor([q[k] for q in questions]) for k in (0, 2, 3))
    physics = torch.tensor([q[1] == C.PHYSICS for q in questions])
    found = {}
    for name, group in (("PA", physics), ("IF", ~physics)):
        ids = prompts.ids[rows[group]]
        ids = ids[:, : int((ids != prompts.pad).sum(1).max())]
        out = M.answer(net, visual[index[group]], ids).float()
        share = weight[group] / weight[group].sum()
        found[name] = (F.cross_entropy(out, prompts.answers[truth[group]], reduction="none") * share).sum()
        found[f"{name} right"] = ((out[:, prompts.answers].argmax(1) == truth[group]) * share).sum()
    return found


def auxiliary(outputs: tuple[torch.Tensor, ...], asked: list[C.Asked]) -> dict[str, torch.Tensor]:
    """Losses of the heads."""
    done, behavior, kind = outputs
    known = [i for i, a in enumerate(asked) if a.done is not None]
    target = torch.zeros(len(known), len(C.BEHAVIORS))
    for row, i in enumerate(known):
        target[row, list(asked[i].done)] = 1
    kinds = torch.tensor([0 if a.magnitude < C.VISIBLE or not a.kind else 1 + C.KINDS.index(a.kind) for a in asked])
    # A reversed clip may break physics or not; a defect near the border of the visible has hardly a class.
    sure = torch.tensor([abs(a.magnitude - C.VISIBLE) > 0.05 if a.kind else a.done is not None for a in asked]).float()
    behaviors = torch.tensor([a.behavior for a in asked])
    return {
        "done": F.binary_cross_entropy_with_logits(done[known], target, reduction="sum") / max(1, len(known)) / 3,
        "behavior": F.cross_entropy(behavior, behaviors),
        "kind": (F.cross_entropy(kind, kinds, reduction="none") * sure).sum() / sure.sum(),
        "kind right": ((kind.argmax(1) == kinds) * sure).sum() / sure.sum(),
        "behavior right": (behavior.argmax(1) == behaviors).float().mean(),
    }


def of_heads(found: dict[str, torch.Tensor]) -> torch.Tensor:
    """The three auxiliary losses as one."""
    return found["done"] + found["behavior"] / 2 + found["kind"]


def stem(pool: list[C.Clip], rng: np.random.Generator, width: int) -> torch.Tensor:
    """First weights of the patch embedding: principal components of patches, and twice as many of their changes.

    From random weights the tower spends its training on finding out that frames differ over time.
    """
    some = [pool[i].frames for i in rng.integers(len(pool), size=160)]
    x = M.patches(torch.from_numpy(np.stack(some))).flatten(0, 1).view(-1, 3, M.FRAMES, M.PATCH**2)
    count = width // 3
    still, changes = _components(x.mean(2).flatten(1), count), _components(x.diff(dim=2).flatten(1), width - count)
    weight = torch.zeros(width, 3, M.FRAMES, M.PATCH**2)
    weight[:count] = still.view(count, 3, 1, -1) / M.FRAMES
    steps = changes.view(width - count, 3, M.FRAMES - 1, -1)
    weight[count:, :, 1:] += steps
    weight[count:, :, :-1] -= steps
    return weight.view(width, 3, M.FRAMES, M.PATCH, M.PATCH)


def _components(x: torch.Tensor, count: int) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    values, vectors = values[-count:], vectors[:, -count:]
    return (vectors / (values + values.mean()).sqrt()).T


@dataclass(kw_only=True)
class Run:
    """A training run: what it learns, and how far it has got."""

    both: torch.nn.ModuleList  # the judge and the heads
    ema: torch.nn.ModuleList  # their moving average
    optimizer: Optimizer
    step: int = 0
    spent: float = 0.0  # seconds of training

    def keep(self, path: Path) -> None:
        """Write what `resume` takes."""
        parts = {name: getattr(self, name).state_dict() for name in ("both", "ema", "optimizer")}
        torch.save(parts | {"step": self.step, "spent": self.spent}, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)

    def resume(self, path: Path) -> None:
        """Go on from a file, if it is there."""
        if path.exists():
            kept = torch.load(path, weights_only=True)
            for name in ("both", "ema", "optimizer"):
                getattr(self, name).load_state_dict(kept[name])
            self.step, self.spent = kept["step"], kept["spent"]


def begun(args: Args, data: C.Clips, tokenizer: PreTrainedTokenizerFast) -> Run:
    """A new run, or the one that was left in args.out."""
    net = M.build(tokenizer, width=args.width, depth=args.depth, layers=args.layers)
    if not (args.out / "state.pt").exists():
        first = stem(data.training, np.random.default_rng(args.seed), args.width)
        net.model.visual.patch_embed.proj.weight.data.copy_(first)
    both = torch.nn.ModuleList([net, Heads(args.width)])
    optimizer = Optimizer(both, weight_decay=args.weight_decay)
    run = Run(both=both, ema=copy.deepcopy(both), optimizer=optimizer)
    run.resume(args.out / "state.pt")
    return run


def train(args: Args) -> None:
    """Learn for args.minutes in all, keeping the state every seven minutes."""
    args.out.mkdir(parents=True, exist_ok=True)
    data, tokenizer = clips(args), tokenizer_()
    prompts, run = X.Prompts(tokenizer), begun(args, data, tokenizer)
    mean: dict[str, float] = {}
    saved = time.time()
    while run.spent < args.minutes * 60:
        started = time.time()
        advance(args, run, data.training, prompts, mean)
        run.spent += time.time() - started
        if run.step % 25 == 0:
            shown = " ".join(f"{key} {value:.3f}" for key, value in mean.items())
            print(f"{run.step} {run.spent:.0f}s {args.batch / (time.time() - started):.0f}/s {shown}", flush=True)
        if time.time() - saved > 420:
            saved = time.time()
            run.keep(args.out / "state.pt")
            data.reload("judge-*.npz", "objects-*.npz", "picks-*.npz")
            if run.spent > args.tower * 60:
                print("   held out: " + X.line(X.report(run.ema[0], data.validation, prompts)), flush=True)
    run.keep(args.out / "state.pt")


def advance(args: Args, run: Run, pool: list[C.Clip], prompts: X.Prompts, mean: dict[str, float]) -> None:
    """One step; `mean` follows what was found."""
    rng = np.random.default_rng([args.seed, run.step])
    found = losses(run.both, drawn(pool, rng, args.batch), prompts, rng, words=run.spent > args.tower * 60)
    loss = args.auxiliary * of_heads(found) + found.get("IF", 0) + found.get("PA", 0)
    run.both.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.both.parameters(), 1.0)
    falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, run.spent / 60 / args.minutes))
    run.optimizer.step(min(1.0, (run.step + 1) / args.warmup) * (args.last_lr + (args.lr - args.last_lr) * falling))
    with torch.no_grad():
        follow = 1 - min(args.ema, (run.step + 1) / (run.step + 20))
        torch._foreach_lerp_(list(run.ema.parameters()), list(run.both.parameters()), follow)
    for key, value in found.items():
        mean[key] = 0.95 * mean.get(key, value.item()) + 0.05 * value.item()
    run.step += 1


def blend(args: Args) -> None:
    """Mix an earlier state's last weights into args.out's (model soups: Wortsman et al., ICML 2022)."""
    mine, other = (torch.load(folder / "state.pt", weights_only=True) for folder in (args.out, args.other))
    floating = [name for name, value in mine["both"].items() if value.is_floating_point()]
    for name in floating:
        mine["both"][name] = mine["both"][name] * (1 - args.share) + other["both"][name] * args.share
    torch.save(mine, args.out / "state.pt")


def finish(args: Args) -> None:
    """Calibrate the weights, and write the judge."""
    tokenizer = tokenizer_()
    net = M.build(tokenizer, width=args.width, depth=args.depth, layers=args.layers)
    kept = torch.load(args.out / "state.pt", weights_only=True)
    net.load_state_dict({key[2:]: value for key, value in kept[args.chosen].items() if key.startswith("0.")})
    prompts = X.Prompts(tokenizer)
    shards = [path for folder in (args.data, args.test) for path in sorted(folder.glob("*-*.npz"))]
    held = [clip for path in shards if path.stem in CALIBRATION for clip in C.read(path)]
    seen = X.deserving(net, held, prompts)
    lines = X.calibration(net, seen, prompts)
    missed = X.fold(net, lines, seen, prompts)
    print(f"{kept['step']} steps, {kept['spent']:.0f} s; scales and shifts {lines}, missed by {missed:.2f}")
    M.save(net, tokenizer, args.weights)


def evaluate(args: Args) -> None:
    """Print the table of the written judge on the test shards, and leave it as JSON in args.out."""
    net = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.weights, dtype=torch.float32).eval()
    prompts = X.Prompts(AutoTokenizer.from_pretrained(args.weights))
    shards = [path for what in ("judge", "ignored") for path in sorted(args.test.glob(f"{what}-*.npz"))]
    unseen = [clip for path in shards if path.stem not in CALIBRATION for clip in C.read(path)]
    everything = [clip for path in shards for clip in C.read(path)]
    for title, held in (("untouched shards", unseen), ("with those of the calibration", everything)):
        table = X.report(net, held, prompts)
        print(f"\n{title}: {len(held)} clips\n\n{X.markdown(table)}")
    (args.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")


def clips(args: Args) -> C.Clips:
    """The shards that are there by now."""
    data = C.Clips(folder=args.data, held_out=frozenset(VALIDATION))
    data.reload("judge-*.npz", "objects-*.npz", "picks-*.npz", "web-*.npz")
    print(f"{len(data.training)} clips to learn from, {len(data.validation)} held out", flush=True)
    return data


def tokenizer_() -> PreTrainedTokenizerFast:
    """Of all the instructions' and the rubrics' words."""
    texts = [wording for wordings in C.INSTRUCTIONS.values() for wording in wordings]
    texts += [rubrics.load(name).prompt.replace("{instruction}", "") for name in rubrics.DEFAULT]
    return M.tokenizer_of([*texts, "user assistant system you are a helpful assistant yes no video image"])


def main(modes: Mapping[str, Callable[[Args], None]], description: str | None) -> None:
    """Parse the command line and go."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=modes)
    for f in dataclasses.fields(Args):
        kind = Path if isinstance(f.default, Path) else type(f.default)
        parser.add_argument(f"--{f.name.replace('_', '-')}", type=kind, default=f.default)
    chosen = vars(parser.parse_args())
    mode, args = modes[chosen.pop("mode")], Args(**chosen)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    mode(args)


if __name__ == "__main__":
    main({"train": train, "blend": blend, "finish": finish, "eval": evaluate}, __doc__)
