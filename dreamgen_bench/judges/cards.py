"""A judge of the user's own without code: a YAML card that names one of our adapters and its arguments.

name: my-qwen                       # as tables and records call it
revision: "2026-11"                 # change it whenever the weights or the server's model change
adapter: openai-compatible          # or transformers, open-clip, state
license: Apache-2.0
args: {model: Qwen/Qwen3-VL-8B-Instruct, server: {url: "http://localhost:8000/v1"}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..registry import nearest
from ..types import Spec, UserError

ADAPTERS: dict[str, dict[str, Any]] = {
    "openai-compatible": {
        "load": "dreamgen_bench.judges.openai_compatible:load",
        "needs": "api",
        "drifts": True,
        "unkeyed": ("limits",),
    },
    "transformers": {
        "load": "dreamgen_bench.judges.transformers_vlm:load",
        "unkeyed": ("batch_size", "device"),
    },
    "state": {
        "load": "dreamgen_bench.judges.state:load",
    },
    "open-clip": {
        "load": "dreamgen_bench.judges.open_clip_agreement:load",
        "needs": "clip",
        "unkeyed": ("device",),
    },
}
_REQUIRED = {"name", "revision", "adapter", "license", "args"}
_OPTIONAL = {"summary", "paper", "trained_on"}


def from_file(path: Path) -> Spec:
    """The judge that a card describes. Raises UserError with file and key for what is no card."""
    try:
        card = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; a judge's card is YAML with {', '.join(sorted(_REQUIRED))}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no YAML: {error}") from error
    if not isinstance(card, dict):
        raise UserError(f"{path}: holds no keys; a judge's card has {', '.join(sorted(_REQUIRED))}")
    if wrong := sorted((_REQUIRED - set(card)) | (set(card) - _REQUIRED - _OPTIONAL)):
        raise UserError(f"{path}: unknown or missing key {wrong[0]!r}; a card has {', '.join(sorted(_REQUIRED))}")
    if card["adapter"] not in ADAPTERS:
        raise UserError(f"{path}: no adapter {card['adapter']!r}{nearest(str(card['adapter']), list(ADAPTERS))}")
    if not isinstance(card["args"], dict):
        raise UserError(f"{path}: key 'args' must hold the adapter's arguments by name")
    fields = {key: card[key] for key in set(card) - {"adapter", "revision"}}
    fields["trained_on"] = tuple(card.get("trained_on", ()))
    return Spec(revision=str(card["revision"]), **fields, **ADAPTERS[card["adapter"]])
