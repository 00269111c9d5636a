"""The networks of motion-code world models that draw: what a code means, and what is seen of it.

A clip is its first frame and a short code for each frame after it. The *renderer* draws a frame from the first frame
and that frame's code; an encoder, used in training only, finds the codes of real clips without any action, as latent
actions are found (Genie: Bruce et al. 2024; LAPA: Ye et al. 2024). A code's last numbers say where the hand is; the
lab's teleoperation teaches a *hand reader* that finds them, and in the lab an *arm* of its own is drawn there.
What imagines codes is in motion_movers.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional as F

SHOWN, HAND = 32, 4
"""Numbers that say what is not as in the first frame, found by drawing; and where the hand is, how wide it grips."""
CODE = SHOWN + HAND
REACH = ((-0.45, 0.37, 0.03, 0.25), (0.5, 0.92, 0.5, 1.0))
"""What of it is said as -1 and as 1: x, y, z (metres) and grip."""
COLORS, SHARP = 16, 20.0
"""Parts of the first frame whose colors are painted with; how sharply they are told apart."""
POINTS, SPOT = 10, 0.15
"""Of those shown, twice so many are places (y, x in -1..1), each drawn as a spot so wide."""
STEPS = 16
"""Frames after the first."""


def coordinates(count: int, size: int) -> Tensor:
    """float [count, 2, size, size]: where each pixel is, in -1..1."""
    line = torch.linspace(-1, 1, size)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"))[None].expand(count, 2, size, size)


class Block(nn.Module):
    """A residual block of convolutions, scaled and shifted by what it is told, if anything (FiLM, Perez 2018)."""

    def __init__(self, inner: int, outer: int, told: int = 0):
        super().__init__()
        self.norm, self.first = nn.GroupNorm(8, inner), nn.Conv2d(inner, outer, 3, padding=1)
        self.middle, self.second = nn.GroupNorm(8, outer), nn.Conv2d(outer, outer, 3, padding=1)
        self.skip = nn.Conv2d(inner, outer, 1) if inner != outer else nn.Identity()
        self.tell = nn.Linear(told, 2 * outer) if told else None

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        """[N, inner, H, W] and [N, told] to [N, outer, H, W]."""
        y = self.middle(self.first(F.silu(self.norm(x))))
        if self.tell is not None:
            scale, shift = self.tell(told)[..., None, None].chunk(2, 1)
            y = y * (1 + scale) + shift
        return self.skip(x) + self.second(F.silu(y))


class Trunk(nn.Module):
    """A picture (or several, stacked) to feature maps at a half, a quarter and an eighth of its size."""

    def __init__(self, channels: int, widths: Sequence[int]):
        super().__init__()
        small, middle, large = widths
        self.stem = nn.Conv2d(4 * channels + 2, small, 3, padding=1)
        self.fine = Block(small, small)
        self.down = nn.Conv2d(small, middle, 3, 2, 1)
        self.medium = Block(middle, middle)
        self.further = nn.Conv2d(middle, large, 3, 2, 1)
        self.coarse = Block(large, large)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, channels, 64, 64] to [N, small, 32, 32], [N, middle, 16, 16], [N, large, 8, 8]."""
        x = F.pixel_unshuffle(pictures, 2)
        fine = self.fine(self.stem(torch.cat([x, coordinates(len(x), x.shape[-1])], 1)))
        medium = self.medium(self.down(fine))
        return fine, medium, self.coarse(self.further(medium))


class Attention(nn.Module):
    """Self-attention over the cells of a feature map: what lets an arm appear far from where it was."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.place = nn.Parameter(0.02 * torch.randn(1, 64, width))

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, 8, 8] to the same."""
        return self.layer(x.flatten(2).mT + self.place).mT.unflatten(2, x.shape[2:])


