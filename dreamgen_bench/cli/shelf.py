"""Verbs about what there is: plug-ins, this machine."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Optional

import typer
from rich.markup import escape

from ..types import UserError
from .frame import Json, app, example, out_console

KINDS = ("suites", "models", "judges", "rubrics", "idms", "policies", "envs")


@app.command(name="list")
@example("dreamgen-bench list models --json")
def list_(
    kind: Annotated[Optional[str], typer.Argument(help=" | ".join(KINDS))] = None,
    as_json: Json = False,
) -> None:
    """What there is: suites, models, judges, rubrics, IDMs, policies, environments."""
    from ..catalog import catalog
    from ..registry import nearest

    if kind is not None and kind not in KINDS:
        raise UserError(f"nothing of kind {kind!r}{nearest(kind, list(KINDS))}")
    found = catalog(KINDS if kind is None else (kind,))
    if as_json:
        sys.stdout.write(json.dumps(found if kind is None else found[kind], indent=2, ensure_ascii=False) + "\n")
        return
    for name, rows in found.items():
        out_console.print(f"{name}:", style="bold")
        for row in rows:
            out_console.print(f"  {escape(row['name']):28s} {escape(row['summary'])}")


@app.command()
@example("dreamgen-bench doctor --model wan2.2-ti2v-5b")
def doctor(
    model: Annotated[Optional[str], typer.Option(help="A world model: can this machine run it?")] = None,
    as_json: Json = False,
) -> None:
    """Whether this machine can run it: graphics, versions, disk, memory, extras; and the cure for what is missing."""
    from ..doctor import examine, examine_model

    findings = examine() if model is None else examine_model(model)
    if as_json:
        sys.stdout.write(json.dumps([finding.__dict__ for finding in findings], indent=2) + "\n")
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else ("note" if finding.optional else "FAIL")
            cure = "" if finding.ok else f"  ->  {finding.cure}"
            out_console.print(escape(f"{mark}  {finding.name}: {finding.found}{cure}"))
    if any(not finding.ok and not finding.optional for finding in findings):
        raise typer.Exit(1)
