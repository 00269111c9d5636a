"""What an adaptation leaves: weights, a card that loads as a world model, a page that says what it was trained on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from ..store import whole_file
from ..types import Spec, UserError
from ..world_models.card import folder_of, said
from .latents import ClipRecord
from .recipes import Recipe
from .training import StepRecord

LORA = "pytorch_lora_weights.safetensors"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}"


def name_of(out: Path, taken: Mapping[str, Any]) -> str:
    """What the adapted model is called: as its folder. Raises UserError where that is no name, or taken."""
    name = out.resolve().name
    if not re.fullmatch(_NAME, name) or name in taken:
        raise UserError(f"--out {out}: the model is named as its folder, and {name!r} is taken or no name; use another")
    return name


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that the page says."""

    spec: Spec  # of the model that was adapted
    recipe: Recipe
    clips: Sequence[ClipRecord]
    held_out: Sequence[ClipRecord]
    steps: Sequence[StepRecord]
    data: Path


def write(outcome: Outcome, pipeline: Any, *, out: Path) -> Path:
    """Write weights, page, and last the card: where a card is, all is whole."""
    folder = "lora" if outcome.recipe.rank else "pipeline"
    part = out / f".{folder}.part"
    shutil.rmtree(part, ignore_errors=True)
    (_write_lora if outcome.recipe.rank else _write_pipeline)(pipeline, outcome, part)
    for path in part.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone
    shutil.rmtree(out / folder, ignore_errors=True)
    part.rename(out / folder)
    name = out.resolve().name
    with whole_file(out / "README.md") as file:
        file.write(page(name, outcome).encode())
    with whole_file(out / "card.yaml") as file:
        file.write(yaml.safe_dump(card(name, outcome), sort_keys=False, allow_unicode=True).encode())
    return out / "card.yaml"


def _write_lora(pipeline: Any, outcome: Outcome, folder: Path) -> None:
    from peft import get_peft_model_state_dict

    layers = get_peft_model_state_dict(pipeline.transformer)
    layers = {name: weight.detach().cpu().contiguous() for name, weight in layers.items()}
    type(pipeline).save_lora_weights(folder, transformer_lora_layers=layers, weight_name=LORA, safe_serialization=True)


def _write_pipeline(pipeline: Any, outcome: Outcome, folder: Path) -> None:
    dtype: Any = outcome.spec.args["dtype"]
    if not isinstance(dtype, str):
        dtype = dtype.get("transformer", dtype["default"])
    pipeline.transformer.to(getattr(torch, dtype))
    if "safety_checker" in pipeline.components:
        pipeline.register_modules(safety_checker=None)  # Cosmos makes its own, and NVIDIA's checkpoints hold none
    pipeline.save_pretrained(folder, safe_serialization=True)


def card(name: str, outcome: Outcome) -> dict[str, Any]:
    """The card of the adapted model: that of its base, with other weights."""
    base, recipe = outcome.spec, outcome.recipe
    what = f"LoRA of rank {recipe.rank}" if recipe.rank else "full fine-tuning"
    changes: dict[str, Any] = {
        "name": name,
        "summary": f"{base.name} adapted by {what}, {outcome.steps[-1].step} steps on {_learnt(outcome)} videos",
        "group": "trained",
        "adaptation": "sft",
        "weights": "recipe",
        "trained_on": [*base.trained_on, trained_on(outcome)],
    }
    if recipe.rank:
        changes["lora"] = {"checkpoint": "./lora", "revision": "local", "weight": LORA, "scale": 1.0}
    else:
        changes |= {"checkpoint": "./pipeline", "revision": "local", "obtain": ""}
    return said(base) | changes


def trained_on(outcome: Outcome) -> str:
    """One line on the data: how many, how many words, which."""
    told, held = {clip.instruction for clip in outcome.clips if clip.windows}, len(outcome.held_out)
    return f"{outcome.data.name}: {_learnt(outcome)} videos with {len(told)} instructions, {held} more held out"


def _learnt(outcome: Outcome) -> int:
    return sum(clip.windows > 0 for clip in outcome.clips) - len(outcome.held_out)


def page(name: str, outcome: Outcome) -> str:
    """README.md, as the hub reads it."""
    base, recipe, last = outcome.spec, outcome.recipe, outcome.steps[-1]
    head = {"license": base.license.lower(), "tags": ["dreamgen-bench", "image-to-video"], "base_model": _base(base)}
    lost = [clip for clip in outcome.clips if not clip.windows]
    held = [(row.step, row.held_out) for row in outcome.steps if row.held_out is not None]
    settings = {
        key: value for key, value in asdict(replace(recipe, steps=last.step, epochs=None)).items() if value is not None
    }
    seen = sum(clip.windows for clip in outcome.clips) - sum(clip.windows for clip in outcome.held_out)
    lines = [
        f"# {name}",
        "",
        f"`{base.id}` ({base.args['pipeline']}) adapted to robot videos by `dreamgen-bench adapt`.",
        "`dreamgen-bench run SUITE --models card.yaml --out runs/x` scores it.",
        "",
        "## Trained on",
        "",
        f"{trained_on(outcome)}; {seen} windows of {base.args['num_frames']} frames at {base.args['fps']:g} a second, "
        f"letterboxed to {base.args['width']}x{base.args['height']}. Each with its sha256: `data.jsonl`.",
        *([f"{len(lost)} rows could not be used; `data.jsonl` says why."] if lost else []),
        "Before that, its base: " + ("; ".join(base.trained_on) or "see its own card") + ".",
        "",
        "## Recipe",
        "",
        *(f"- {key}: {value}" for key, value in settings.items()),
        "",
        "## Loss",
        "",
        f"Last step {last.loss:.4f} (one batch: noisy). " + _held_out(held),
        "`train.jsonl` has every step, `loss.png` the curve. It says little of how good the dreams are: score them.",
    ]
    return f"---\n{yaml.safe_dump(head)}---\n\n" + "\n".join(lines) + "\n"


def _base(base: Spec) -> str:
    return str(base.args["checkpoint"]) if folder_of(base.args["checkpoint"]) is None else base.name


def _held_out(held: Sequence[tuple[int, float]]) -> str:
    if not held:
        return "Too few videos to hold any out."
    return (
        "On held-out videos: " + ", ".join(f"{loss:.4f} after step {step}" for step, loss in (held[0], held[-1])) + "."
    )
