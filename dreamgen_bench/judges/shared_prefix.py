"""Prompts that begin alike, with one video: a Qwen-VL model reads the video once for all questions about it.

First the beginnings up to the video's end, one of each, leave their keys and values; then the rest of every prompt goes
on from those of its own beginning. The positions are those of the whole prompt, so the answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

FAMILIES = ("qwen2_vl", "qwen2_5_vl")
"""Where positions follow from token ids, grid and seconds alone."""

Batch = Callable[[Sequence[dict[str, Any]]], Mapping[str, Any]]


def able(model: Any, prepared: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the prompts can be read this way by this model."""
    return model.config.model_type in FAMILIES and all("patches" in p for p in prepared)


def next_logits(model: Any, prepared: Sequence[dict[str, Any]], batch: Batch) -> Any:
    """Logits [N, vocabulary] after each of N prompts, as `VideoInput.one` prepares them; `batch` is its `batch`."""
    import torch

    ends = [_end(p["ids"], model.config.video_token_id) for p in prepared]
    begun: dict[tuple[int, tuple[int, ...]], int] = {}
    heads: list[dict[str, Any]] = []
    owner = []
    for p, end in zip(prepared, ends, strict=True):
        key = id(p["patches"]), tuple(p["ids"][:end])
        if key not in begun:
            begun[key] = len(heads)
            heads.append(p | {"ids": p["ids"][:end]})
        owner.append(begun[key])
    told = {k: v.to(model.device) for k, v in batch(heads).items()}
    rows = torch.tensor(owner, device=model.device)
    cache = model.model(**seen_once(model, told, heads), use_cache=True).past_key_values
    cache.batch_select_indices(rows)
    tails = padded([p["ids"][end:] for p, end in zip(prepared, ends, strict=True)], pad=0)
    ids, mask = (part.to(model.device) for part in tails)
    whole = torch.cat([told["input_ids"][rows], ids], dim=1)
    known = torch.cat([told["attention_mask"][rows], mask], dim=1)
    position, _ = model.model.get_rope_index(
        whole,
        mm_token_type_ids=(whole == model.config.video_token_id).int() * 2,
        video_grid_thw=told["video_grid_thw"][rows],
        second_per_grid_ts=told["second_per_grid_ts"][rows],
        attention_mask=known,
    )
    position = position[..., -ids.shape[1] :]
    rest = {"input_ids": ids, "attention_mask": known, "position_ids": position, "past_key_values": cache}
    return model(**rest, use_cache=True, logits_to_keep=1).logits[:, -1]


def _end(ids: Sequence[int], video: int) -> int:
    """The place after the last of a video's tokens."""
    return len(ids) - ids[::-1].index(video)


def padded(rows: Sequence[Sequence[int]], *, pad: int) -> tuple[Any, Any]:
    """Token ids padded on the left, and which of them are meant; int64 [N, longest] each."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, longest - len(row) :] = torch.tensor(row)
        mask[place, longest - len(row) :] = 1
    return ids, mask


def seen_once(model: Any, inputs: dict[str, Any], prepared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same input with each video already encoded, once for all prompts about it, where the model allows."""
    videos = [id(p.get("patches")) for p in prepared]
    known = "pixel_values_videos" in inputs and "mm_encoder_outputs" in signature(model.model.forward).parameters
    if not known or len(set(videos)) == len(videos):
        return inputs
    import torch

    first = {video: videos.index(video) for video in videos}
    sizes = inputs["video_grid_thw"].prod(-1).tolist()
    patches = inputs["pixel_values_videos"].split(sizes)
    seen = model.model.get_video_features(
        torch.cat([patches[place] for place in first.values()]), inputs["video_grid_thw"][list(first.values())]
    )
    if set(seen.keys()) - {"last_hidden_state", "pooler_output"}:
        return inputs  # of later families, layers of the language model want more of the tower than its last
    of = dict(zip(first, seen.pooler_output, strict=True))
    seen.pooler_output = tuple(of[video] for video in videos)
    return {k: v for k, v in inputs.items() if k != "pixel_values_videos"} | {"mm_encoder_outputs": {"video": seen}}
