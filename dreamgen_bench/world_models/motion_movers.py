"""The networks of motion-code world models that imagine: three movers, which say codes (motion_networks.py).

A *mover* sees first frame and instruction and says the codes of the frames to come: at once (regression), one after
another (recurrent), or out of noise (flow matching, Lipman et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .motion_networks import CODE, STEPS, Trunk, coordinates

WORDS = 16
"""Words of an instruction that are read."""
GAZES, NEAR = 8, 3.0
"""Places in the first frame that a mover looks up exactly; how much they weigh beside what is seen there."""
EULER, MOMENTS, CALM = 8, 4, 0.5
"""Steps from noise to codes; moments learnt from at once; of the spread that is said, how much is drawn."""


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
