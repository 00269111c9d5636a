"""How long, how fast and how much of a model is adapted: frozen values, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..types import UserError

_PAPER = "DreamGen (arXiv 2505.12705), appendices C, D and F: LoRA of WAN 2.1, rank 4, alpha 4, rate 1e-4"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One adaptation. AdamW's weight decay and clipping are given by no source: they are ours."""

    source: str
    rank: int  # of the LoRA, whose alpha is the same, as in the paper; 0: every weight of the transformer learns
    rate: float
    batch: int  # clips to a step, of all processes together
    epochs: int | None  # passes over the clips; None where the source does not say
    steps: int | None = None  # instead of epochs
    warmup: int = 0  # steps in which the rate rises to its value, where it stays
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of a gradient
    seed: int = 0
    save_every: int = 50  # steps between two states that a killed run goes on from

    def total(self, clips: int) -> int:
        """Steps in all. Raises UserError where neither steps nor epochs are given."""
        if self.steps is not None:
            return self.steps
        if self.epochs is None:
            raise UserError(f"the preset's source gives no length ({self.source}): say --steps")
        return math.ceil(self.epochs * clips / self.batch)


PRESETS = {
    "dreamgen-lora": Recipe(source=f"{_PAPER}; batch and epochs of SO-100", rank=4, rate=1e-4, batch=8, epochs=200),
    "dreamgen-lora-robocasa": Recipe(
        source=f"{_PAPER}; batch and epochs of RoboCasa", rank=4, rate=1e-4, batch=32, epochs=100
    ),
    "dreamgen-lora-gr1": Recipe(source=f"{_PAPER}; batch and epochs of GR1", rank=4, rate=1e-4, batch=64, epochs=75),
    "dreamgen-lora-droid": Recipe(source=f"{_PAPER}; batch and epochs of DROID", rank=4, rate=1e-4, batch=64, epochs=5),
    "cosmos-gr1-full": Recipe(
        source="Cosmos-Predict2's GR1 recipe (its groot.py): no LoRA, rate 2^-14.5 x 0.2 after 1,000 steps of warm-up, "
        "1 clip a process on 32 GPUs; its slow decay and its length are not given",
        rank=0, rate=2**-14.5 * 0.2, batch=32, epochs=None, warmup=1000,
    ),
}  # fmt: skip
"""The first is for tens of clips, as SO-100's 10 to 68; the others for thousands."""


def chosen(preset: str, **changes: Any) -> Recipe:
    """A preset with what the user changed; what is None was not. Raises UserError for values that can't train."""
    if preset not in PRESETS:
        raise UserError(f"no preset named {preset!r}; there are {', '.join(PRESETS)}")
    recipe = replace(PRESETS[preset], **{key: value for key, value in changes.items() if value is not None})
    for key in ("batch", "steps", "save_every"):
        value = getattr(recipe, key)
        if value is not None and value < 1:
            raise UserError(f"--{key.replace('_', '-')} {value}: use 1 or more")
    if recipe.rank < 0 or not 0 < recipe.rate < 1:
        raise UserError(f"rank {recipe.rank}, rate {recipe.rate}: a rank is 0 or more, a rate between 0 and 1")
    return recipe
