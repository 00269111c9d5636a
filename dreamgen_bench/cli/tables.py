"""Verbs for what others bring: finished videos to score, a table to correlate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.markup import escape

from .frame import Json, JudgeName, Out, Rubrics, app, error_console, example, out_console, tell_scores, warn_of_drift


@app.command()
@example("dreamgen-bench score --manifest clips.jsonl --judge qwen-s --out runs/clips")
def score(
    manifest: Annotated[Path, typer.Option(help='JSON lines of {"id", "instruction", "video"}.')],
    out: Out,
    judge: JudgeName = "qwen-s",
    rubric: Rubrics = None,
) -> None:
    """Finished videos in, scores out."""
    from .. import finished, latest, rubrics
    from ..standings import visible

    names = tuple(dict.fromkeys(rubric or rubrics.DEFAULT))
    table = finished.score(manifest, out=out, judge_name=judge, rubric_names=names)
    tell_scores(table)
    warn_of_drift(out)
    if told := finished.warning(latest.videos(out), judge):
        error_console.print(f"warning: {escape(told)}", style="yellow")
    for reason in finished.reasons(out):
        error_console.print(escape(visible(reason)))
    written = finished.publish(manifest, out=out, judge_name=judge, rubric_names=names)
    files = ", ".join(("scores.json", "judgments.jsonl", "videos.jsonl", "run.json", *written))
    out_console.print(f"written to {escape(str(out))}: {files}")
    if not any(row["n"] for row in table):
        error_console.print("nothing was judged: every reason is above; the same command asks again")
        raise typer.Exit(1)


@app.command()
@example("dreamgen-bench correlate TABLE.csv --score if_pa --success success_rate --json")
def correlate(
    table: Annotated[Path, typer.Argument(help="A CSV, one row a model.")],
    score: Annotated[str, typer.Option(help="Column of the score.")],
    success: Annotated[str, typer.Option(help="Column of the success rate.")],
    model: Annotated[Optional[str], typer.Option(help="Column of the model's name.")] = None,
    as_json: Json = False,
) -> None:
    """How well a score predicts success in anybody's table: coefficients, intervals, permutation p, leave-one-out."""
    from ..correlate import from_table
    from ..summary import coefficients

    found = from_table(table, score=score, success=success, model=model)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        out_console.print(coefficients(found))
        if found["n_missing"]:
            out_console.print(f"{found['n_missing']} rows left out: a cell of theirs is empty")
