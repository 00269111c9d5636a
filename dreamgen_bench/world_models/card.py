"""A card: what a YAML file says about one diffusers pipeline, read strictly, as one value. Loads no torch."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..types import Spec, UserError

LOADER = "dreamgen_bench.world_models.diffusers_i2v:load"
OFFLOAD = ("none", "model", "sequential")
LORA = {"checkpoint", "revision", "weight", "scale"}
_DESCRIBED = {"name", "summary", "license", "paper", "group", "adaptation", "weights", "parameters", "trained_on"}
_GROUPS, _WEIGHTS, _ADAPTATIONS = ("trained", "card"), ("shipped", "recipe", "hub"), ("zero", "sft", "none")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is needed to load a pipeline and to call it. `call` and `config` go to diffusers as they are."""

    pipeline: str  # class of diffusers
    checkpoint: str  # a folder (relative: inside the package) or a repository of the hub
    revision: str  # of the repository
    dtype: str | Mapping[str, str]  # float32, bfloat16, float16; or one for each component, with a "default"
    device: str  # cpu, cuda, cuda:1
    width: int
    height: int
    num_frames: int  # that the model makes; the task's own length and rate are met by framing.py
    fps: float  # that they are meant to be shown at
    prompt: str  # {instruction} where the task's instruction goes; '' for a pipeline that takes no text
    call: Mapping[str, Any]  # further arguments of the pipeline's __call__: steps, guidance, negative prompt
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # component -> changes to its configuration
    lora: Mapping[str, Any] | None = None  # checkpoint, revision, weight (the file's name), scale
    offload: str = "none"  # none, or what waits in main memory meanwhile: model (whole components), sequential (layers)
    tiling: bool = False  # of the VAE: less memory, and slightly other pixels
    memory_gib: float = 0.0  # free memory of the device that it needs
    packages: tuple[str, ...] = ()  # that the pipeline needs beside ours, as they are imported
    obtain: str = ""  # how the checkpoint is had, where `hf download` does not do


def cards(folder: Path | None = None) -> list[Spec]:
    """A Spec for each card of a folder, ours by default. Raises UserError naming file, key and choices."""
    folder = folder or Path(__file__).parent / "cards"
    return [spec_of(path) for path in sorted(folder.glob("*.yaml"))]


def spec_of(path: Path) -> Spec:
    """One card's Spec. Its args are those of `Card`."""
    try:
        card = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no YAML: {' '.join(str(error).split())[:200]}") from error
    _check_keys(path, card)
    for key, choices in (("offload", OFFLOAD), ("group", _GROUPS), ("weights", _WEIGHTS), ("adaptation", _ADAPTATIONS)):
        if card.get(key, choices[0]) not in choices:
            raise UserError(f"{path}: {key} is {card[key]!r}; it can be {', '.join(choices)}")
    _check_values(path, card)
    card["revision"] = str(card["revision"])
    loaded = {name: card[name] for name in _names(Card) if name in card}
    described = {key: card[key] for key in _DESCRIBED}
    return Spec(
        **described | {"trained_on": tuple(card["trained_on"])},
        family=card.get("family", ""),
        training=card.get("training", ""),
        revision=card["revision"],
        load=LOADER,
        args=loaded,
    )


def from_file(path: Path) -> Spec:
    """The Spec of a card anywhere: what it calls `./x` lies beside it, and its revision is that of its content.

    Nobody can be asked to count up the revision of a card of their own, so it is a digest of what the card says and of
    every local weight: other weights are another revision, and the same ones in another place are the same.
    """
    spec = spec_of(path)
    args, lora = dict(spec.args), spec.args.get("lora")
    args["checkpoint"] = _beside(path, args["checkpoint"])
    if lora:
        args["lora"] = {**lora, "checkpoint": _beside(path, lora["checkpoint"])}
    content = json.dumps([said(spec), *_weights(args)], sort_keys=True, default=str)
    return replace(spec, args=args, revision=f"sha256-{hashlib.sha256(content.encode()).hexdigest()[:24]}")


def said(spec: Spec) -> dict[str, Any]:
    """What the card of a Spec says, as its YAML would have it."""
    described = {key: getattr(spec, key) for key in sorted(_DESCRIBED)}
    args = {key: list(value) if isinstance(value, tuple) else value for key, value in spec.args.items()}
    return described | {"trained_on": list(spec.trained_on), "family": spec.family} | args


def _beside(path: Path, checkpoint: str) -> str:
    return str((path.parent / checkpoint).resolve()) if checkpoint.startswith(("./", "../")) else checkpoint


def _weights(args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and sha256 of every file that a card's checkpoint and LoRA consist of on this machine."""
    folder = folder_of(args["checkpoint"])
    files = [(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()] if folder else []
    lora = args.get("lora")
    beside = folder_of(lora["checkpoint"]) if lora else None
    if lora and beside and (beside / lora["weight"]).is_file():
        files.append((beside, beside / lora["weight"]))
    for base, path in files:
        status = path.stat()
        yield path.relative_to(base).as_posix(), _sha256(path, status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Of a file as it was then: big checkpoints are read once in a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(cls: type, *, required: bool = False) -> set[str]:
    plain = (f for f in fields(cls) if not required or (f.default is MISSING and f.default_factory is MISSING))
    return {f.name for f in plain}


def _check_keys(path: Path, card: Any) -> None:
    if not isinstance(card, dict):
        raise UserError(f"{path}: a card is a mapping of keys, not {type(card).__name__}")
    known, needed = _DESCRIBED | _names(Card) | {"family", "training"}, _DESCRIBED | _names(Card, required=True)
    for key in sorted(map(str, set(card) - known)):
        close = difflib.get_close_matches(key, sorted(known), n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"{path}: unknown key {key!r}{meant}; a card has {', '.join(sorted(known))}")
    for key in sorted(needed - set(card)):
        raise UserError(f"{path}: missing key {key!r}; a card must say {', '.join(sorted(needed))}")


def _check_values(path: Path, card: Mapping[str, Any]) -> None:
    for key in ("width", "height", "num_frames", "fps"):
        if isinstance(card[key], bool) or not isinstance(card[key], int | float) or card[key] <= 0:
            raise UserError(f"{path}: {key} is {card[key]!r}; it must be a number above 0")
    if not isinstance(card.get("memory_gib", 0), int | float) or card.get("memory_gib", 0) < 0:
        raise UserError(f"{path}: memory_gib is {card['memory_gib']!r}; it must be a number of GiB")
    lora = card.get("lora")
    if lora is not None and (not isinstance(lora, dict) or set(lora) != LORA):
        wrong = sorted(LORA ^ set(lora))[0] if isinstance(lora, dict) else lora
        raise UserError(f"{path}: lora: unknown or missing key {wrong!r}; it has {', '.join(sorted(LORA))}, or is null")
    if card.get("offload", "none") != "none" and card["device"] == "cpu":
        raise UserError(f"{path}: offload is {card['offload']!r} with device cpu: it moves weights off a GPU; say none")


def folder_of(checkpoint: str) -> Path | None:
    """The folder that a card's checkpoint names, or None where it is a repository of the hub."""
    path = Path(checkpoint).expanduser()
    path = path if path.is_absolute() else Path(__file__).parents[1] / path
    return path if path.is_dir() or checkpoint.startswith(("/", "~", ".")) else None
