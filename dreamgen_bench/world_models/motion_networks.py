"""The networks of motion-code world models: a renderer, and three ways to imagine the motion.

A clip is its first frame and a short code for each frame after it. The *renderer* draws a frame from the first frame
and that frame's code; an encoder, used in training only, finds the codes of real clips without any action, as latent
actions are found (Genie: Bruce et al. 2024; LAPA: Ye et al. 2024). A *mover* sees first frame and instruction and says
the codes: at once (regression), one after another (recurrent), or out of noise (flow matching, Lipman et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional as F

CODE = 32
"""Numbers that say what is not as in the first frame:"""
COLORS, SHARP = 16, 20.0
"""Parts of the first frame whose colors are painted with; how sharply they are told apart."""
POINTS, SPOT = 10, 0.15
"""of which twice so many are places (y, x in -1..1), each drawn as a spot so wide."""
STEPS = 16
"""Frames after the first."""
WORDS = 16
"""Words of an instruction that are read."""
GAZES, NEAR = 8, 3.0
"""Places in the first frame that a mover looks up exactly; how much they weigh beside what is seen there."""
EULER, MOMENTS, CALM = 8, 4, 0.5
"""Steps from noise to codes; moments learnt from at once; of the spread that is said, how much is drawn."""


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
        self.enter = nn.Linear(CODE, large)
        self.attend = nn.Sequential(*(Attention(large, 4) for _ in range(depth)))
        self.to_medium, self.medium = nn.Conv2d(large + POINTS, middle, 1), Block(middle, middle, CODE)
        self.to_fine, self.fine = nn.Conv2d(middle + POINTS, small, 1), Block(small, small, CODE)
        self.mark = nn.ModuleList(nn.Conv2d(width, COLORS, 1) for width in widths)
        self.paint = nn.Conv2d(small, 4 * (COLORS + 3), 1)

    def forward(self, first: Tensor, codes: Tensor) -> Tensor:
        """First frames [N, 3, 64, 64] in -1..1 and codes [N, T, CODE] to frames [N, T, 3, 64, 64]."""
        count, steps = codes.shape[:2]
        seen = self.scene(first)
        palette = self.palette(first, seen).repeat_interleave(steps, 0)
        fine, medium, coarse = (x.repeat_interleave(steps, 0) for x in seen)
        code = codes.flatten(0, 1)
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
        self.say = nn.Linear(32 * 64, CODE - 2 * POINTS)
        self.spread = nn.BatchNorm1d(CODE - 2 * POINTS, affine=False)

    def forward(self, first: Tensor, frames: Tensor) -> Tensor:
        """[N, 3, 64, 64] and [N, T, 3, 64, 64] to [N, T, CODE]."""
        count, steps = frames.shape[:2]
        pair = torch.cat([first.repeat_interleave(steps, 0), frames.flatten(0, 1)], 1)
        _, medium, coarse = self.see(pair)
        found = self.find(torch.cat([medium, F.interpolate(coarse, scale_factor=2.0)], 1))
        share = found.flatten(2).softmax(2)
        points = share @ coordinates(1, 16).flatten(2).mT
        other = self.spread(self.say(self.narrow(coarse).flatten(1)))
        return torch.cat([points.flatten(1), other], 1).unflatten(0, (count, steps))


class Gaze(nn.Module):
    """Where in a picture lies what is asked for: an attention's mean place (spatial softmax, Levine et al. 2016)."""

    def __init__(self, widths: Sequence[int], depth: int = 32):
        super().__init__()
        small, middle, large = widths
        self.map, self.ask = nn.Conv2d(small + middle, depth, 1), nn.Linear(large, depth)
        self.tell = nn.Linear(depth + 2, large)

    def forward(self, asking: Tensor, fine: Tensor, medium: Tensor) -> Tensor:
        """Tokens [N, K, large], maps [N, small, 32, 32] and [N, middle, 16, 16] to tokens [N, K, large]."""
        seen = self.map(torch.cat([fine, F.interpolate(medium, scale_factor=2.0, mode="bilinear")], 1)).flatten(2)
        share = (self.ask(asking) @ seen).softmax(2)
        places = share @ coordinates(1, 32).flatten(2).mT
        return asking + self.tell(torch.cat([share @ seen.mT, NEAR * places], 2))


class Reader(nn.Module):
    """First frame and instruction to one sequence of tokens that know of each other, GAZES of them of exact places."""

    def __init__(self, vocabulary: int, width: int, depth: int):
        super().__init__()
        widths = (32, 64, width)
        self.see, self.gaze = Trunk(3, widths), Gaze(widths)
        self.asking = nn.Parameter(0.5 * torch.randn(1, GAZES, width))
        self.place = nn.Parameter(0.02 * torch.randn(1, 64, width))
        self.word, self.order = nn.Embedding(vocabulary, width), nn.Parameter(0.02 * torch.randn(1, WORDS, width))
        heads = width // 32
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.think = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, first: Tensor, words: Tensor) -> Tensor:
        """[N, 3, 64, 64] in -1..1 and word numbers [N, WORDS] to [N, 64 + WORDS + GAZES, width]."""
        fine, medium, coarse = self.see(first)
        picture, asking = coarse.flatten(2).mT + self.place, self.asking.expand(len(first), -1, -1)
        told = self.think(torch.cat([picture, self.word(words) + self.order, asking], 1))
        return torch.cat([told[:, :-GAZES], self.gaze(told[:, -GAZES:], fine, medium)], 1)


