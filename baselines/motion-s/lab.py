"""What only the lab can teach: `python lab.py hand|arm|renderer`, its clips being those whose hands are known.

hand       the hand reader: where the hand is in a frame, in whatever look, so that it also reads videos without
           actions (before `train.py codes`)
arm        the lab's arm: its picture, and what it covers, from where the hand is
renderer   every weight of the renderer, and the arm over it
"""

import argparse
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from clips import columns, shards
from hands import HandReader, lesson, warmed
from pictures import background, bare, disguised, furnished, pixels, standing
from places import rarity
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from train import BLUR, Course, drawing_loss, drawn_steps, psnr, read, save, settled_encoder

from dreamgen_bench.world_models import motion_networks as networks

IDM = Path(networks.__file__).parents[1] / "weights/waypoint-play"
"""From whose layers a hand reader may begin: `lab.py hand --init waypoint-play`."""
ROOMS = 2
"""Of so many shards of siblings one lends its rooms."""


@dataclass(frozen=True)
class Lab:
    """Frames uint8 [N, 1 + STEPS, H, W, 3], states [N, 1 + STEPS, HAND] (metres, grip), the same as codes say them.

    And the empty room [3, H, W].
    """

    frames: np.ndarray
    states: np.ndarray
    hands: Tensor
    empty: Tensor


def the_lab(data: Path) -> Lab:
    frames, states = columns(data, "lab", "states")
    hands = networks.reached(torch.from_numpy(states))
    return Lab(frames, states, hands, pixels(background(frames).numpy()))


def learn_hand(args: argparse.Namespace, lab: Lab) -> None:
    """Steps of 24 clips: the lab furnished, and its arm in other colors before the rooms of siblings."""
    reader = HandReader()
    if args.init == IDM.name:
        warmed(reader, load_file(IDM / "model.safetensors"))
    elif args.init:
        read(reader, args.work / f"{args.init}.safetensors")
    course, rng = Course(reader, args.minutes, args.rate), np.random.default_rng(0)
    lent = islice(shards(args.data, "siblings"), 0, None, ROOMS)
    rooms = np.concatenate([bare(clips) for clips, _ in lent])
    often = rarity(lab.states[..., :3])
    while course.share < 1:
        landmarks, frames, index, shown = lesson(lab.frames, often, rooms, lab.empty, rng)
        with torch.autocast("cpu", torch.bfloat16):
            found = course.network(landmarks, frames)
        if course.learn(F.smooth_l1_loss(found.float(), lab.hands[index[:, None], shown], beta=0.05)):
            course.report()
            save(course.average, args.work / "hand.safetensors", steps=course.step)
    save(course.average, args.work / "hand.safetensors", steps=course.step)


def learn_arm(args: argparse.Namespace, lab: Lab) -> None:
    """Steps of 24 frames, over rooms that are anything: what hides them wherever the hand is there is the arm."""
    course, rng = Course(networks.Arm(), args.minutes, args.rate), np.random.default_rng(0)
    singles, hands = lab.frames.reshape(-1, *lab.frames.shape[2:]), lab.hands.flatten(0, 1)
    while course.share < 1:
        index, others = rng.integers(len(singles), size=(2, 24))
        pictures, room = pixels(singles[index]), any_room(pixels(singles[others]), lab.empty)
        shown = F.max_pool2d(standing(pictures, lab.empty).float(), 3, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            color, cover = course.network((hands[index] + 0.01 * torch.randn(len(index), networks.HAND))[:, None])
        error = torch.lerp(room, color[:, 0].float(), cover[:, 0].float()) - torch.lerp(room, pictures, shown)
        if course.learn((error.abs() + error.square()).mean()):
            course.report()
    save(course.average, args.work / "arm.safetensors", steps=course.step)


def any_room(others: Tensor, empty: Tensor) -> Tensor:
    """As many rooms as other pictures [N, 3, H, W]: of one color, those pictures upside down, or the empty lab."""
    draw = torch.rand(len(others), 1, 1, 1)
    plain = (2 * torch.rand(len(others), 3, 1, 1) - 1).expand_as(others)
    return torch.where(draw < 0.35, plain, torch.where(draw < 0.7, others.flip(2), empty.expand_as(others)))


def learn_renderer(args: argparse.Namespace, lab: Lab) -> None:
    """Two clips of the lab and two siblings a step.

    In the lab the arm is drawn where teleoperation says that the hand was; siblings, in whose looks no arm is known,
    keep what the renderer knows of everything else.
    """
    siblings = np.concatenate([clips for clips, _ in shards(args.data, "siblings")])[: len(lab.frames)]
    encoder, renderer, rng = settled_encoder(args.work), networks.LabRenderer(), np.random.default_rng(0)
    if args.init:
        read(renderer, args.work / f"{args.init}.safetensors")
    else:
        read(renderer.scene, args.work / "renderer.safetensors")
        read(renderer.arm, args.work / "arm.safetensors")
    course, all_clips = Course(renderer, args.minutes, args.rate), np.arange(len(siblings))
    held, known = all_clips[:2400:100], np.delete(all_clips, np.s_[:2400:100])

    def keep() -> None:
        save(course.average, args.work / "renderer-full.safetensors", steps=course.step)
        first, later = pixels(lab.frames[held, 0]), pixels(lab.frames[held, 1:])
        with torch.no_grad():
            drawn = course.average(first, torch.cat([encoder(first, later), lab.hands[held, 1:]], -1))
        course.report(**psnr(drawn, later, first))

    while course.share < 1:
        index = rng.choice(known, size=4)
        steps = drawn_steps(rng, len(index))
        picked = np.concatenate([lab.frames[index[:2]], siblings[index[2:]]])
        clips = pixels(picked[np.arange(4)[:, None], steps])
        wanted, shown = furnished(clips, lab.empty), disguised(clips)
        with torch.autocast("cpu", torch.bfloat16):  # 1.7 times as fast
            codes = encoder(shown[:, 0], shown[:, 1:])
            scene = course.network.scene(wanted[:, 0], codes + BLUR * torch.randn_like(codes)).float()
            hands = lab.hands[index[:2, None], steps[:2, 1:]]
            color, cover = course.network.arm(hands + 0.01 * torch.randn_like(hands))
        drawn = torch.cat([torch.lerp(scene[:2], color.float(), cover.float()), scene[2:]])
        if course.learn(drawing_loss(drawn, wanted[:, 1:], wanted[:, 0])):
            keep()
    keep()


LEARN = {"hand": learn_hand, "arm": learn_arm, "renderer": learn_renderer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=LEARN)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"), help="of baselines/sim-data")
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"), help="for the weights")
    parser.add_argument("--init", default="", help="name of the weights from which it goes on, or of the IDM")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    args.work.mkdir(parents=True, exist_ok=True)
    LEARN[args.what](args, the_lab(args.data))


if __name__ == "__main__":
    main()
