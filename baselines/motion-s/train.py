"""Train the motion-code world models: `python train.py code|renderer|codes|mover|sft`, in this order.

    code       renderer and encoder together, on pairs of frames: what a code means
    renderer   what LoRA adds to the renderer for the lab, the codes being settled
    codes      the codes of every clip, so that movers never see a frame but the first (after `lab.py hand`)
    mover      one of motion_movers.MOVERS (--kind) on the siblings' codes; leaves the rungs of its ladder
    sft        a mover on demonstrations in the lab: --lora RANK of peft, or 0 for every weight

A stage runs for `--minutes` and leaves averaged weights every minute: stop it when you like.
"""

import argparse
import copy
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from clips import Clips, explained, shards, vocabulary
from hands import HandReader
from pictures import background, disguised, furnished, pixels
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from dreamgen_bench.world_models import motion_movers as movers
from dreamgen_bench.world_models import motion_networks as networks

RUNGS = (0.04, 0.12, 0.35)  # shares of a mover's training at which its weights are kept: the family's lesser members
FRAMES = 4  # of a clip, drawn to a step
BLUR = torch.tensor([0.01] * 2 * networks.POINTS + [0.1] * (networks.SHOWN - 2 * networks.POINTS))
"""Noise on codes: what a mover gets slightly wrong is still drawn well."""
MATTERS = 4.0
"""How much each number of the hand counts to a mover, where one that is seen counts 1 on average."""
Size = tuple[str, int, int]
"""Kind, width and depth of a mover."""
Scale = tuple[Tensor, Tensor]
"""Mean and spread [CODE] of the codes that a mover learnt, which it says as 0 and as 1."""


# Training


class Course:
    """One training by the clock: rate, clipping, averaged weights, a line a minute."""

    def __init__(self, network: nn.Module, minutes: float, rate: float, horizon: float = 0.998):
        self.network, self.average = network, copy.deepcopy(network).requires_grad_(False).eval()
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, rate, betas=(0.9, 0.95), weight_decay=0.01)
        self.minutes, self.rate, self.horizon = minutes, rate, horizon
        self.start = self.said = time.time()
        self.step, self.loss = 0, 0.0

    @property
    def share(self) -> float:
        """Of the time, 0 to 1."""
        return min(1.0, (time.time() - self.start) / (60 * self.minutes))

    def learn(self, loss: Tensor) -> bool:
        """One clipped step, the rate warmed up and then a cosine. True once a minute."""
        rate = self.rate * min(1, (self.step + 1) / 100) * (0.485 * (1 + math.cos(math.pi * self.share)) + 0.03)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.loss = 0.98 * self.loss + 0.02 * loss.item() if self.step else loss.item()
        self.step += 1
        self._average()
        due = time.time() - self.said > 60
        self.said = time.time() if due else self.said
        return due

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.horizon, self.step / (self.step + 15))
        for mine, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(new, 1 - keep)
        for mine, new in zip(self.average.buffers(), self.network.buffers(), strict=True):
            mine.copy_(new)

    def report(self, **figures: float) -> None:
        said = {"step": self.step, "minutes": (time.time() - self.start) / 60, "loss": self.loss} | figures
        print(json.dumps({name: round(value, 4) for name, value in said.items()}), flush=True)


def save(network: nn.Module, path: Path, **said: object) -> None:
    """In float16, with what the file says of itself; of a network with LoRA only what was added."""
    weights = networks.lora_of(network) if any("lora_" in name for name, _ in network.named_parameters()) else {}
    weights = {name: value.half().contiguous() for name, value in (weights or network.state_dict()).items()}
    save_file(weights, path, {name: str(value) for name, value in said.items()})


def read(network: nn.Module, path: Path) -> nn.Module:
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network


# The code