def decoder(width: int, depth: int) -> nn.TransformerDecoder:
    """Tokens that look at each other and at what was read."""
    layer = nn.TransformerDecoderLayer(width, width // 32, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerDecoder(layer, depth, nn.LayerNorm(width))


class Regression(nn.Module):
    """All codes at once, the same for every seed: the likeliest motion, or the mean of several."""

    def __init__(self, vocabulary: int, width: int = 128, depth: int = 3):
        super().__init__()
        self.read, self.imagine = Reader(vocabulary, width, depth), decoder(width, 2)
        self.frame = nn.Parameter(0.02 * torch.randn(1, STEPS, width))
        self.say = nn.Linear(width, CODE)

    def loss(self, first: Tensor, words: Tensor, codes: Tensor) -> Tensor:
        """Of real codes [N, STEPS, CODE], for each of their numbers."""
        return F.smooth_l1_loss(self.sample(first, words), codes, reduction="none")

    def sample(self, first: Tensor, words: Tensor, draw: torch.Generator | None = None) -> Tensor:
        """[N, STEPS, CODE]."""
        read = self.read(first, words)
        return self.say(self.imagine(self.frame.expand(len(read), -1, -1), read))


class Recurrent(nn.Module):
    """One code after another, each a draw around what the last ones suggest."""

    def __init__(self, vocabulary: int, width: int = 128, depth: int = 3):
        super().__init__()
        self.read = Reader(vocabulary, width, depth)
        self.look = nn.MultiheadAttention(width, width // 32, batch_first=True)
        self.enter, self.hidden = nn.Linear(CODE, width), nn.Linear(width, 2 * width)
        self.cell = nn.GRUCell(2 * width, 2 * width)
        self.ask, self.say = nn.Linear(2 * width, width), nn.Linear(2 * width, 2 * CODE)

    def loss(self, first: Tensor, words: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood of the real codes, each after the real ones before it, slightly disturbed."""
        said = self._roll(first, words, codes + 0.1 * torch.randn_like(codes), None)[1]
        mean, spread = said.chunk(2, -1)
        return F.gaussian_nll_loss(mean, codes, spread.clamp(-5, 2).exp().square(), reduction="none")

    def sample(self, first: Tensor, words: Tensor, draw: torch.Generator | None = None) -> Tensor:
        """[N, STEPS, CODE]."""
        return self._roll(first, words, None, draw)[0]

    def _roll(
        self, first: Tensor, words: Tensor, given: Tensor | None, draw: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        read = self.read(first, words)
        hidden = self.hidden(read.mean(1)).tanh()
        code, codes, said = first.new_zeros(len(first), CODE), [], []
        for step in range(STEPS):
            seen = self.look(self.ask(hidden)[:, None], read, read, need_weights=False)[0][:, 0]
            hidden = self.cell(torch.cat([self.enter(code), seen], 1), hidden)
            said.append(self.say(hidden))
            mean, spread = said[-1].chunk(2, -1)
            drawn = mean + CALM * spread.clamp(-5, 2).exp() * torch.randn(mean.shape, generator=draw)
            code = drawn if given is None else given[:, step]
            codes.append(drawn)
        return torch.stack(codes, 1), torch.stack(said, 1)


class Flow(nn.Module):
    """Codes out of noise, along the velocity that a transformer says (flow matching, Lipman et al. 2023)."""

    def __init__(self, vocabulary: int, width: int = 128, depth: int = 3):
        super().__init__()
        self.read, self.imagine = Reader(vocabulary, width, depth), decoder(width, depth)
        self.enter, self.say = nn.Linear(CODE, width), nn.Linear(width, CODE)
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.frame = nn.Parameter(0.02 * torch.randn(1, STEPS, width))

    def velocity(self, noisy: Tensor, time: Tensor, read: Tensor) -> Tensor:
        """From noise (time 0) to codes (time 1): [N, STEPS, CODE], [N], and what was read."""
        x = self.enter(noisy) + self.frame + self.time(time[:, None])[:, None]
        return self.say(self.imagine(x, read))

    def loss(self, first: Tensor, words: Tensor, codes: Tensor) -> Tensor:
        """Squared error of the velocity at four moments for each reading, since reading is what costs."""
        read = self.read(first, words).repeat_interleave(MOMENTS, 0)
        codes = codes.repeat_interleave(MOMENTS, 0)
        noise, time = torch.randn_like(codes), torch.rand(len(codes)) ** 1.5
        noisy = torch.lerp(noise, codes, time[:, None, None])
        error = self.velocity(noisy, time, read) - (codes - noise)
        return error.square().unflatten(0, (-1, MOMENTS)).mean(1)

    def sample(self, first: Tensor, words: Tensor, draw: torch.Generator | None = None) -> Tensor:
        """[N, STEPS, CODE], by Euler's steps."""
        read = self.read(first, words)
        codes = torch.randn(len(first), STEPS, CODE, generator=draw)
        for step in range(EULER):
            time = torch.full((len(first),), step / EULER)
            codes = codes + self.velocity(codes, time, read) / EULER
        return codes


MOVERS = {"regression": Regression, "recurrent": Recurrent, "flow": Flow}


def words(instruction: str) -> list[str]:
    """The words of an instruction, in lower case."""
    return re.findall(r"[a-z]+", instruction.lower())


def numbers(instruction: str, vocabulary: Mapping[str, int]) -> list[int]:
    """Word numbers, WORDS of them: 0 pads, 1 is any word that the vocabulary lacks."""
    found = [vocabulary.get(word, 1) for word in words(instruction)][:WORDS]
    return found + [0] * (WORDS - len(found))


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
