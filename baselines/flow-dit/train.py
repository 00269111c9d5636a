"""Train the flow-matching IDM: `python baselines/flow-dit/train.py --data runs/sim-data --sets teleop play`.

    --sets teleop        teleoperation only, its backbone from `waypoint-cnn`: give `--backbone waypoint-cnn`
    --sets teleop play   and the hand taken about among the things of every behavior

The backbone starts from `waypoint-play`, as the paper's starts from SigLIP-2, and is trained too. A stopped run goes
on from `--state` by the same command.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from dreamgen_bench.idms.checkpoint import save
from dreamgen_bench.idms.flow_dit import FlowDiT
from dreamgen_bench.idms.flow_dit_network import SMALL, network
from dreamgen_bench.types import Video

sys.path.insert(0, str(Path(__file__).parents[1] / "sim-data"))
from labeled import labeled, parted
from pictures import augmented, background, softened

SHIPPED = Path(__file__).parents[2] / "dreamgen_bench/weights"
HELD = 60
"""Clips of each set that are held out; of a few of them errors are told on the way."""
DRAWS = 4
"""Noise levels at which each pair of frames is looked at in a step: the transformer is cheap, the backbone is not."""
STILL = 0.08
"""Share of pairs in which nothing moves."""
SLOWER = 0.4
"""The backbone's rate, as a share of the transformer's."""


@dataclasses.dataclass
class Pairs:
    """Every pair of frames a horizon apart, with the labels in between."""

    frames: np.ndarray  # uint8 [clips, T, 64, 64, 3]
    labels: np.ndarray  # float32 [clips, T - 1, 8], normalized
    at_rest: np.ndarray  # [8], a normalized label of no motion

    def drawn(self, count: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures float [N, 3, 64, 64, 3] in 0..255, the clip's first and the pair, and labels [N, horizon, 8]."""
        gap = SMALL.horizon
        clip = torch.randint(len(self.frames), (count,), generator=rng).numpy()
        start = torch.randint(self.frames.shape[1] - gap, (count,), generator=rng).numpy()
        seen = np.stack([self.frames[clip, 0], self.frames[clip, start], self.frames[clip, start + gap]], 1)
        labels = self.labels[clip[:, None], start[:, None] + np.arange(gap)]
        still = np.nonzero((torch.rand(count, generator=rng).numpy() < STILL) & (start > 0))[0]
        seen[still, 2] = seen[still, 1]
        labels[still] = self.labels[clip[still], start[still] - 1][:, None]
        labels[still, :, 4:7] = self.at_rest[4:7]
        return torch.from_numpy(seen).float(), torch.from_numpy(labels)


def start_from(net, folder: Path) -> None:
    """Put a waypoint IDM's layers into the backbone, as they act on four equal frames; the widest at low rank."""
    theirs = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    ours = net.see.see.state_dict()
    first = theirs.pop("0.0.weight")
    theirs["0.0.weight"] = torch.cat([first[:, :12].unflatten(1, (4, 3)).sum(1), first[:, 12:]], 1)
    u, s, v = torch.linalg.svd(theirs.pop("6.weight"), full_matrices=False)
    rank = len(ours["6.weight"])
    theirs["7.bias"] = theirs.pop("6.bias")
    theirs["6.weight"], theirs["7.weight"] = s[:rank].sqrt()[:, None] * v[:rank], u[:, :rank] * s[:rank].sqrt()
    net.see.see.load_state_dict({name: theirs[name] for name in ours})


