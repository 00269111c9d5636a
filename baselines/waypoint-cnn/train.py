"""Train an IDM of this kind: `python baselines/waypoint-cnn/train.py --data runs/sim-data --sets teleop soft`.

    --sets teleop soft    `waypoint-cnn`: teleoperation only, half of it as autoencoders give it back (redraw.py)
    --sets teleop play    `waypoint-play`: and the hand taken about among the things of every behavior

What it must hold for (other objects and rooms, generated videos) it never sees, so the pictures are changed in every
way that leaves the robot where it is: the lab behind it is rebuilt with other colors and things, colors are mixed, the
picture is blurred and made noisy; and half of them are softened, because what is dreamed is soft.
"""

import argparse
import hashlib
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from dreamgen_bench.idms.waypoint_cnn import OFFSETS, network, prepared, windows

sys.path.insert(0, str(Path(__file__).parents[1] / "sim-data"))
from labeled import labeled, parted
from pictures import augmented, background, softened

WEIGHTS = Path(__file__).parents[2] / "dreamgen_bench/weights"
HELD = 60
"""Clips of each set that are held out."""
COUNTS = (1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 1.0)
"""How much each label counts: what a robot is made to follow counts in full."""


def started_from(folder: Path, net) -> tuple[np.ndarray, np.ndarray]:
    """Load weights to go on from; the mean and spread of the labels that they were trained on."""
    start, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text("utf-8"))
    net.load_state_dict({name: value.float() for name, value in start.items()})
    return np.array(config["mean"], np.float32), np.array(config["std"], np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--sets", nargs="+", default=["teleop", "soft"])
    parser.add_argument("--out", type=Path, default=WEIGHTS / "waypoint-cnn")
    parser.add_argument("--steps", type=int, default=7500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--init", type=Path, help="folder of weights to go on from")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    sets = labeled(args.data, args.sets)
    empty = background(sets["teleop"][0])
    held, frames, labels = parted(sets, HELD)
    net, last = network(), frames.shape[1] - 1
    mean, std = labels.reshape(-1, 8).mean(0), labels.reshape(-1, 8).std(0)
    if args.init:
        mean, std = started_from(args.init, net)
    targets = torch.from_numpy((labels - mean) / std)
    optimizer = torch.optim.AdamW(net.parameters(), args.rate, betas=(0.9, 0.99), weight_decay=1e-3)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    started = time.time()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, step / 100) * (0.5 * (1 + math.cos(math.pi * step / args.steps)) + 0.01)
        clip = torch.randint(len(frames), (args.batch,), generator=rng).numpy()
        at = torch.randint(last, (args.batch,), generator=rng).numpy()
        steps = np.clip(at[:, None] + OFFSETS, 0, last)
        seen = frames[clip[:, None], np.pad(steps, ((0, 0), (1, 0)))]  # and the clip's first
        batch = softened(augmented(torch.from_numpy(seen).float(), empty, rng), rng)
        away = F.smooth_l1_loss(net(prepared(batch)), targets[clip, at], beta=0.15, reduction="none")
        loss = (away * torch.tensor(COUNTS)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        if step % 250 == 249 or step == args.steps - 1:
            error = {what: held_out(average.module, *both, mean, std) for what, both in held.items()}
            print(f"{step + 1} {time.time() - started:.0f}s loss {loss.item():.4f} held out {error}", flush=True)
            save(average.module, args.out, mean, std, step + 1, error)


def held_out(net, frames, labels, mean, std) -> dict[str, float]:
    net.eval()
    with torch.inference_mode():
        out = torch.cat([net(prepared(torch.from_numpy(windows(clip)).float())) for clip in frames])
    out = out.numpy() * std + mean
    off = out - labels.reshape(-1, 8)
    away = np.abs(off).mean(0)
    return {
        "hand_mm": round(float(np.linalg.norm(off[:, :3], axis=1).mean() * 1000), 1),
        "opening": round(float(away[3]), 4),
        "grip": round(float(away[7]), 4),
    }


def save(net, out: Path, mean, std, steps: int, error: dict[str, dict[str, float]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items()}, out / "model.safetensors")
    sha256 = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    config = {
        "width": 32,
        "size": 64,
        "mean": mean.tolist(),
        "std": std.tolist(),
        "steps": steps,
        "held_out": error,
        "sha256": sha256,
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