def spots(points: Tensor, size: int) -> Tensor:
    """Points [N, POINTS, 2] in -1..1 as maps [N, POINTS, size, size]: a Gaussian about each."""
    y, x = coordinates(1, size)[:, :, None].unbind(1)
    away = (points[..., 0, None, None] - y).square() + (points[..., 1, None, None] - x).square()
    return torch.exp(-away / (2 * SPOT**2))


class Renderer(nn.Module):
    """Draws a frame: what of the first frame stays, and what is painted over it."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128), depth: int = 2):
        super().__init__()
        small, middle, large = widths
        self.scene = Trunk(3, widths)
        self.enter = nn.Linear(SHOWN, large)
        self.attend = nn.Sequential(*(Attention(large, 4) for _ in range(depth)))
        self.to_medium, self.medium = nn.Conv2d(large + POINTS, middle, 1), Block(middle, middle, SHOWN)
        self.to_fine, self.fine = nn.Conv2d(middle + POINTS, small, 1), Block(small, small, SHOWN)
        self.mark = nn.ModuleList(nn.Conv2d(width, COLORS, 1) for width in widths)
        self.paint = nn.Conv2d(small, 4 * (COLORS + 3), 1)

    def forward(self, first: Tensor, codes: Tensor) -> Tensor:
        """First frames [N, 3, 64, 64] in -1..1 and codes [N, T, CODE] to frames [N, T, 3, 64, 64]."""
        count, steps = codes.shape[:2]
        seen = self.scene(first)
        palette = self.palette(first, seen).repeat_interleave(steps, 0)
        fine, medium, coarse = (x.repeat_interleave(steps, 0) for x in seen)
        code = codes[..., :SHOWN].flatten(0, 1)
        points = code[:, : 2 * POINTS].unflatten(1, (POINTS, 2))
        x = self.attend(coarse + self.enter(code)[..., None, None])
        x = torch.cat([F.interpolate(x, scale_factor=2.0), spots(points, 16)], 1)
        x = self.medium(self.to_medium(x) + medium, code)
        x = torch.cat([F.interpolate(x, scale_factor=2.0), spots(points, 32)], 1)
        x = self.fine(self.to_fine(x) + fine, code)
        chosen, light, shade, cover = F.pixel_shuffle(self.paint(F.silu(x)), 2).split([COLORS, 1, 1, 1], 1)
        color = torch.einsum("nkhw,nkc->nchw", chosen.softmax(1), palette)
        painted, cover = color * (1 + light) + shade, cover.sigmoid()
        stays = first.repeat_interleave(steps, 0)
        return (stays * (1 - cover) + painted * cover).unflatten(0, (count, steps))

    def palette(self, first: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """[N, COLORS, 3]: the colors of the first frame's parts, by which whatever moves is painted in any look."""
        marks = [mark(F.normalize(x, dim=1)) for mark, x in zip(self.mark, seen, strict=True)]
        share = torch.stack([F.interpolate(mark, size=32) for mark in marks]).sum(0).flatten(2)
        return (SHARP * share).softmax(2) @ F.avg_pool2d(first, 2).flatten(2).mT


class Encoder(nn.Module):
    """Finds the code of a frame, seen beside the first: where POINTS things are now, and what else there is to say.

    Points found by drawing with them: Jakab et al., NeurIPS 2018. The rest has unit spread, by batch normalization.
    """

    def __init__(self, widths: Sequence[int] = (16, 48, 96)):
        super().__init__()
        self.see = Trunk(6, widths)
        self.find = nn.Sequential(Block(widths[1] + widths[2], 48), nn.Conv2d(48, POINTS, 1))
        self.narrow = nn.Conv2d(widths[-1], 32, 1)
        self.say = nn.Linear(32 * 64, SHOWN - 2 * POINTS)
        self.spread = nn.BatchNorm1d(SHOWN - 2 * POINTS, affine=False)

    def forward(self, first: Tensor, frames: Tensor) -> Tensor:
        """[N, 3, 64, 64] and [N, T, 3, 64, 64] to [N, T, SHOWN]."""
        count, steps = frames.shape[:2]
        pair = torch.cat([first.repeat_interleave(steps, 0), frames.flatten(0, 1)], 1)
        _, medium, coarse = self.see(pair)
        found = self.find(torch.cat([medium, F.interpolate(coarse, scale_factor=2.0)], 1))
        share = found.flatten(2).softmax(2)
        points = share @ coordinates(1, 16).flatten(2).mT
        other = self.spread(self.say(self.narrow(coarse).flatten(1)))
        return torch.cat([points.flatten(1), other], 1).unflatten(0, (count, steps))


