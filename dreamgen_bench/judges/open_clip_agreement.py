"""Agreement of frames and instruction over time by OpenCLIP: a cheap baseline that generates nothing.

A frame's agreement is CLIP's logit of (frame, instruction). A video in which the instruction is carried out agrees more
with it as it goes on; so the evidence is how much the agreement rises from the first frame to the last, as the line
of least squares through all of them has it, and P(yes) is its logistic. Nothing is fitted. A model with no sense
of physics has no answer to a question without an instruction, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..types import Question, Reply, UserError


class AgreementJudge:
    """Compares frames and instruction in CLIP's space."""

    def __init__(self, model: Any, tokenize: Any) -> None:
        self.model, self.tokenize = model, tokenize

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One reply per question, in order."""
        for question in questions:
            try:
                yield self._reply(question)
            except Exception as error:  # a question that can't be asked must not take the others with it
                yield Reply(text="", error=f"{type(error).__name__}: {error}".strip())

    def _reply(self, question: Question) -> Reply:
        if not question.instruction:
            return Reply(text="no instruction to compare the frames with")
        if len(question.options) != 2:
            raise ValueError(f"two options are needed, the better first, not {list(question.options)}")
        evidence = rise(self.logits(question.frames, question.instruction))
        chances = -math.log1p(math.exp(-min(max(evidence, -500), 500))), -math.log1p(math.exp(min(evidence, 500)))
        said = question.options[0 if evidence > 0 else 1]
        return Reply(text=said, logprobs=dict(zip(question.options, chances, strict=True)))

    def logits(self, frames: np.ndarray, instruction: str) -> np.ndarray:
        """Agreement of each frame, float64 [N]."""
        import torch

        device = self.model.logit_scale.device
        with torch.inference_mode():
            seen = self.model.encode_image(torch.from_numpy(self._pixels(frames)).to(device), normalize=True)
            read = self.model.encode_text(self.tokenize([instruction]).to(device), normalize=True)
            found: np.ndarray = (self.model.logit_scale.exp() * (seen @ read.T)[:, 0]).double().cpu().numpy()
            return found

    def _pixels(self, frames: np.ndarray) -> np.ndarray:
        """float32 [N, 3, side, side]: shrunk without aliasing, not cropped, since the arm may stand at the edge."""
        side = self.model.visual.image_size
        size = tuple(side)[::-1] if isinstance(side, (tuple, list)) else (side, side)
        resized = [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames]
        mean, spread = (np.array(v, np.float32) for v in (self.model.visual.image_mean, self.model.visual.image_std))
        return ((np.stack(resized).astype(np.float32) / 255 - mean) / spread).transpose(0, 3, 1, 2).copy()


def rise(agreement: np.ndarray) -> float:
    """How much a line of least squares through `agreement` [N] rises from the first to the last; 0 for one frame."""
    if len(agreement) < 2:
        return 0.0
    return float(np.polyfit(np.linspace(0, 1, len(agreement)), agreement, 1)[0])


def load(model: str, *, weights: str | None = None, device: str = "cpu") -> AgreementJudge:
    """The judge of an architecture of open_clip's and its weights: a name that open_clip knows, or a file.

    Without weights the model is random: for tests.
    """
    import open_clip

    if model not in open_clip.list_models():
        raise UserError(
            f"open_clip has no model {model!r}; it has, among others, ViT-B-32, ViT-L-14, ViT-SO400M-14-SigLIP"
        )
    if weights and not Path(weights).exists() and weights not in open_clip.list_pretrained_tags_by_model(model):
        known = ", ".join(open_clip.list_pretrained_tags_by_model(model))
        raise UserError(f"no file and no weights of {model} named {weights!r}; open_clip knows {known}")
    made = open_clip.create_model(model, pretrained=weights, device=device).eval()
    return AgreementJudge(made, open_clip.get_tokenizer(model))