class Autoencoder(nn.Module):
    """Encoder and renderer, learnt together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.renderer = networks.Encoder(), networks.Renderer()

    def forward(self, shown: Tensor, first: Tensor) -> Tensor:
        """What moves in clips [N, 1 + T, 3, H, W] drawn into first frames [N, 3, H, W], which may look otherwise."""
        codes = self.encoder(shown[:, 0], shown[:, 1:])
        return self.renderer(first, codes + BLUR * torch.randn_like(codes) if self.training else codes)


def weight_of(frames: Tensor, first: Tensor) -> Tensor:
    """[N, T, 1, H, W]: 1, and more where something is not as it was, or is small and coloured as pucks are."""
    changed = ((frames - first[:, None]).abs().amax(2, keepdim=True) > 0.12).float()
    flat = frames.flatten(0, 1)
    local = (flat - F.avg_pool2d(flat, 13, 1, 6, count_include_pad=False)).abs().amax(1, keepdim=True)
    return 1 + 3 * changed + 2 * (local > 0.4).float().unflatten(0, frames.shape[:2])


@torch.no_grad()
def psnr(drawn: Tensor, frames: Tensor, first: Tensor) -> dict[str, float]:
    """Of whole pictures, and of the pixels that are not as they were."""
    error = ((drawn - frames) / 2).square()
    changed = ((frames - first[:, None]).abs().amax(2, keepdim=True) > 0.12).float()
    parts = {"psnr": error.mean(), "changed": (error * changed).sum() / (3 * changed.sum())}
    return {name: -10 * math.log10(part) for name, part in parts.items()}


def learn_drawing(
    course: Course, frames: np.ndarray, draw: Callable[[Tensor, Tensor], Tensor], looks: Callable[[Tensor], Tensor]
) -> Iterator:
    """Steps of four clips with FRAMES frames each: many small steps beat few big ones. Yields once a minute.

    `draw` gets clips in disguise, and first frames in the looks in which it has to draw.
    """
    rng = np.random.default_rng(0)
    while course.share < 1:
        index = rng.integers(len(frames), size=4)
        clips = pixels(frames[index[:, None], drawn_steps(rng, len(index))])
        wanted = looks(clips)
        first, later = wanted[:, 0], wanted[:, 1:]
        with torch.autocast("cpu", torch.bfloat16):  # 1.7 times as fast
            drawn = draw(disguised(clips), first)
        if course.learn(drawing_loss(drawn, later, first)):
            yield


def drawn_steps(rng: np.random.Generator, count: int) -> np.ndarray:
    """Of `count` clips the first frame and FRAMES others: int [count, 1 + FRAMES]."""
    return np.stack([np.r_[0, rng.permutation(networks.STEPS)[:FRAMES] + 1] for _ in range(count)])


def drawing_loss(drawn: Tensor, frames: Tensor, first: Tensor) -> Tensor:
    """Of frames [N, T, 3, H, W] as they were drawn into first ones [N, 3, H, W]."""
    error = drawn - frames
    return ((error.abs() + error.square()) * weight_of(frames, first)).mean()


def train_code(args: argparse.Namespace) -> None:
    frames = np.concatenate([clips for clips, _ in shards(args.data, "siblings")])
    held = pixels(np.concatenate([clips for clips, _ in shards(args.data, "siblings-held")])[:24])
    autoencoder = Autoencoder()
    if (args.work / "encoder.safetensors").exists():  # go on
        read(autoencoder.encoder, args.work / "encoder.safetensors")
        read(autoencoder.renderer, args.work / "renderer.safetensors")
    course = Course(autoencoder, args.minutes, args.rate)
    for _ in learn_drawing(course, frames, course.network, disguised):
        keep_code(course, args.work, held)
    keep_code(course, args.work, held)


def keep_code(course: Course, work: Path, held: Tensor) -> None:
    save_file(course.average.encoder.state_dict(), work / "encoder.safetensors")  # its spread is beyond float16
    save(course.average.renderer, work / "renderer.safetensors")
    course.report(**psnr(course.average(held, held[:, 0]), held[:, 1:], held[:, 0]))


def settled_encoder(work: Path) -> networks.Encoder:
    return read(networks.Encoder(), work / "encoder.safetensors").eval().requires_grad_(False)


def train_renderer(args: argparse.Namespace) -> None:
    """What LoRA adds to the renderer, half on the lab, half on siblings."""
    frames = np.concatenate([clips for clips, _ in shards(args.data, "siblings")])
    lab = np.concatenate([clips for clips, _ in shards(args.data, "lab")])
    frames = np.concatenate([lab, frames[: len(lab)]])
    looks = partial(furnished, empty=pixels(background(lab).numpy()))
    held, frames = pixels(frames[:2400:100]), np.delete(frames, np.s_[:2400:100], 0)
    encoder, renderer = settled_encoder(args.work), read(networks.Renderer(), args.work / "renderer.safetensors")
    course = Course(networks.with_lora(renderer, args.lora), args.minutes, args.rate)

    def drawn(shown: Tensor, first: Tensor) -> Tensor:
        codes = encoder(shown[:, 0], shown[:, 1:])
        return renderer(first, codes + BLUR * torch.randn_like(codes))

    def keep() -> None:
        save(course.average, args.work / "renderer-sft.safetensors", rank=args.lora, steps=course.step)
        with torch.no_grad():
            again = course.average(held[:, 0], encoder(held[:, 0], held[:, 1:]))
        course.report(**psnr(again, held[:, 1:], held[:, 0]))

    for _ in learn_drawing(course, frames, drawn, looks):
        keep()
    keep()


def code_readers(work: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """What reads whole codes: first frames [N, 3, H, W], later ones [N, T, 3, H, W] to [N, T, CODE]."""
    encoder, hands = settled_encoder(work), read(HandReader(), work / "hand.safetensors").eval()

    def whole(first: Tensor, later: Tensor) -> Tensor:
        return torch.cat([encoder(first, later), hands.read(torch.cat([first[:, None], later], 1))], -1)

    return whole


@torch.no_grad()
def coded(work: Path, frames: np.ndarray) -> np.ndarray:
    """Codes of clips, float16 [N, STEPS, CODE]."""
    torch.set_num_threads(1)
    code_of, codes = code_readers(work), []
    with torch.autocast("cpu", torch.bfloat16):
        for part in np.array_split(frames, math.ceil(len(frames) / 8)):
            codes.append(code_of(pixels(part[:, 0]), pixels(part[:, 1:])).half().numpy())
    return np.concatenate(codes)


def write_codes(args: argparse.Namespace) -> None:
    """First frames (uint8), codes and behaviors of every set: `codes-SET.npz`. Two processes."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for what in ("siblings-held", "demos-held", "demos", "siblings"):
            if (args.work / f"codes-{what}.npz").exists():
                continue
            frames, behaviors = zip(*shards(args.data, what), strict=True)
            codes = np.concatenate(list(pool.map(partial(coded, args.work), frames)))
            first = np.concatenate([clips[:, 0] for clips in frames])
            np.savez(args.work / f"codes-{what}.npz", first=first, codes=codes, behavior=np.concatenate(behaviors))
            print(what, codes.shape, float(codes.astype(np.float32).std()), flush=True)


