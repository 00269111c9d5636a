"""Verbs about policies: their data for others, their weights behind a websocket, and whether a second try agrees."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..types import UserError
from .frame import Json, app, example, out_console

Folder = Annotated[Path, typer.Argument(help="Run folder.")]
Row = Annotated[str, typer.Option(help="World model, or another row of the table of successes.")]


@app.command()
@example("dreamgen-bench export runs/mine --model wan-s --format lerobot-v3 --out datasets/wan-s")
def export(
    run: Folder,
    model: Row,
    out: Annotated[Path, typer.Option(help="Folder of the dataset; there must be nothing in it.")],
    layout: Annotated[str, typer.Option("--format", help="lerobot-v3, lerobot-v2.1 or gr00t.")] = "lerobot-v3",
) -> None:
    """Neural trajectories of a run as a dataset, to train ACT, SmolVLA, pi0 or GR00T outside."""
    from .. import export as exporter
    from ..export.source import clips
    from ..loop import reopened

    info = exporter.write(clips(reopened(run), model), layout, out)
    counts = f"{info['total_episodes']} episodes, {info['total_frames']} rows, {info['total_tasks']} instructions"
    out_console.print(escape(f"{out}: {layout}, {counts}"))


@app.command(name="serve-policy")
@example("dreamgen-bench serve-policy runs/mine/policies/KEY --port 8001    # elsewhere: --policy ws://HOST:8001")
def serve_policy(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a trained policy: RUN/policies/KEY.")],
    host: Annotated[str, typer.Option(help="Who may call: 127.0.0.1 this machine, 0.0.0.0 everybody.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8001,
) -> None:
    """A trained policy behind a websocket, as openpi's server speaks. There is no password."""
    from ..serve_policy import server

    if not 0 <= port < 65536:
        raise UserError("--port is 0 to 65535")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as where it is tried: sums are added in the same order
    tell = lambda line: out_console.print(escape(line))  # noqa: E731
    try:
        listening = server(checkpoint, (host, port), tell=tell)
    except OSError as error:
        raise UserError(f"{host}:{port} can't be listened at ({error.strerror}): choose another --port") from error
    where = f"[{host}]" if ":" in host else host
    tell(f"serving {checkpoint}: --policy ws://{where}:{listening.socket.getsockname()[1]}")
    sys.stdout.flush()
    listening.serve_forever()


@app.command()
@example("dreamgen-bench repeat runs/mine --model wan-s")
def repeat(run: Folder, model: Row, as_json: Json = False) -> None:
    """The same policies from the same starts once more: the share of outcomes that flipped."""
    from ..downstream import again
    from ..loop import reopened

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = again(reopened(run), model)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    low, high = found["ci95"] or (0.0, 1.0)
    share = f"{found['flipped']} of {found['episodes']} outcomes flipped: {found['share']:.3f} [{low:.3f}, {high:.3f}]"
    out_console.print(escape(f"{model}: {share}"))
