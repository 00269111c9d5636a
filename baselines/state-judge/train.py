"""Make the state judge: `python train.py see|fit|eval|exam`; run.sh has the commands that were used.

`see` teaches the network what pixels show and where things are, from the simulator's own states (states.py), on sound
frames only: it never meets a defect. `fit` lets it look at judged clips of `baselines/sim-data` and fits the two
logistics on what was measured there, and writes the judge's folder. `eval` tells how it does on clips that neither saw,
`exam` on those of metaworld-judge-v1.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from safetensors.numpy import save_file
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from states import SHOWN

from dreamgen_bench import ground_truth
from dreamgen_bench.judges import state as S
from dreamgen_bench.judges.invariants import NAMES, measured
from dreamgen_bench.reliability import ece
from dreamgen_bench.video import read

INSTRUCTIONS: dict[str, list[str]] = yaml.safe_load(
    (Path(__file__).parents[2] / "dreamgen_bench/envs/instructions.yaml").read_text("utf-8")
)
BEHAVIORS = list(INSTRUCTIONS)
SCALE = np.array([0.1] * 3 + [0.2] + [0.1] * 6 + [1.0], np.float32)
"""Of the states: 10 cm, a fifth of the fingers' opening, a doubling."""
WEIGHT = torch.tensor([0.1] * 10 + [0.5])
"""Of each state's error, beside that of the masks."""
SOUND_UNDER, BROKEN_OVER = 0.25, 0.35
"""Magnitudes in between are left out of the fit: nobody could say."""

TEST = range(30, 40)
"""Shards of judged clips that are looked at only."""


@dataclass(kw_only=True)
class Args:
    """What a run is determined by."""

    data: Path = Path("runs/sim-data")
    states: Path = Path("runs/state-judge")
    out: Path = Path("runs/state-judge")
    weights: Path = Path("runs/state-judge/weights")
    minutes: float = 25.0  # of one core's time
    batch: int = 64
    lr: float = 2e-3
    init: str = ""  # a network to go on from
    left_out: str = ""  # behaviors of which nobody shows how they are done, and no answer is fitted; by commas
    physics_shards: int = 12
    instruction_shards: int = 30
    seed: int = 0


def examples(args: Args) -> dict[str, np.ndarray]:
    """The episodes of states.py: of what is left out nothing that is done, nor its states where something else is."""
    left_out = {BEHAVIORS.index(name) for name in args.left_out.split(",") if name}
    rows: list[dict[str, np.ndarray]] = []
    for path in sorted(args.states.glob("states-*.npz")):
        with np.load(path) as file:
            columns = {key: file[key] for key in file.files}
        own = BEHAVIORS.index(path.stem.removeprefix("states-"))
        for i, kind in enumerate(columns["kind"]):
            row = {k: columns[k][i] for k in columns if k != "kind"}
            if kind == "performed":
                if own in left_out:
                    continue
                row["behaviors"] = np.where(np.isin(row["behaviors"], list(left_out)), -1, row["behaviors"])
            rows.append(row)
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def batch(data: dict[str, np.ndarray], rng: np.random.Generator, size: int) -> tuple[torch.Tensor, ...]:
    """Pairs [N, 6, 64, 64], behaviors [N], masks [N, 32, 32], states [N, STATES] in units of SCALE."""
    which, shown = rng.integers(len(data["frames"]), size=size), rng.integers(len(SHOWN), size=size)
    known = data["behaviors"][which] >= 0
    place = np.where(known, rng.uniform(size=known.shape), -1).argmax(1)
    t = np.array(SHOWN)[shown]
    light = rng.uniform(0.85, 1.15, (size, 1, 1, 1)).astype(np.float32) * rng.uniform(
        0.93, 1.07, (size, 1, 1, 3)
    ).astype(np.float32)
    both = [np.clip(data["frames"][which, moment] / 255 * light, 0, 1) for moment in (t, np.zeros_like(t))]
    x = np.concatenate(both, -1).transpose(0, 3, 1, 2).astype(np.float32)
    state = np.concatenate(
        [
            data["states"][which, t],
            data["objects"][which, place, t],
            data["goals"][which, place],
            data["margins"][which, place, t, None],
        ],
        1,
    )
    masks = data["masks"][which, shown, ::2, ::2].astype(np.int64)
    found = x, data["behaviors"][which, place], masks, (state / SCALE).astype(np.float32)
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in found)


