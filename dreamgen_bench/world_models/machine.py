"""Whether this machine can run a card, looked at without loading a weight. `load` refuses by it, doctor shows it."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from ..types import Finding
from .card import Card, folder_of

INDEX = "model_index.json"
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_CUDA = r"cuda(:\d+)?"
_GIB = 2**30


def findings(card: Card) -> list[Finding]:
    """Pipeline class, packages, device, memory, checkpoint, LoRA: each with its cure."""
    found = [_pipeline(card), *_packages(card), _device(card), _memory(card), _checkpoint(card)]
    return [*found, _lora(card.lora)] if card.lora else found


def pipeline_class(name: str) -> Any:
    """The pipeline class of diffusers, or None."""
    import diffusers

    cls = getattr(diffusers, name, None)
    return cls if isinstance(cls, type) and issubclass(cls, diffusers.DiffusionPipeline) else None


def _pipeline(card: Card) -> Finding:
    import diffusers

    cls = pipeline_class(card.pipeline)
    version = f"diffusers {diffusers.__version__}"
    if cls is None:
        there = [name for name in dir(diffusers) if "Video" in name and name.endswith("Pipeline")]
        cure = f"it has {', '.join(there)}; mend `pipeline` in the card, or pip install --upgrade diffusers"
        return Finding(name="pipeline", ok=False, found=f"{version} has no pipeline {card.pipeline!r}", cure=cure)
    wrong = miscalled(card, set(inspect.signature(cls.__call__).parameters))
    if wrong:
        return Finding(name="pipeline", ok=False, found=f"{card.pipeline} {wrong}", cure="mend the card")
    return Finding(name="pipeline", ok=True, found=f"{card.pipeline} of {version}")


def miscalled(card: Card, takes: set[str]) -> str:
    """What the card asks of a pipeline's __call__ that it does not take; '' where all is well."""
    if "image" not in takes:
        return "takes no image: it can't start from a first frame"
    for key in sorted(set(card.call) - takes):
        return f"takes no {key!r}, which `call` gives; it takes {', '.join(sorted(takes - {'self'}))}"
    if card.prompt and "prompt" not in takes:
        return "takes no text, and `prompt` is not ''"
    return ""


def _packages(card: Card) -> Iterator[Finding]:
    for name in card.packages:
        there = importlib.util.find_spec(name) is not None
        found = f"{name} is {'' if there else 'not '}installed"
        yield Finding(name="package", ok=there, found=found, cure=f"pip install {name}")


def _device(card: Card) -> Finding:
    import torch

    if card.device == "cpu":
        return Finding(name="device", ok=True, found="cpu")
    if not re.fullmatch(_CUDA, card.device):
        return Finding(name="device", ok=False, found=f"no device {card.device!r}", cure="say cpu, cuda or cuda:N")
    if _gpu(card.device):
        return Finding(name="device", ok=True, found=torch.cuda.get_device_name(torch.device(card.device)))
    cure = "run it where torch.cuda.is_available(): an NVIDIA GPU, its driver and a CUDA build of torch"
    there = torch.cuda.device_count()
    return Finding(name="device", ok=False, found=f"the card's device is {card.device}, {there} GPUs here", cure=cure)


def _gpu(device: str) -> bool:
    import torch

    if not re.fullmatch(_CUDA, device) or not torch.cuda.is_available():
        return False
    return (torch.device(device).index or 0) < torch.cuda.device_count()


