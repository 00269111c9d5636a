"""Verbs about IDMs: how far one can be trusted."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .frame import Json, app, example, out_console

SUITE = "metaworld-behavior-v1"


@app.command(name="check-idm")
@example("dreamgen-bench check-idm waypoint-play --json")
def check_idm(
    idm: Annotated[str, typer.Argument(help="IDM by name (dreamgen-bench list idms).")],
    episodes: Annotated[int, typer.Option(help="True episodes of each kind: taught, never taught, in rooms.")] = 12,
    model: Annotated[
        str, typer.Option(help="World model whose videos are set beside true ones; '' for none.")
    ] = "wan-s",
    videos: Annotated[int, typer.Option(help="Of its videos so many.")] = 4,
    as_json: Json = False,
) -> None:
    """How far an IDM can be trusted, and the gate: exit status 0 where it passed, 1 where it failed."""
    from .. import health, registry

    spec = registry.find("idms", idm)
    loaded, found = registry.load(spec), health.episodes(episodes)
    report = health.run(spec, loaded, found, generated=_dreamed(model, videos) if model and not spec.latent else [])
    report["generated_by"] = model
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        for renderable in _told(report):
            out_console.print(renderable)
    if report["gate"] != "passed":
        raise typer.Exit(1)


def _dreamed(model: str, videos: int) -> list[Any]:
    from .. import registry, suites

    tasks = suites.limited(suites.load(SUITE), videos)
    return list(registry.load(registry.find("world_models", model)).generate(tasks, seed=0))


def _told(report: dict[str, Any]) -> list[Any]:
    marks = {mark["figure"]: mark for mark in report["marks"]}
    table = Table(title=escape(f"{report['idm']} on {report['episodes']} true episodes"))
    for column in ("figure", "value", "pass mark", "why"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for name, figure in report["figures"].items():
        mark = marks.get(name, {"least": None, "most": None, "why": figure["why"] or ""})
        bound = "" if mark["least"] is None else f">= {mark['least']}"
        bound += "" if mark["most"] is None else f"<= {mark['most']}"
        value = "-" if figure["value"] is None else f"{figure['value']:.3f}"
        table.add_row(name, value, bound, escape(mark["why"]))
    told: list[Any] = [table]
    for row in report.get("columns", []):
        told.append(
            escape(
                f"{row['column']}: data {row['data'][0]} to {row['data'][1]}, labels {row['labels'][0]} to "
                f"{row['labels'][1]}, mean error {row['error']}, {row['relative_error']} of a constant's"
            )
        )
    if strange := report.get("strangeness"):
        told.append(_dreams(strange, report["generated_by"]))
    told += [escape(f"gate: {failure}") for failure in report["failures"]]
    return [*told, escape(f"gate: {report['idm']} {report['gate']}")]


def _dreams(strange: dict[str, Any], by: str) -> str:
    thirds = ", ".join(f"{third['hand_mm']} mm" for third in strange["thirds"])
    text = f"hand error by strangeness of the pictures, in thirds: {thirds}"
    if strange["generated"]:
        text += (
            f"; {strange['generated']} videos of {by} are as strange as true ones with "
            f"{strange['generated_expected_hand_mm']} mm, {strange['generated_beyond_probes']:.0%} stranger than any"
        )
    return escape(text)
