"""Train the latent action model on action-free clips: `python baselines/lapa-s/train.py --data runs/sim-data`.

The clips are `web`'s: all 50 behaviors, never in the lab's look, without actions. A stopped run goes on from `--state`
by the same command.
"""

import argparse
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from dreamgen_bench.idms.checkpoint import save
from dreamgen_bench.idms.lapa import SMALL, network

SHIPPED = Path(__file__).parents[2] / "dreamgen_bench/weights/lapa-s"
HELD = 100
"""Clips held out."""
MOVING = 10.0
"""What a pixel that changes weighs against one that does not."""
REPLACE_EVERY, REPLACE_UNTIL = 50, 0.7
"""Codes that nobody used for so many steps are put where embeddings are, in so much of the training."""


def read(folder: Path, shards: int) -> np.ndarray:
    """Frames uint8 [clips, 17, 32, 32, 3] of the first shards."""
    found = []
    for path in sorted(folder.glob("web-*.npz"))[:shards]:
        with np.load(path) as data:
            frames = data["frames"]
        size = frames.shape[2] // SMALL.size  # by area
        frames = frames.reshape(*frames.shape[:2], SMALL.size, size, SMALL.size, size, 3).mean((3, 5))
        found.append(np.rint(frames).astype(np.uint8))
    return np.concatenate(found)


def drawn(frames: np.ndarray, count: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of pictures [N, 3, S, S] in -1..1, a horizon apart; the colors of both mixed in the same way."""
    clip = torch.randint(len(frames), (count,), generator=rng).numpy()
    start = torch.randint(frames.shape[1] - SMALL.horizon, (count,), generator=rng).numpy()
    pair = torch.from_numpy(np.stack([frames[clip, start], frames[clip, start + SMALL.horizon]])).float() / 127.5 - 1
    mix = torch.eye(3) + torch.randn(count, 3, 3, generator=rng) * 0.1
    shade = 0.2 * (torch.rand(count, 1, 1, 3, generator=rng) - 0.5)
    earlier, later = pair @ mix[:, None] + shade
    return earlier.permute(0, 3, 1, 2).clamp(-1, 1), later.permute(0, 3, 1, 2).clamp(-1, 1)


def weighted(out: torch.Tensor, earlier: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
    """Squared error, where something moved foremost."""
    moved = ((later - earlier).abs().amax(1, keepdim=True) > 0.15).float()
    return ((out - later) ** 2 * (1 + MOVING * moved)).mean()


def replaced(net, used: torch.Tensor, embedded: torch.Tensor) -> None:
    """Put codes that were not used onto embeddings that were (as in LAPA's NSVQ)."""
    dead = torch.nonzero(used < 0.01 * used.sum() / len(used)).flatten()
    if len(dead):
        with torch.no_grad():
            rows = embedded.flatten(0, 1)
            net.codebook[dead] = rows[torch.randint(len(rows), (len(dead),))] + 1e-3 * torch.randn(len(dead), 1)


def held_out(net, frames: np.ndarray) -> dict[str, float]:
    """On clips held out: error against that of holding the earlier frame, with the code and with another pair's."""
    rng = torch.Generator().manual_seed(1)
    net.eval()
    with torch.inference_mode():
        earlier, later = drawn(frames, 256, rng)
        codes, vectors = net.quantize(net.encode(earlier, later))
        error = weighted(net.decode(earlier, vectors), earlier, later)
        other = weighted(net.decode(earlier, vectors.roll(1, 0)), earlier, later)
        hold = weighted(earlier, earlier, later)
    net.train()
    share = torch.bincount(codes.flatten(), minlength=SMALL.codes) / codes.numel()
    entropy = -(share * share.clamp_min(1e-9).log2()).sum()
    return {
        "error_to_holding": round(float(error / hold), 4),
        "with_another_code": round(float(other / hold), 4),
        "code_bits": round(float(entropy), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--state", type=Path, default=Path("runs/lapa-s.pt"))
    parser.add_argument("--shards", type=int, default=30)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    frames = read(args.data, args.shards)
    net = network(SMALL)
    optimizer = torch.optim.AdamW(net.parameters(), args.rate, weight_decay=1e-4)
    step, spent, used = 0, 0.0, torch.zeros(SMALL.codes)
    if args.state.exists():
        state = torch.load(args.state, weights_only=True)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        rng.set_state(state["rng"])
        step, spent = state["step"], state["spent"]
    started = time.time() - spent
    while step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, step / 100) * (0.5 * (1 + math.cos(math.pi * step / args.steps)) + 0.02)
        earlier, later = drawn(frames[HELD:], args.batch, rng)
        embedded = net.encode(earlier, later)
        codes, vectors = net.quantize(embedded)
        used += torch.bincount(codes.flatten(), minlength=SMALL.codes)
        loss = weighted(net.decode(earlier, net.substitute(embedded, vectors)), earlier, later)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % REPLACE_EVERY == 0 and step < REPLACE_UNTIL * args.steps:
            replaced(net, used, embedded.detach())
            used.zero_()
        if step % 250 == 0 or step == args.steps:
            error, spent = held_out(net, frames[:HELD]), time.time() - started
            print(f"{step} {spent:.0f}s loss {loss.item():.4f} held out {error}", flush=True)
            args.state.parent.mkdir(parents=True, exist_ok=True)
            parts = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "rng": rng.get_state()}
            torch.save(parts | {"step": step, "spent": spent}, args.state)
            note = {"shards": args.shards, "batch": args.batch, "rate": args.rate, "seed": args.seed, "steps": step}
            finish(net, args.out, note | {"clips": len(frames) - HELD, "held_out": error, "seconds": round(spent)})


def finish(net, out: Path, note: dict) -> None:
    """Weights, and beside them their digest."""
    save(net, SMALL, out, trained=note)
    facts = json.loads((out / "config.json").read_text("utf-8"))
    facts["sha256"] = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    (out / "config.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
