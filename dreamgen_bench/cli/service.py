"""The verb that lends a world model to other environments and machines."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.markup import escape

from ..types import UserError
from .frame import app, example, out_console


@app.command()
@example("dreamgen-bench serve wan-s --port 8000    # elsewhere: --models wan-s@http://HOST:8000")
def serve(
    model: Annotated[str, typer.Argument(help="World model by name (dreamgen-bench list models).")],
    host: Annotated[str, typer.Option(help="Who may call: 127.0.0.1 this machine, 0.0.0.0 everybody.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    queue: Annotated[int, typer.Option(help="Requests that may wait; more are told to come back.")] = 16,
    timeout: Annotated[float, typer.Option(help="Seconds within which a video is made; later, it is given up.")] = 3600,
) -> None:
    """A world model in its own environment or on its own machine, behind HTTP. There is no password."""
    from .. import registry
    from ..serve import Server, run

    if not 0 <= port < 65536 or queue < 1 or not 0 < timeout <= 7 * 86400:
        raise UserError("--port is 0 to 65535, --queue 1 or more, --timeout more than 0 and at most a week")
    spec = registry.find("world_models", model)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as where it is loaded: sums are added in the same order
    try:
        server = Server(spec, (host, port), queue=queue, timeout=timeout)
    except OSError as error:
        raise UserError(f"{host}:{port} can't be listened at ({error.strerror}): choose another --port") from error
    loaded = registry.load(spec)
    where = f"[{host}]" if ":" in host else host
    tell = lambda line: out_console.print(escape(line))  # noqa: E731
    tell(f"serving {spec.id}: --models {spec.name}@http://{where}:{server.server_address[1]}")
    run(spec, loaded, server, tell=tell)
