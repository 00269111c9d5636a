"""Does a code mean the same in every look? `python looks.py --work runs/motion-s --mover regression`.

The same tasks of `metaworld-behavior-v1` are acted out in several looks. For each: the share of the variance of its
codes that the codes of the same motion in the lab explain, and the share that what the mover says explains.
"""

import argparse
from pathlib import Path

import torch
from clips import Clips, explained
from pictures import pixels
from torch import Tensor
from train import code_readers, trained_mover

from dreamgen_bench import suites
from dreamgen_bench.envs import start
from dreamgen_bench.envs.experts import expert, record
from dreamgen_bench.types import Task
from dreamgen_bench.world_models import motion_movers as movers

LOOKS = ("lab", "object-3", "environment-7", "environment-9", "sibling-600010")


def acted(task: Task, look: str) -> Tensor:
    """The expert's frames [17, 3, 64, 64] of a task in a look."""
    state = task.state
    env = start(state["behavior"], state["scene"], state["seed"], look)
    return pixels(record(env, expert(env)).frames)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"))
    parser.add_argument("--mover", default="regression", help="name of weights in the work folder")
    parser.add_argument("--every", type=int, default=2, help="task of the suite")
    args = parser.parse_args()
    torch.set_num_threads(1)
    code_of, clips = code_readers(args.work), Clips(args.work, "siblings-held")
    mover = trained_mover(args.work, args.mover)[0].eval()
    tasks = suites.load("metaworld-behavior-v1").tasks[:: args.every]
    words = torch.tensor([movers.numbers(task.instruction, clips.known) for task in tasks])
    lab = None
    print("| look | by the lab's codes | by the mover |\n|---|---|---|")
    for look in LOOKS:
        shown = torch.stack([acted(task, look) for task in tasks])
        codes = clips.scaled(torch.cat([code_of(clip[:1], clip[None, 1:]) for clip in shown]))
        lab = codes if lab is None else lab
        said = mover.sample(shown[:, 0], words, torch.Generator().manual_seed(1))
        print(f"| {look} | {explained(lab, codes):.2f} | {explained(said, codes):.2f} |", flush=True)


if __name__ == "__main__":
    main()
