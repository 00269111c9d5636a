"""Any transformers vision-language model as a judge: a checkpoint's folder or hub id is all it takes.

Models of the Qwen-VL family are shown the frames as one video, others as a row of images. The video is made by the
image processor, frame by frame, and not by transformers' video processor: that one needs torchvision, picks frames of
its own, and resizes by the video's length. The answer is read from the logits at the first generated position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..types import Question, Reply, UserError
from . import shared_prefix

_TOKENS = 16
"""Length of a reply whose first token is none of the options."""


class Input(Protocol):
    """How questions become a model's input: `one` for a question on its own, `batch` for several of them."""

    tokenizer: Any

    def one(self, question: Question) -> dict[str, Any]:
        """What the question makes of itself; raises where it can't be asked."""
        ...

    def batch(self, prepared: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Arguments of the model's forward; prompts end at the last column."""
        ...


class VisionLanguageJudge:
    """Asks a causal vision-language model in batches."""

    def __init__(self, model: Any, prepare: Input, *, batch_size: int) -> None:
        self.model, self.prepare, self.batch_size = model, prepare, batch_size

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One reply per question, in order, whatever the batch size. What fails is a reply with an error."""
        for start in range(0, len(questions), self.batch_size):
            yield from self._replies(questions[start : start + self.batch_size])

    def _replies(self, questions: Sequence[Question]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        prepared: dict[int, dict[str, Any]] = {}
        for index, question in enumerate(questions):
            try:
                self._first_tokens(question.options)
                prepared[index] = self.prepare.one(question)
            except Exception as error:  # a question that can't be asked must not take the others with it
                replies[index] = _failure(error)
        try:
            made = self._forward([questions[i] for i in prepared], list(prepared.values()))
            replies.update(zip(prepared, made, strict=True))
        except Exception as error:  # out of memory, or one bad question in the batch: ask each alone
            replies.update({i: self._alone(questions[i], p, error, len(prepared)) for i, p in prepared.items()})
        return [replies[index] for index in range(len(questions))]

    def _alone(self, question: Question, prepared: dict[str, Any], error: Exception, asked: int) -> Reply:
        if asked == 1:
            return _failure(error)
        try:
            return self._forward([question], [prepared])[0]
        except Exception as own:  # as in _replies
            return _failure(own)

    def _forward(self, questions: Sequence[Question], prepared: Sequence[dict[str, Any]]) -> list[Reply]:
        import torch

        if not questions:
            return []
        with torch.inference_mode():
            if shared_prefix.able(self.model, prepared):
                logits = shared_prefix.next_logits(self.model, prepared, self.prepare.batch)
            else:
                inputs = {k: v.to(self.model.device) for k, v in self.prepare.batch(prepared).items()}
                inputs = shared_prefix.seen_once(self.model, inputs, prepared)
                logits = self.model(**inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
        logprobs = torch.log_softmax(logits.float(), dim=-1).cpu().numpy()
        return [self._reply(q, p, row) for q, p, row in zip(questions, prepared, logprobs, strict=True)]

    def _reply(self, question: Question, prepared: dict[str, Any], logprobs: np.ndarray) -> Reply:
        first = self._first_tokens(question.options)
        said = next((option for option, token in first.items() if token == logprobs.argmax()), None)
        # Options of several tokens that start alike are refused, so that the first token tells which it is.
        text = said if said is not None else self._spoken(prepared)
        return Reply(text=text, logprobs={option: float(logprobs[token]) for option, token in first.items()})

    def _spoken(self, prepared: dict[str, Any]) -> str:
        import torch

        inputs = {k: v.to(self.model.device) for k, v in self.prepare.batch([prepared]).items()}
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=_TOKENS, do_sample=False)
        said = out[0, inputs["input_ids"].shape[1] :]
        return str(self.prepare.tokenizer.decode(said, skip_special_tokens=True)).strip()

    def _first_tokens(self, options: Sequence[str]) -> dict[str, int]:
        tokenizer, first = self.prepare.tokenizer, {}
        for option in options:
            tokens = tokenizer.encode(option, add_special_tokens=False)
            # Some tokenizers put a bare space before a word: it says nothing about which option follows.
            first[option] = next(token for token in tokens if tokenizer.decode([token]).strip())
        if len(set(first.values())) < len(first):
            raise ValueError(f"the options {list(first)} begin with the same token: no telling which was meant")
        return first


def _failure(error: Exception) -> Reply:
    return Reply(text="", error=f"{type(error).__name__}: {error}".strip())


class VideoInput:
    """Of the Qwen-VL family: all frames are one video of patches that span several frames."""

    def __init__(self, tokenizer: Any, images: Any, config: Any, size: Mapping[str, int]) -> None:
        self.tokenizer, self.images, self.config, self.size = tokenizer, images, config, size
        self._last: tuple[Any, Any] = None, None

    def one(self, question: Question) -> dict[str, Any]:
        """Token ids, patches [t * h * w, channels * span * side * side], grid (t, h, w) and seconds per grid step."""
        patches, grid = self._patches(_checked(question.frames))
        token = self.tokenizer.convert_ids_to_tokens
        pads = token(self.config.video_token_id) * (int(np.prod(grid)) // self.images.merge_size**2)
        video = f"{token(self.config.vision_start_token_id)}{pads}{token(self.config.vision_end_token_id)}"
        words = [video, question.prompt] if question.frames_stand == "before" else [question.prompt, video]
        chat = [{"role": "user", "content": "".join(words)}]
        text = self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return {"ids": ids, "patches": patches, "grid": grid, "step": self.images.temporal_patch_size / question.fps}

    def _patches(self, frames: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
        if self._last[0] is not frames:  # questions about one video follow each other
            self._last = frames, self._cut(frames)
        patches, grid = self._last[1]
        return patches, grid

    def _cut(self, frames: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
        span = self.images.temporal_patch_size
        out = self.images(list(frames), temporal_patch_size=1, size=self.size, return_tensors="np")
        _, height, width = (int(n) for n in out["image_grid_thw"][0])
        each = np.asarray(out["pixel_values"]).reshape(len(frames), height * width, 3, -1)
        # As Qwen's own video processor does, the last frame stands in for those missing from the last patch.
        each = np.concatenate([each, np.repeat(each[-1:], -len(each) % span, axis=0)])
        video = each.reshape(-1, span, *each.shape[1:]).transpose(0, 2, 3, 1, 4)
        return video.reshape(len(video) * height * width, -1), (len(video), height, width)

    def batch(self, prepared: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Prompts padded on the left, and all videos' patches one after another."""
        import torch

        ids, mask = shared_prefix.padded([p["ids"] for p in prepared], pad=self.tokenizer.pad_token_id)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "mm_token_type_ids": (ids == self.config.video_token_id).int() * 2,
            "pixel_values_videos": torch.from_numpy(np.concatenate([p["patches"] for p in prepared])),
            "video_grid_thw": torch.tensor([p["grid"] for p in prepared]),
            "second_per_grid_ts": torch.tensor([p["step"] for p in prepared]),
        }


