"""Verbs about what there is: plug-ins, published tables, this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
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


@app.command(name="leaderboard")
@example("dreamgen-bench leaderboard --check")
def leaderboard_(
    folder: Annotated[Path, typer.Option(help="Where records/ lies.")] = Path("leaderboards"),
    check: Annotated[bool, typer.Option("--check", help="Fail where a generated table differs.")] = False,
) -> None:
    """Regenerate the published tables from the published records."""
    from .. import publish

    changed = publish.regenerate(folder, check=check)
    if check and changed:
        names = ", ".join(changed)
        raise UserError(f"not what the records give: {names}; run dreamgen-bench leaderboard and commit the result")
    out_console.print("tables are what the records give" if not changed else f"written: {', '.join(changed)}")


@app.command()
@example("dreamgen-bench submit runs/mine --to leaderboards")
def submit(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    to: Annotated[Path, typer.Option(help="Where records/ lies.")] = Path("leaderboards"),
) -> None:
    """Make one record per (model, suite) of a finished run, for a pull request."""
    from .. import publish

    for path in publish.submit(run, to=to):
        out_console.print(escape(str(path)))


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