def reached(hands: Tensor) -> Tensor:
    """Places and grips of hands [..., HAND] in metres and shares, as the numbers of a code: -1 to 1 within REACH."""
    low, high = torch.tensor(REACH)
    return 2 * (hands - low) / (high - low) - 1


def convolved(inner: int, outer: int) -> nn.Sequential:
    """A convolution 3x3, normalized in groups, and SiLU."""
    return nn.Sequential(nn.Conv2d(inner, outer, 3, 1, 1), nn.GroupNorm(8, outer), nn.SiLU())


class Arm(nn.Module):
    """The lab's own arm: its picture follows from where the hand is, and so it is drawn sharp, whatever stands near."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.read = nn.Sequential(
            nn.Linear(9 * HAND, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 64 * width)
        )
        self.draw = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Upsample(scale_factor=2.0),
            convolved(width, width),
            convolved(width, width),
            nn.Upsample(scale_factor=2.0),
            convolved(width, width),
            convolved(width, width),
            nn.Conv2d(width, 16, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, hands: Tensor) -> tuple[Tensor, Tensor]:
        """[N, T, HAND] to colors [N, T, 3, 64, 64] in -1..1 and what they cover [N, T, 1, 64, 64] in 0..1."""
        flat = hands.flatten(0, 1)
        waves = flat[..., None] * math.pi / 2 * 2.0 ** torch.arange(4)
        told = torch.cat([flat, waves.sin().flatten(1), waves.cos().flatten(1)], 1)
        drawn = self.draw(self.read(told).unflatten(1, (-1, 8, 8))).unflatten(0, hands.shape[:2])
        return drawn[:, :, :3], drawn[:, :, 3:].sigmoid()


class LabRenderer(nn.Module):
    """A renderer, and over what it draws the arm: for pictures of the lab's robot and camera."""

    def __init__(self) -> None:
        super().__init__()
        self.scene, self.arm = Renderer(), Arm()

    def forward(self, first: Tensor, codes: Tensor) -> Tensor:
        """First frames [N, 3, 64, 64] in -1..1 and codes [N, T, CODE] to frames [N, T, 3, 64, 64]."""
        color, cover = self.arm(codes[..., SHOWN:])
        return torch.lerp(self.scene(first, codes), color, cover)


def with_lora(network: nn.Module, rank: int) -> nn.Module:
    """The same, of which only low-rank changes to its matrices and convolutions learn (DreamGen, section 3.1)."""
    inside = "out_proj"  # of torch's own attention, whose weight is read past any adapter
    layers = (nn.Linear, nn.Conv2d)
    wanted = [name for name, layer in network.named_modules() if isinstance(layer, layers) and inside not in name]
    network.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=wanted), network)
    return network


def lora_of(network: nn.Module) -> dict[str, Tensor]:
    """What LoRA added to a network."""
    return get_peft_model_state_dict(network)


def adapted(network: nn.Module, changes: Mapping[str, Tensor], rank: int) -> nn.Module:
    """The network with what LoRA once added to it."""
    with_lora(network, rank)
    wrong = set(changes) ^ set(lora_of(network))
    if wrong:
        raise ValueError(f"no layer of the network fits {min(wrong)!r}")
    set_peft_model_state_dict(network, dict(changes))
    return network
