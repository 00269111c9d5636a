"""The verb that adapts a world model to somebody's robot."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.markup import escape

from ..types import UserError
from .frame import app, error_console, example, out_console

_EVERY = 5.0  # seconds between two lines


@app.command()
@example("dreamgen-bench adapt wan-s --data clips --out runs/wan-mine --preset dreamgen-lora --steps 300")
def adapt(
    model: Annotated[str, typer.Argument(help="A world model that is a card, by name or .yaml file.")],
    data: Annotated[
        Path, typer.Option(help='Folder with videos and manifest.jsonl: rows of {"video", "instruction"}.')
    ],
    out: Annotated[Path, typer.Option(help="Folder, whose name is the new model's. A killed training goes on there.")],
    preset: Annotated[str, typer.Option(help="dreamgen-lora, ..-robocasa, ..-gr1, ..-droid, cosmos-gr1-full.")] = (
        "dreamgen-lora"
    ),
    steps: Annotated[Optional[int], typer.Option(help="Instead of the preset's epochs.")] = None,
    batch: Annotated[Optional[int], typer.Option(help="Clips to a step, of all processes together.")] = None,
    rate: Annotated[Optional[float], typer.Option(help="Learning rate.")] = None,
    rank: Annotated[Optional[int], typer.Option(help="Of the LoRA.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Every weight of the transformer learns; no LoRA.")] = False,
    seed: Annotated[Optional[int], typer.Option(help="Of the order of clips, and of noise.")] = None,
    save_every: Annotated[Optional[int], typer.Option(help="Steps between two saved states.")] = None,
) -> None:
    """Fine-tune a world model on robot videos, by LoRA or fully; the card it leaves is a model for --models.

    On several GPUs: accelerate launch -m dreamgen_bench adapt ...
    """
    if full and rank is not None:
        raise UserError("--full and --rank exclude each other")
    from .. import registry
    from ..adapt import chosen, run
    from ..adapt.session import Progress

    changes: dict[str, Any] = {"steps": steps, "batch": batch, "rate": rate, "rank": 0 if full else rank}
    recipe = chosen(preset, **changes, seed=seed, save_every=save_every)
    progress = Progress(text=_say, step=_teller())
    made = run(registry.find("world_models", model), recipe, data=data, out=out, progress=progress)
    out_console.print(escape(f"{made.card}: dreamgen-bench run SUITE --models {made.card} --out runs/x scores it"))


def _say(text: str) -> None:
    error_console.print(escape(text))


def _teller() -> Callable[[Any, int], None]:
    """Lines on steps, not more than one in some seconds."""
    started, last, first = 0.0, 0.0, 0

    def tell(row: Any, steps: int) -> None:
        nonlocal started, last, first
        now = time.monotonic()
        if not started:
            started, first = now, row.step
        if now - last < _EVERY and row.step < steps:
            return
        last = now
        held = "" if row.held_out is None else f", held out {row.held_out:.4f}"
        rate = (row.step - first) / max(now - started, 1e-9)
        left = f", {rate:.2f} steps/s, {(steps - row.step) / rate:.0f} s left" if rate else ""
        _say(f"step {row.step}/{steps}: loss {row.loss:.4f}{held}{left}")

    return tell