class ImagesInput:
    """Of other models: the frames as images, in order, by the checkpoint's own processor and chat template."""

    def __init__(self, processor: Any) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.tokenizer.padding_side = "left"

    def one(self, question: Question) -> dict[str, Any]:
        """The chat, with frames as images."""
        from PIL import Image

        shown = [{"type": "image", "image": Image.fromarray(frame)} for frame in _checked(question.frames)]
        words = {"type": "text", "text": question.prompt}
        content = [*shown, words] if question.frames_stand == "before" else [words, *shown]
        return {"chat": [{"role": "user", "content": content}]}

    def batch(self, prepared: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Whatever the processor makes of the chats."""
        chats = [p["chat"] for p in prepared]
        made: dict[str, Any] = self.processor.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", padding=True
        )
        return dict(made)


def _checked(frames: np.ndarray) -> np.ndarray:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames must be uint8 [N, H, W, 3] with N > 0, not {frames.dtype} {list(frames.shape)}")
    return frames


def load(
    checkpoint: str,
    *,
    device: str | Mapping[str, Any] = "cpu",
    dtype: str = "float32",
    batch_size: int = 16,
    attention: str | None = None,
    min_pixels: int | None = None,
) -> VisionLanguageJudge:
    """The judge of a checkpoint: a folder, a hub id (`owner/name`, or `owner/name@revision`), or package://module/folder.

    device: as `device_map` of from_pretrained: "cpu", "cuda", "auto" over all devices, or module -> device. attention:
    sdpa, eager, flash_attention_2; None is the model's own choice. Frames of fewer than `min_pixels` are enlarged.
    Weights must be safetensors: pickled ones could run any code.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()
    place, revision = _located(checkpoint)
    pinned = {"revision": revision, "trust_remote_code": False}
    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(
            place, dtype=dtype, device_map=device, attn_implementation=attention, use_safetensors=True, **pinned
        )
        prepare = _input(place, model.config, pinned, min_pixels)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"no judge can be loaded from {checkpoint!r}: {error}\nIt must be a folder or a hub id of a transformers "
            "image-text-to-text model with safetensors weights; for a hub id, check the network or HF_HOME"
        ) from error
    return VisionLanguageJudge(model.eval(), prepare, batch_size=batch_size)


def _input(place: str, config: Any, pinned: Mapping[str, Any], min_pixels: int | None) -> Input:
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    # The PIL backend even where torchvision is installed, so that one checkpoint sees the same pixels everywhere.
    images = AutoImageProcessor.from_pretrained(place, backend="pil", **pinned)
    if not hasattr(images, "temporal_patch_size"):
        return ImagesInput(AutoProcessor.from_pretrained(place, backend="pil", **pinned))
    size = {"shortest_edge": images.size["shortest_edge"], "longest_edge": images.size["longest_edge"]}
    if min_pixels is not None:
        size = {"shortest_edge": min_pixels, "longest_edge": max(min_pixels, size["longest_edge"])}
    return VideoInput(AutoTokenizer.from_pretrained(place, **pinned), images, config, size)


def _located(checkpoint: str) -> tuple[str, str | None]:
    """Folder or hub id, and the hub's revision where one is asked for."""
    if checkpoint.startswith(("~", "/", ".")) or Path(checkpoint).is_dir():
        return str(Path(checkpoint).expanduser()), None
    if not checkpoint.startswith("package://"):
        name, _, revision = checkpoint.partition("@")
        return name, revision or None
    module, _, folder = checkpoint.removeprefix("package://").partition("/")
    path = Path(str(files(module))) / folder
    if not path.is_dir():
        raise UserError(f"{path} is missing: this installation came without the weights that the judge is shipped with")
    return str(path), None