def see(args: Args) -> None:
    """Learn for args.minutes, the rate falling to nothing."""
    torch.manual_seed(args.seed)
    data, net, started, step = examples(args), S.network(len(BEHAVIORS)), time.process_time(), 0
    if args.init:
        net.load_state_dict(torch.load(args.init, weights_only=True))
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=0.02)
    weights, mean = torch.tensor([1.0, 1.5, 3.0]), np.zeros(5)
    while (share := (time.process_time() - started) / 60 / args.minutes) < 1:
        x, behavior, mask, wanted = batch(data, np.random.default_rng([args.seed, step]), args.batch)
        state = net.states(x, range(len(BEHAVIORS)))[torch.arange(len(x)), behavior]
        masks = F.cross_entropy(net.painted(x), mask, weight=weights)
        states = F.smooth_l1_loss(state, wanted, reduction="none").mean(0)
        optimizer.zero_grad(set_to_none=True)
        (masks + (states * WEIGHT).sum()).backward()
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * share))
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        off = ((state.detach() - wanted) * torch.from_numpy(SCALE)).abs().mean(0)
        mean = 0.98 * mean + 0.02 * np.array([masks.item(), off[:3].mean(), off[4:7].mean(), off[7:10].mean(), off[10]])
        if step % 100 == 0:
            shown = "masks {:.3f}, hand {:.3f} m, object {:.3f} m, goal {:.3f} m, margin {:.2f}"
            said = shown.format(*mean / (1 - 0.98**step))
            print(f"{step} steps, {time.process_time() - started:.0f} s of CPU: {said}", flush=True)
        if step % 1000 == 0:
            torch.save(net.state_dict(), args.out / "net.pt")
    torch.save(net.state_dict(), args.out / "net.pt")


class Eyes(S.StateJudge):
    """The judge before it has any rule, in metres."""

    def __init__(self, net: torch.nn.Module) -> None:
        self.net = net.eval()


def scaled(net: torch.nn.Module) -> torch.nn.Module:
    """The network with SCALE folded into its last layer."""
    with torch.no_grad():
        for layer, scale in ((net.hand, SCALE[:4]), (net.thing, np.tile(SCALE[4:], len(BEHAVIORS)))):
            layer.weight *= torch.from_numpy(scale)[:, None]
            layer.bias *= torch.from_numpy(scale)
    return net


def clips(folder: Path, shards: range, left_out: Sequence[str] = ()) -> Iterator[dict[str, np.ndarray]]:
    """The rows of some shards of the judge's clips, without those in which somebody does what is left out."""
    for shard in shards:
        path = folder / f"judge-{shard:04d}.npz"
        if path.exists():
            with np.load(path) as file:
                columns = {key: file[key] for key in file.files}
            for i in range(len(columns["frames"])):
                if columns["behavior"][i] not in left_out:
                    yield {key: columns[key][i] for key in columns}


