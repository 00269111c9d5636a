"""Motion-code world models: a mover says what moves (motion_movers.py), a renderer draws it (motion_networks.py).

The shelf is `weights/motion-s`: one renderer for all, a file for each mover, and for `sft` what LoRA added to both.
`shelf.json` says of each what it is and how it was trained; weights that are not shipped are made by their recipe,
baselines/motion-s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..types import Spec, Task, UserError, Video
from .framing import fitted, letterboxed

SIZE, FPS = 64, 10.0
SHELF = "weights/motion-s"
HERE = Path(__file__).parents[1]


class MotionCode:
    """A mover and a renderer. Videos are made one at a time, so that no batch can change a frame."""

    def __init__(self, mover: Any, renderer: Any, vocabulary: Mapping[str, int], scale: tuple[Any, Any]):
        self._mover, self._renderer = mover.eval(), renderer.eval()
        self._vocabulary, self._scale = vocabulary, scale

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task; its noise is drawn from (task, seed) alone."""
        for task in tasks:
            with Image.open(task.first_frame) as picture:
                first = picture.convert("RGB")
            yield Video(frames=fitted(self._dreamed(task, first, seed), FPS, task, first), fps=task.fps)

    def _dreamed(self, task: Task, first: Image.Image, seed: int) -> np.ndarray:
        import torch

        from .motion_movers import numbers

        number = int.from_bytes(hashlib.sha256(f"{task.suite}/{task.id}/{seed}".encode()).digest()[:8], "big") >> 1
        picture = np.asarray(letterboxed(first, (SIZE, SIZE)))
        given = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        words = torch.tensor([numbers(task.instruction, self._vocabulary)])
        mean, spread = self._scale
        with torch.inference_mode():
            codes = self._mover.sample(given, words, torch.Generator().manual_seed(number)) * spread + mean
            drawn = self._renderer(given, codes)[0]
        frames = ((drawn + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return np.concatenate([picture[None], frames])


def load(*, folder: str, mover: str, renderer: str, mover_lora: str = "", renderer_lora: str = "") -> MotionCode:
    """From a folder of safetensors (relative: inside the package), each file by its name, with or without LoRA."""
    import torch

    from .motion_movers import MOVERS
    from .motion_networks import LabRenderer, Renderer, adapted

    torch.set_num_threads(1)
    where = HERE / folder  # an absolute path stays what it is
    weights, said = _read(where, mover)
    vocabulary = json.loads(said["vocabulary"])
    moving = MOVERS[said["kind"]](len(vocabulary) + 2, int(said["width"]), int(said["depth"]))
    scale = weights.pop("mean"), weights.pop("spread")
    moving.load_state_dict(weights)
    weights, _ = _read(where, renderer)
    drawing = LabRenderer() if any(name.startswith("arm.") for name in weights) else Renderer()
    drawing.load_state_dict(weights)
    for network, name in ((moving, mover_lora), (drawing, renderer_lora)):
        if name:
            changes, facts = _read(where, name)
            try:
                adapted(network, changes, int(facts["rank"]))
            except (RuntimeError, ValueError, KeyError) as error:
                raise UserError(f"{where / name}: LoRA of another network: {error}") from error
    return MotionCode(moving, drawing, {word: number for number, word in enumerate(vocabulary, 2)}, scale)


def _read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Weights in float32, and what the file says of itself."""
    from safetensors import safe_open

    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: no such weights; baselines/motion-s/run.sh makes them")
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key).float() for key in file.keys()}, file.metadata() or {}


def shelf(folder: Path | None = None) -> list[Spec]:
    """A Spec for each model that shelf.json names, shipped or to be made by its recipe."""
    path = (folder or HERE / SHELF) / "shelf.json"
    rows = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return [_spec(row) for row in rows]


def _spec(row: Mapping[str, Any]) -> Spec:
    return Spec(
        name=row["name"],
        revision=row["revision"],
        load="dreamgen_bench.world_models.motion_code:load",
        args={"folder": SHELF, **row["args"]},
        license="Apache-2.0",
        summary=row["summary"],
        group="trained",
        family=row["family"],
        adaptation=row["adaptation"],
        weights=row["weights"],
        parameters=row["parameters"],
        training=row["training"],
        trained_on=tuple(row["trained_on"]),
        stochastic=row["stochastic"],
    )


SPECS = shelf()