def free_gib(device: str) -> float:
    """Free memory of a GPU, or what the main memory can still give; 0 for a GPU that is not there."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(torch.device(device))[0] / _GIB if _gpu(device) else 0.0
    return psutil.virtual_memory().available / _GIB


def _memory(card: Card) -> Finding:
    free = free_gib(card.device)
    found = f"needs {card.memory_gib:g} GiB on {card.device} with offload {card.offload}, {free:.1f} GiB are free"
    lower = {"none": "offload: model or sequential, ", "model": "offload: sequential, "}.get(card.offload, "")
    cure = f"free memory, take a larger device, or write a card of your own with {lower}fewer frames or a smaller size"
    return Finding(name="memory", ok=free >= card.memory_gib, found=found, cure=cure)


def _checkpoint(card: Card) -> Finding:
    named = folder_of(card.checkpoint)
    cached = None if named else _cached(card.checkpoint, INDEX, card.revision)
    folder = named or (cached.parent if cached else None)
    if folder is None:
        return _absent("checkpoint", card.checkpoint, card.revision, card.obtain)
    wrong = broken(folder, pipeline_class(card.pipeline))
    if not wrong:
        return Finding(name="checkpoint", ok=True, found=str(folder))
    cure = card.obtain or "download it again, or mend `checkpoint` or `pipeline` in the card"
    # Online, diffusers itself goes on with a download that was interrupted.
    resumed = cached is not None and not _offline()
    return Finding(name="checkpoint", ok=False, optional=resumed, found=f"{folder}: {wrong}", cure=cure)


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _cached(repository: str, file: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, file, revision=revision)
    except ValueError:  # no name that a repository can have
        return None
    return Path(found) if isinstance(found, str) else None


def _absent(name: str, repository: str, revision: str, obtain: str) -> Finding:
    """Offline, what is not in the cache can't be had; online, it is downloaded when it is loaded."""
    offline = _offline()
    cure = obtain or f"hf download {repository} --revision {revision}"
    found = f"{repository} is no folder, nor in the cache of the hub"
    return Finding(
        name=name,
        ok=False,
        optional=not offline,
        found=f"{found}, and HF_HUB_OFFLINE is set" if offline else found,
        cure=cure if offline else f"it is downloaded when it is loaded, or now: {cure}",
    )


def broken(folder: Path, cls: Any) -> str:
    """Why a folder is no checkpoint of that pipeline class, in safetensors and whole; '' where it is."""
    if not (folder / INDEX).is_file():
        return f"no {INDEX} there, so it is no checkpoint of diffusers"
    index = {k: v for k, v in json.loads((folder / INDEX).read_text("utf-8")).items() if not k.startswith("_")}
    lost = sorted(_needed(cls) - set(index)) if cls else []
    if lost:
        return f"it has no {lost[0]!r}, which {cls.__name__} needs: a checkpoint of another pipeline"
    parts = [name for name, value in index.items() if isinstance(value, list) and value[0] is not None]
    return next((wrong for wrong in (_broken_part(folder / name) for name in sorted(parts)) if wrong), "")


def _needed(cls: Any) -> set[str]:
    optional = set(cls._optional_components)
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(cls.__init__).parameters
    return {n for n, p in parameters.items() if n != "self" and p.default is p.empty} - optional


def _broken_part(folder: Path) -> str:
    if not folder.is_dir():
        return f"the folder {folder.name} is missing: an unfinished download"
    files = [path.name for path in folder.iterdir()]
    pickled = sorted(name for name in files if name.endswith(_PICKLES))
    if pickled and not any(name.endswith(".safetensors") for name in files):
        return f"{folder.name}/{pickled[0]} is a pickle, which can run code; only safetensors are read"
    for index in folder.glob("*.safetensors.index.json"):
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        if lost := sorted(shards - set(files)):
            return f"{folder.name}/{lost[0]} is missing: an unfinished download"
    return ""


def _lora(lora: Mapping[str, Any]) -> Finding:
    if not str(lora["weight"]).endswith(".safetensors"):
        found = f"{lora['weight']} is not a .safetensors file, and others can run code"
        return Finding(name="lora", ok=False, found=found, cure="convert it to safetensors")
    folder = folder_of(lora["checkpoint"])
    if folder is not None:
        file = folder / lora["weight"]
        found = str(file) if file.is_file() else f"{file} is not there"
        return Finding(name="lora", ok=file.is_file(), found=found, cure="mend `lora` in the card")
    cached = _cached(lora["checkpoint"], lora["weight"], lora["revision"])
    if cached is not None:
        return Finding(name="lora", ok=True, found=str(cached))
    return _absent("lora", lora["checkpoint"], lora["revision"], "")
