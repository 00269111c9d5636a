"""A trained network's folder: model.safetensors in float16, and config.json, which says what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ..types import UserError

C = TypeVar("C")


def save(net: Any, config: Any, folder: Path, **facts: Any) -> Path:
    """Write both files; `config` is a dataclass, `facts` what else is to be known, first of all how it was trained."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items()}, folder / "model.safetensors")
    text = json.dumps({"model": asdict(config)} | facts, indent=1, allow_nan=False)
    (folder / "config.json").write_text(text + "\n", "utf-8")
    return folder


def restore(
    checkpoint: str, name: str, config: Callable[..., C], network: Callable[[C], Any]
) -> tuple[Any, C, Mapping[str, Any]]:
    """The network of a folder that `save` wrote, its config and its facts; a relative path is one inside the package.

    Raises UserError for a folder that holds nothing, or nothing that `config` and `network` of `name` can read.
    """
    from safetensors.torch import load_file

    folder = Path(__file__).parents[1] / checkpoint
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder}: no model.safetensors there; baselines/{name}/run.sh makes it")
    try:
        facts = json.loads((folder / "config.json").read_text("utf-8"))
        made = config(**facts["model"])
        net = network(made)
        net.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise UserError(f"{folder}: is no {name} checkpoint: {' '.join(str(error).split())[:300]}") from error
    return net, made, facts
