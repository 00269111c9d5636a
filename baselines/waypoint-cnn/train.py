"""Train the IDM on teleoperation data only: `python baselines/waypoint-cnn/train.py --data runs/sim-data`.

What it must hold for (other behaviors, objects and rooms) it never sees, so the pictures are changed in every way that
leaves the robot where it is: the lab behind it is rebuilt with other colors and things, colors are mixed, blur, noise.
Half of the clips are soft, as autoencoders of world models give them back (redraw.py).
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

from dreamgen_bench.idms.waypoint_cnn import network, prepared, windows

sys.path.insert(0, str(Path(__file__).parents[1] / "sim-data"))
from pictures import augmented, background

OUT = Path(__file__).parents[2] / "dreamgen_bench/weights/waypoint-cnn"


def read(folder: Path, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames [N, T, 64, 64, 3] and labels [N, T - 1, 8] of `teleop`, or of `soft`: the same clips, redrawn."""
    frames, labels = [], []
    for path in sorted(folder.glob(f"{what}-*.npz")):
        data = np.load(path)
        frames.append(data["frames"])
        labels.append(np.concatenate([data["states"][:, 1:], data["actions"]], 2))
    return np.concatenate(frames), np.concatenate(labels).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--init", type=Path, help="folder of weights to go on from")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    (frames, labels), (soft, same) = read(args.data, "teleop"), read(args.data, "soft")
    held, empty = len(frames) // 20, background(frames)
    mean, std = labels.reshape(-1, 8).mean(0), labels.reshape(-1, 8).std(0)
    inputs = np.concatenate([windows(clip) for clip in (*frames[held:], *soft[held:])])
    told = np.concatenate([labels[held:], same[held:]])
    targets = torch.from_numpy(((told - mean) / std).reshape(-1, 8))
    net = network()
    if args.init:
        start = load_file(args.init / "model.safetensors")
        net.load_state_dict({name: value.float() for name, value in start.items()})
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-3)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    started = time.time()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, step / 100) * (0.5 * (1 + math.cos(math.pi * step / args.steps)) + 0.01)
        index = torch.randint(len(targets), (args.batch,), generator=rng)
        batch = augmented(torch.from_numpy(inputs[index.numpy()]).float(), empty, rng)
        loss = F.smooth_l1_loss(net(prepared(batch)), targets[index], beta=0.3)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        if step % 250 == 249 or step == args.steps - 1:
            error = held_out(average.module, frames[:held], labels[:held], mean, std)
            error["hand_mm_soft"] = held_out(average.module, soft[:held], same[:held], mean, std)["hand_mm"]
            print(f"{step + 1} {time.time() - started:.0f}s loss {loss.item():.4f} held out {error}", flush=True)
            save(average.module, args.out, mean, std, step + 1, error)


def held_out(net, frames, labels, mean, std) -> dict[str, float]:
    net.eval()
    with torch.inference_mode():
        out = torch.cat([net(prepared(torch.from_numpy(windows(clip)).float())) for clip in frames])
    out = out.numpy() * std + mean
    away = np.abs(out - labels.reshape(-1, 8)).mean(0)
    return {
        "hand_mm": round(float(away[:3].mean() * 1000), 2),
        "opening": round(float(away[3]), 4),
        "grip": round(float(away[7]), 4),
    }


def save(net, out: Path, mean, std, steps: int, error: dict[str, float]) -> None:
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