def loss_of(net, seen: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Flow matching at DRAWS noise levels a pair, drawn from Beta(1.5, 1) as in the paper's code: mostly noisy ones."""
    shown = (seen / 127.5 - 1).flatten(0, 1).permute(0, 3, 1, 2)
    context = net.context(net.see(shown).unflatten(0, (len(seen), 2))).repeat(DRAWS, 1, 1)
    labels = labels.repeat(DRAWS, 1, 1)
    level = torch.rand(len(labels), generator=rng) ** (1 / 1.5) * 0.999
    noise = torch.randn(labels.shape, generator=rng)
    noisy = level[:, None, None] * noise + (1 - level[:, None, None]) * labels
    return F.mse_loss(net(noisy, level, context), noise - labels)


def held_out(net, clips: np.ndarray, labels: np.ndarray, mean: np.ndarray, std: np.ndarray) -> dict[str, float]:
    """Mean errors on episodes held out, through the code that labels videos, in the columns' units."""
    model = FlowDiT(net, SMALL, mean, std)
    out = np.stack(list(model.label([Video(frames=clip, fps=10) for clip in clips])))
    off = out - labels
    away = np.abs(off).mean((0, 1))
    return {
        "hand_mm": round(float(np.linalg.norm(off[..., :3], axis=-1).mean() * 1000), 1),
        "opening": round(float(away[3]), 4),
        "motion": round(float(away[4:7].mean()), 4),
        "grip": round(float(away[7]), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--out", type=Path, default=SHIPPED / "flow-dit")
    parser.add_argument("--state", type=Path, default=Path("runs/flow-dit.pt"))
    parser.add_argument("--sets", nargs="+", default=["teleop", "play"])
    parser.add_argument("--backbone", default="waypoint-play", help="the shipped IDM whose layers it starts from")
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", type=Path, help="folder of weights to go on from")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    sets = labeled(args.data, args.sets)
    empty = background(sets["teleop"][0])
    held, frames, labels = parted(sets, HELD)
    mean, std = labels.reshape(-1, 8).mean(0), labels.reshape(-1, 8).std(0)
    pairs = Pairs(frames, (labels - mean) / std, -mean / std)
    net = network(SMALL)
    if args.init:
        net.load_state_dict({k: v.float() for k, v in load_file(args.init / "model.safetensors").items()})
    else:
        start_from(net, SHIPPED / args.backbone)
    rest = [p for name, p in net.named_parameters() if not name.startswith("see.see")]
    groups = [{"params": net.see.see.parameters(), "scale": SLOWER}, {"params": rest, "scale": 1.0}]
    optimizer = torch.optim.AdamW(groups, args.rate, betas=(0.95, 0.999), weight_decay=1e-5)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    step, spent = 0, 0.0
    if args.state.exists():
        state = torch.load(args.state, weights_only=True)
        for part, name in ((net, "net"), (average, "average"), (optimizer, "optimizer")):
            part.load_state_dict(state[name])
        rng.set_state(state["rng"])
        step, spent = state["step"], state["spent"]
    started = time.time() - spent
    while step < args.steps:
        decay = 0.5 * (1 + math.cos(math.pi * step / args.steps)) + 0.01
        for group in optimizer.param_groups:
            group["lr"] = args.rate * group["scale"] * min(1, step / 100) * decay
        seen, wanted = pairs.drawn(args.batch, rng)
        loss = loss_of(net, softened(augmented(seen, empty, rng), rng), wanted, rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        step += 1
        if step % 150 == 0 or step == args.steps:
            error = {
                what: held_out(average.module, *(part[::3] for part in both), mean, std) for what, both in held.items()
            }
            spent = time.time() - started
            print(f"{step} {spent:.0f}s loss {loss.item():.4f} held out {error}", flush=True)
            args.state.parent.mkdir(parents=True, exist_ok=True)
            parts = {"net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(parts | {"rng": rng.get_state(), "step": step, "spent": spent}, args.state)
            note = {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items() if k not in ("out", "state")}
            note |= {"steps": step, "held_out": error, "seconds": round(spent), "data": args.data.name}
            finish(average.module, args.out, mean, std, note)


def finish(net, out: Path, mean, std, note: dict) -> None:
    """Weights, and beside them their digest."""
    save(net, SMALL, out, mean=mean.tolist(), std=std.tolist(), trained=note)
    facts = json.loads((out / "config.json").read_text("utf-8"))
    facts["sha256"] = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    (out / "config.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
