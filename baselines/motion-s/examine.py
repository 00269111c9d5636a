"""Does a mover read what it is told? `python examine.py --work runs/motion-s regression flow ...`

On clips never trained on, the share of the codes' variance that its video explains, when the instruction is one of the
wordings it was taught, one that it never met, and one of another behavior; and what that costs, clip by clip.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from clips import INSTRUCTIONS, WORDINGS, Clips
from pictures import pixels
from train import trained_mover

from dreamgen_bench import stats
from dreamgen_bench.world_models import motion_movers as movers

TOLD = ("taught", "never taught", "another behavior")


def told(behavior: str, how: str, number: int) -> str:
    """An instruction for a clip of `behavior`."""
    if how == "another behavior":
        names = sorted(INSTRUCTIONS)
        behavior = names[(names.index(behavior) + 7) % len(names)]
    wordings = INSTRUCTIONS[behavior][WORDINGS:] if how == "never taught" else INSTRUCTIONS[behavior][:WORDINGS]
    return wordings[number % len(wordings)]


@torch.no_grad()
def errors(mover: torch.nn.Module, clips: Clips, how: str) -> np.ndarray:
    """Squared error of each clip's codes, in shares of the variance of all codes; float [N]."""
    texts = [told(behavior, how, number) for number, behavior in enumerate(clips.behavior)]
    words = torch.tensor([movers.numbers(text, clips.known) for text in texts])
    codes = clips.scaled(torch.from_numpy(clips.codes))
    said = mover.sample(pixels(clips.first), words, torch.Generator().manual_seed(1))
    return ((said - codes).square().mean((1, 2)) / codes.var()).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="of weights in the work folder")
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips(args.work, "siblings-held")
    tasks = [str(number) for number in range(len(clips.codes))]
    print("| mover | instruction | explained | less than taught [95 %] |\n|---|---|---|---|")
    for name in args.names:
        mover = trained_mover(args.work, name)[0].eval()
        taught = errors(mover, clips, "taught")
        for how in TOLD:
            found = errors(mover, clips, how)
            less = stats.paired_difference(found.tolist(), taught.tolist(), tasks=tasks)
            ends = f"{less.mean:.3f} [{less.ci95[0]:.3f}, {less.ci95[1]:.3f}]" if how != "taught" else ""
            print(f"| {name} | {how} | {1 - found.mean():.3f} | {ends} |")


if __name__ == "__main__":
    main()
