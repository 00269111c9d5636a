"""Verbs that answer questions over many models: studies, and where success is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.markup import escape
from rich.table import Table

from ..types import UserError
from .frame import Json, Workers, app, error_console, example, out_console
from .runs import _workers

Names = Annotated[
    str, typer.Option("--models", help="World models or cards, separated by commas; by default all trained.")
]


def _split(names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


@app.command()
@example("dreamgen-bench study score-vs-success --preset small --out runs/study")
def study(
    name: Annotated[str, typer.Argument(help="Which study; `dreamgen-bench study list` says what there is.")],
    preset: Annotated[str, typer.Option(help="small (an hour on two cores), medium or full.")] = "small",
    out: Annotated[Optional[Path], typer.Option(help="Folder of the study. What is there is not done again.")] = None,
    models: Names = "",
    judges: Annotated[str, typer.Option(help="which-metric: ask these judges too, separated by commas.")] = "",
    idm: Annotated[str, typer.Option(help="Labels by this IDM instead of the preset's.")] = "",
    idms: Annotated[str, typer.Option(help="idm-vs-latent-actions: these, separated by commas.")] = "",
    table: Annotated[Optional[Path], typer.Option(help="which-metric: CSV with `model` and your own metrics.")] = None,
    publish: Annotated[Optional[Path], typer.Option(help="Copy records and figures there when it is done.")] = None,
    workers: Workers = None,
) -> None:
    """One question, answered by one command that goes on where it was; leaves study.json, correlation.json, figures."""
    from .. import studies
    from ..progress import watch
    from ..studies import frame

    if name == "list":
        for known, module in studies.STUDIES.items():
            out_console.print(escape(f"{known:24s} {module.__doc__.splitlines()[0]}"))
        return
    chosen, values = studies.find(name, preset)
    values = studies.labeled_by(values, idm) if idm else values
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    job = frame.Job(
        name=name,
        preset=preset,
        out=out or Path("runs") / name,
        roster=frame.roster(_split(models), values.controls if hasattr(values, "controls") else values.base.controls),
        workers=_workers(workers),
        watch=watch(error_console),
        more={"judges": _split(judges), "idms": _split(idms), "table": table},
    )
    for absent, why in job.roster.absent.items():
        error_console.print(escape(f"absent: {absent}: {why}"))
    _tell(chosen.run(job, values))
    out_console.print(escape(f"study: {job.out.resolve()}"))
    if publish is not None:
        for file in frame.publish(job.out, publish):
            out_console.print(escape(f"published: {publish / file.relative_to(job.out)}"))


def _tell(found: Any) -> None:
    from ..summary import sentence

    for group in ("trained", "controls"):
        if "groups" in found:
            out_console.print(escape(sentence(group, found["groups"][group])))
            out_console.print(escape(_corrected(found["groups"][group])))
    for row in found.get("ranked", []):
        out_console.print(escape(f"{row['metric']:40s} r = {_number(row['value'])} {_ends(row['ci95'])}"))
    for row in found.get("pooled", []):
        words = f"{row['quantity']:12s} {row['models']:3d} models: covered {row['coverage']:.3f} of {row['draws']}"
        out_console.print(words + ("" if row["ok"] else "  OUTSIDE"))
    for row in found.get("rows", []) if "pooled" not in found else []:
        out_console.print(escape(f"{_trained_on(row):72s} {_number(row['mean'])} {_ends(row['ci95'])}"))


def _trained_on(row: dict[str, Any]) -> str:
    """A policy's training data in words: of a mixture, or of all dreams of a model."""
    if "neural" not in row:
        return f"{row['model']} {row['idm']}"
    if not row["neural"]:
        return f"{row['real']} of teleoperation alone"
    dreams = f"{row['neural']} of {row['model']} by {row['idm']}"
    return f"{dreams}, {row['real']} of teleoperation at {row['share']:g}" if row["real"] else f"{dreams} alone"


def _corrected(group: dict[str, Any]) -> str:
    own = group.get("corrected")
    if not own:
        return "  without measuring noise: undefined"
    why = f" ({own['why']})" if own.get("why") else ""
    return f"  without measuring noise: r = {_number(own['value'])} {_ends(own['ci95'])}{why}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ends(ends: Any) -> str:
    return "" if not ends else f"[{ends[0]:.2f}, {ends[1]:.2f}]"


@app.command()
@example("dreamgen-bench attribute runs/demo")
def attribute(
    run: Annotated[Path, typer.Argument(help="A finished run folder in which policies were trained.")],
    as_json: Json = False,
) -> None:
    """How much success is lost by the label, by the video and by the policy, for each model of a run."""
    from .. import attribute as attribution
    from .. import loop

    if not (run / "run.json").is_file():
        raise UserError(f"{run}: no run folder (it has no run.json)")
    rows = attribution.run(loop.reopened(run))
    if as_json:
        out_console.print_json(json.dumps(rows))
        return
    table = Table(title="success, and what is lost on the way [95 %]", title_justify="left")
    for heading in ("suite", "model", "true actions", "replay + IDM", "generated + IDM", "policy"):
        table.add_column(heading)
    for heading in ("lost by label", "by video", "by policy"):
        table.add_column(heading)
    for row in rows:
        rates = [_number(row[key]["mean"]) for key in ("true_actions", "replay_idm", "generated_idm", "policy")]
        lost = [
            f"{_number(row['lost'][key]['mean'])} {_ends(row['lost'][key]['ci95'])}"
            for key in ("label", "video", "policy")
        ]
        table.add_row(*map(escape, (row["suite"], row["model"], *rates, *lost)))
    out_console.print(table)
