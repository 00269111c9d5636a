"""Which pipeline classes can be adapted, and by what."""

from __future__ import annotations

from ..types import UserError
from . import cogvideox, cosmos, hunyuan, hunyuan15, ltx, wan
from .questions import Asked, Objective, noise_level, shift

__all__ = ["OBJECTIVES", "Asked", "Objective", "noise_level", "objective", "shift"]

OBJECTIVES: dict[str, Objective] = {
    "WanImageToVideoPipeline": wan.OBJECTIVE,
    "SkyReelsV2ImageToVideoPipeline": wan.OBJECTIVE,
    "CogVideoXImageToVideoPipeline": cogvideox.OBJECTIVE,
    "HunyuanVideoImageToVideoPipeline": hunyuan.OBJECTIVE,
    "HunyuanVideo15ImageToVideoPipeline": hunyuan15.OBJECTIVE,
    "LTXImageToVideoPipeline": ltx.OBJECTIVE,
    "Cosmos2VideoToWorldPipeline": cosmos.PREDICT2,
    "Cosmos2_5_PredictBasePipeline": cosmos.PREDICT2_5,
}
"""A class gets its line here once a test shows that `ask` gives its transformer what the pipeline itself gives it, and
that right answers make the pipeline dream the clip."""


def objective(pipeline: str) -> Objective:
    """That of a pipeline class by name. Raises UserError naming the classes there are."""
    if pipeline not in OBJECTIVES:
        raise UserError(f"{pipeline} can't be adapted yet; what can: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[pipeline]