# Movers


@torch.no_grad()
def seen_of(work: Path, clips: Clips) -> Tensor:
    """What each number counts [CODE]: how much a picture changes with half its spread, 1 on average; hands MATTERS."""
    renderer = read(networks.Renderer(), work / "renderer.safetensors").eval()
    first, codes = pixels(clips.first[:24]), torch.from_numpy(clips.codes[:24]).float()[:, ::5]
    drawn = renderer(first, codes)
    nudges = 0.5 * torch.diag(clips.spread)[: networks.SHOWN]
    change = torch.stack([(renderer(first, codes + nudge) - drawn).square().mean() for nudge in nudges])
    return torch.cat([change / change.mean(), torch.full((networks.HAND,), MATTERS)])


def learn_motion(course: Course, sources: Sequence[Clips], matters: Tensor, batch: int, seed: int) -> Iterator[bool]:
    """Steps of `batch` clips, of each source as many, each number as it `matters`. Yields whether a minute is over."""
    rng, draw = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    while course.share < 1:
        drawn = [clips.take(rng.integers(len(clips.codes), size=batch // len(sources)), draw) for clips in sources]
        first, words, codes = (torch.cat(part) for part in zip(*drawn, strict=True))
        with torch.autocast("cpu", torch.bfloat16):  # 1.3 times as fast
            loss = course.network.loss(disguised(first[:, None])[:, 0], words, codes)
        yield course.learn((loss.float() * matters).mean())


@torch.no_grad()
def held_out(mover: nn.Module, clips: Clips) -> dict[str, float]:
    """Loss, and the share of the codes' variance that a video of it explains, on clips never trained on."""
    draw = torch.Generator().manual_seed(1)
    first, words, codes = clips.take(np.arange(min(45, len(clips.codes))), draw)
    share = explained(mover.sample(first, words, draw), codes)
    return {"held": mover.loss(first, words, codes).mean().item(), "explained": share}


def new_mover(size: Size) -> nn.Module:
    kind, width, depth = size
    return movers.MOVERS[kind](len(vocabulary()) + 2, width, depth)


def trained_mover(work: Path, name: str) -> tuple[nn.Module, Size, Scale, tuple[int, float]]:
    """A mover by the name of its weights, what it is, its scale, and its steps and minutes so far, as its file says."""
    path = work / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        said = file.metadata()
    size = said["kind"], int(said["width"]), int(said["depth"])
    weights = {name: value.float() for name, value in load_file(path).items()}
    scale = weights.pop("mean"), weights.pop("spread")
    mover = new_mover(size)
    mover.load_state_dict(weights)
    return mover, size, scale, (int(said["steps"]), float(said["minutes"]))


def keep_mover(course: Course, path: Path, scale: Scale, size: Size, before: tuple[int, float] = (0, 0.0)) -> None:
    """With all that is needed to use it: kind, sizes, words, the codes' scale. `before`: steps, minutes."""
    said = dict(zip(("kind", "width", "depth"), size, strict=True)) | {"vocabulary": json.dumps(list(vocabulary()))}
    course.average.register_buffer("mean", scale[0])
    course.average.register_buffer("spread", scale[1])
    minutes = round(before[1] + (time.time() - course.start) / 60, 1)
    save(course.average, path, **said, steps=before[0] + course.step, minutes=minutes)
    del course.average.mean, course.average.spread


def train_mover(args: argparse.Namespace) -> None:
    clips, held = Clips(args.work, "siblings"), Clips(args.work, "siblings-held")
    size: Size = args.kind, args.width, args.depth
    before = (0, 0.0)
    if args.init:
        mover, size, _, before = trained_mover(args.work, args.init)
    else:
        mover = new_mover(size)
        seen = load_file(args.work / "renderer.safetensors")  # it already knows looks; the last map is of another width
        parts = {name.removeprefix("scene."): value for name, value in seen.items() if name.startswith("scene.")}
        mine = mover.read.see.state_dict()
        mover.read.see.load_state_dict(mine | {n: v.float() for n, v in parts.items() if v.shape == mine[n].shape})
    course, rungs = Course(mover, args.minutes, args.rate), list(RUNGS if not args.init else ())
    name = args.name or args.kind
    for due in learn_motion(course, [clips], seen_of(args.work, held), args.batch, args.seed):
        if rungs and course.share > rungs[0]:
            keep_mover(course, args.work / f"{name}-{100 * rungs.pop(0):g}.safetensors", clips.scale, size)
            course.report(**held_out(course.average, held))
        if due:
            keep_mover(course, args.work / f"{name}.safetensors", clips.scale, size, before)
            course.report(**held_out(course.average, held))
    keep_mover(course, args.work / f"{name}.safetensors", clips.scale, size, before)
    course.report(**held_out(course.average, held))


def adapt_mover(args: argparse.Namespace) -> None:
    """A trained mover, half on demonstrations in the lab, half on what it knows; of LoRA what was added is kept."""
    variant = args.variant or ("sft" if args.lora else "full")
    mover, size, told, _ = trained_mover(args.work, args.name)
    sets = ("demos", "siblings", "siblings-held", "demos-held")
    clips, known, held, lab = (Clips(args.work, what, told) for what in sets)
    mover = networks.with_lora(mover, args.lora) if args.lora else mover
    course = Course(mover, args.minutes, args.rate, horizon=0.99)

    def report() -> None:
        course.report(**held_out(course.average, held), lab=held_out(course.average, lab)["explained"])

    report()
    for due in learn_motion(course, [clips, known], seen_of(args.work, held), args.batch, args.seed):
        if due:
            report()
    if args.lora:
        save(course.average, args.work / f"{args.name}-{variant}.safetensors", rank=args.lora, steps=course.step)
    else:
        keep_mover(course, args.work / f"{args.name}-{variant}.safetensors", clips.scale, size)
    report()


STAGES = {
    "code": train_code,
    "renderer": train_renderer,
    "codes": write_codes,
    "mover": train_mover,
    "sft": adapt_mover,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data", type=Path, default=Path("runs/sim-data"), help="of baselines/sim-data")
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"), help="for codes and weights")
    parser.add_argument("--kind", choices=movers.MOVERS, default="regression")
    parser.add_argument("--name", default="", help="of the weights, where it is not the kind")
    parser.add_argument("--init", default="", help="name of the weights from which a mover goes on")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--batch", type=int, default=32, help="clips to a step of a mover")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--lora", type=int, default=4, help="rank of the changes that learn; 0: every weight learns")
    parser.add_argument("--variant", default="", help="of the adapted: sft, arm (with --lora) or full, as in shelf.py")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    STAGES[args.stage](args)


if __name__ == "__main__":
    main()
