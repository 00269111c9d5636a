"""Teleoperation as generated videos would show it: `python redraw.py --data runs/sim-data --motion runs/motion-s`.

Every clip is given back by an autoencoder, of every second shard that of `wan-s`, of the others that of `motion-s`: an
IDM that has only seen sharp pictures reads soft ones worse by 13 to 20 mm. Writes `soft-*.npz` beside `teleop-*.npz`.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dreamgen_bench.world_models.motion_networks import LabRenderer

sys.path.insert(0, str(Path(__file__).parents[1] / "motion-s"))
from clips import pixels
from train import code_readers, read

WAN = Path(__file__).parents[2] / "dreamgen_bench/weights/wan-s"
Redraw = Callable[[Tensor], Tensor]
"""Pictures [T, 3, 64, 64] in -1..1 to the same, softened."""


def by_wan() -> Redraw:
    """Encoded and decoded by the autoencoder of `wan-s`."""
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan.from_pretrained(WAN / "vae").float().eval()

    def redraw(clip: Tensor) -> Tensor:
        return vae.decode(vae.encode(clip.transpose(0, 1)[None]).latent_dist.mode()).sample[0].transpose(0, 1)

    return redraw


def by_motion(work: Path) -> Redraw:
    """Drawn by the lab's renderer of `motion-s` from the true codes."""
    code_of = code_readers(work)
    renderer = read(LabRenderer(), work / "renderer-full.safetensors").eval()

    def redraw(clip: Tensor) -> Tensor:
        first, later = clip[None, 0], clip[None, 1:]
        return torch.cat([first, renderer(first, code_of(first, later))[0]])

    return redraw


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"))
    parser.add_argument("--motion", type=Path, default=Path("runs/motion-s"), help="where motion-s was trained")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = (by_wan(), by_motion(args.motion))
    for number, path in enumerate(sorted(args.data.glob("teleop-*.npz"))):
        out = path.with_name(path.name.replace("teleop", "soft"))
        if out.exists():
            continue
        with np.load(path) as shard:
            soft = torch.stack([ways[number % 2](pixels(clip)) for clip in shard["frames"]])
            frames = ((soft + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2).numpy()
            np.savez_compressed(out, frames=frames, states=shard["states"], actions=shard["actions"])
        print(out.name, flush=True)


if __name__ == "__main__":
    main()