def physics_of(eyes: Eyes, rows: Iterator[dict[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Numbers [N, F] and truth [N] of clips as they were and broken, and the kind of each."""
    numbers, truth, kinds = [], [], []
    for row in rows:
        for key in ("frames", "broken"):
            magnitude = float(row["magnitude"]) if key == "broken" else 0.0
            if SOUND_UNDER < magnitude < BROKEN_OVER:
                continue
            shown, [states] = eyes.seen(row[key], 0)
            numbers.append(measured(row[key], shown, states[:, :3]))
            truth.append(magnitude <= SOUND_UNDER)
            kinds.append(str(row["kind"]) if key == "broken" else "")
    return np.array(numbers), np.array(truth, float), kinds


def instructions_of(
    eyes: Eyes, rows: Iterator[dict[str, np.ndarray]], rng: np.random.Generator, left_out: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers [N, F], behaviors [N] and truth [N]: what was possible from the frame, and at times anything else."""
    numbers, behaviors, truth = [], [], []
    for row in rows:
        done, asked = str(row["done"]).split(), str(row["possible"]).split()
        if rng.uniform() < 0.3:
            asked.append(str(rng.choice([b for b in BEHAVIORS if b not in asked])))
        asked = [name for name in asked if name not in left_out]
        rows_of = [BEHAVIORS.index(name) for name in asked]
        numbers += [S.approached(states) for states in eyes.seen(row["frames"], *rows_of)[1]]
        behaviors += rows_of
        truth += [name in done for name in asked]
    return np.array(numbers), np.array(behaviors), np.array(truth, float)


def logistic(numbers: np.ndarray, truth: np.ndarray) -> S.Logistic:
    """One row of weights, sound and broken counting the same."""
    x = S.squeezed(numbers)
    mean, spread = x.mean(0), x.std(0) + 1e-3
    fitted = LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000)
    fitted.fit(S.standardized(numbers, mean, spread), truth)
    return S.Logistic(mean=mean, spread=spread, weight=fitted.coef_, bias=fitted.intercept_)


def logistics(numbers: np.ndarray, behaviors: np.ndarray, truth: np.ndarray) -> S.Logistic:
    """A row for each behavior: what holds for all, and what few clips can add to it (both shrunk together)."""
    x = S.squeezed(numbers)
    mean, spread = x.mean(0), x.std(0) + 1e-3
    z = np.hstack([S.standardized(numbers, mean, spread), np.ones((len(x), 1))])
    width = z.shape[1]
    own = sparse.lil_matrix((len(z), width * len(BEHAVIORS)))
    for i, behavior in enumerate(behaviors):
        own[i, width * behavior : width * (behavior + 1)] = z[i]
    fitted = LogisticRegression(C=0.5, class_weight="balanced", max_iter=4000, fit_intercept=False)
    fitted.fit(sparse.hstack([sparse.csr_matrix(z), own.tocsr()]).tocsr(), truth)
    rows = fitted.coef_[0][:width] + fitted.coef_[0][width:].reshape(len(BEHAVIORS), width)
    return S.Logistic(mean=mean, spread=spread, weight=rows[:, :-1], bias=rows[:, -1])


def fit(args: Args) -> None:
    """Fit the logistics on judged clips, none of which the network has seen, and write the judge's folder."""
    net = S.network(len(BEHAVIORS))
    net.load_state_dict(torch.load(args.out / "net.pt", weights_only=True))
    eyes = Eyes(scaled(net))
    left_out = [name for name in args.left_out.split(",") if name]
    numbers, truth, _ = physics_of(eyes, clips(args.data, range(args.physics_shards), left_out))
    physics = logistic(numbers, truth)
    for name, weight in sorted(zip(NAMES, physics.weight[0], strict=True), key=lambda pair: pair[1]):
        print(f"{name:>24} {weight:+.2f}")
    rng = np.random.default_rng(args.seed)
    asked = instructions_of(eyes, clips(args.data, range(args.instruction_shards), left_out), rng, left_out)
    instruction = logistics(*asked)
    kept = {f"net.{key}": value.half().numpy() for key, value in net.state_dict().items()}
    for name, rule in (("physics", physics), ("instruction", instruction)):
        kept |= {f"{name}.{k}": np.asarray(v, np.float32) for k, v in dataclasses.asdict(rule).items()}
    args.weights.mkdir(parents=True, exist_ok=True)
    save_file(kept, args.weights / "model.safetensors")
    (args.weights / "config.json").write_text(
        json.dumps({"never_shown": left_out, "behaviors": INSTRUCTIONS}, indent=1) + "\n"
    )
    print("sha256", hashlib.sha256((args.weights / "model.safetensors").read_bytes()).hexdigest())


def evaluate(args: Args) -> None:
    """AUROC, F1 and calibration on the test shards."""
    judge = S.load(str(args.weights.resolve()))
    numbers, truth, kinds = physics_of(judge, clips(args.data, TEST))
    logits = np.array([judge.physics.evidence(row) for row in numbers])
    sound = [i for i, kind in enumerate(kinds) if not kind]
    print(f"PA AUROC {roc_auc_score(truth, logits):.3f}, ECE {ece(truth, 1 / (1 + np.exp(-logits))):.3f}")
    print(f"   false alarms {(logits[sound] < 0).mean():.3f}, broken found {(logits[truth == 0] < 0).mean():.3f}")
    for kind in sorted(set(kinds) - {""}):
        of = [i for i, k in enumerate(kinds) if k == kind and not truth[i]]
        print(f"   {kind}: AUROC {roc_auc_score(truth[sound + of], logits[sound + of]):.3f} of {len(of)}")
    numbers, asked, truth = instructions_of(judge, clips(args.data, TEST), np.random.default_rng(1))
    logits = np.array([judge.instruction.evidence(n, b) for n, b in zip(numbers, asked, strict=True)])
    told(asked, truth, logits, args.left_out.split(","))


def told(asked: np.ndarray, truth: np.ndarray, logits: np.ndarray, left_out: Sequence[str]) -> None:
    """Instruction following, apart for what was left out."""
    never = np.isin(asked, [BEHAVIORS.index(name) for name in left_out if name])
    for name, of in (("behaviors left out", never), ("the others", ~never)):
        if of.any():
            yes, said = truth[of], logits[of]
            print(f"IF of {name}, {len(yes)} questions: F1 {f1_score(yes, said > 0):.3f}, "
                  f"balanced accuracy {balanced_accuracy_score(yes, said > 0):.3f}, "
                  f"AUROC {roc_auc_score(yes, said):.3f}, ECE {ece(yes, 1 / (1 + np.exp(-said))):.3f}")  # fmt: skip


def examine(args: Args) -> None:
    """The same on the clips of metaworld-judge-v1, which are drawn here where they are not there yet."""
    judge, folder = S.load(str(args.weights.resolve())), ground_truth.prepare("metaworld-judge-v1")
    asked_of = {recipe.id: recipe.asked for recipe in ground_truth.read("metaworld-judge-v1")}
    found = []
    for row in map(json.loads, (folder / "labels.jsonl").read_text("utf-8").splitlines()):
        if row["rubric"] == "IF":
            number = judge.behavior(row["instruction"])
            [states] = judge.seen(S.sized(read(folder / row["video"]).frames), number)[1]
            evidence = judge.instruction.evidence(S.approached(states), number)
            found.append((BEHAVIORS.index(asked_of[row["id"]]), row["label"], evidence))
    asked, truth, logits = (np.array(column) for column in zip(*found, strict=True))
    told(asked, truth, logits, args.left_out.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = {"see": see, "fit": fit, "eval": evaluate, "exam": examine}
    parser.add_argument("mode", choices=modes)
    for f in dataclasses.fields(Args):
        kind = Path if isinstance(f.default, Path) else type(f.default)
        parser.add_argument(f"--{f.name.replace('_', '-')}", type=kind, default=f.default)
    chosen = vars(parser.parse_args())
    torch.set_num_threads(1)
    modes[chosen.pop("mode")](Args(**chosen))


if __name__ == "__main__":
    main()
