"""Verbs about judges: how far one can be trusted, and the official questions."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.markup import escape
from rich.table import Table

from .frame import Json, app, error_console, example, out_console, warn_of_drift

if TYPE_CHECKING:
    from ..labels import Labels

Checkout = Annotated[Path, typer.Argument(help="Your checkout of NVIDIA/GR00T-Dreams.")]


@app.command(name="validate-judge")
@example("dreamgen-bench validate-judge qwen-s --labels metaworld-judge-v1")
def validate_judge(
    judge: Annotated[str, typer.Argument(help="Judge by name (dreamgen-bench list judges), or its card's path.")],
    labels: Annotated[
        str, typer.Option(help="CSV or JSON lines, a folder with labels.jsonl, or a suite of such clips.")
    ],
    out: Annotated[
        Optional[Path], typer.Option(help="Where answers are kept; by default runs/validate-judge/JUDGE.")
    ] = None,
    to: Annotated[
        Optional[Path], typer.Option(help="Also publish: a record and the table under this folder's judges/.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How far a judge can be trusted against labels, and the gate: exit status 0 where it passed, 1 where it failed."""
    from .. import judge_board, registry, rubrics, validation

    spec = registry.find("judges", judge)
    found = _labels(labels)
    folder = out or Path("runs/validate-judge") / re.sub(r"[^\w.-]+", "_", spec.name)
    report = validation.run(spec, lambda: registry.load(spec), found, rubric_of=rubrics.load, out=folder)
    warn_of_drift(folder)
    if to is not None:
        error_console.print(escape(str(judge_board.publish(report, to=to))))
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        for renderable in _told(report):
            out_console.print(renderable)
    if report["gate"] != "passed":
        raise typer.Exit(1)


def _labels(name: str) -> Labels:
    """What a file or folder holds; the clips of a suite are drawn first where this machine has none yet."""
    from .. import ground_truth
    from .. import labels as rows

    if name not in ground_truth.names():
        return rows.read(name)

    def told(done: int, planned: int) -> None:
        if not error_console.is_terminal and done < planned and done % 128:
            return
        error_console.print(f"{name}: {done} of {planned} clips drawn", end="\r" if error_console.is_terminal else "\n")

    folder = ground_truth.prepare(name, workers=os.cpu_count() or 1, told=told)
    found = rows.read(str(folder))
    lines = {clip.id: clip.line for clip in found.clips}
    what = "this machine draws clip {!r} otherwise than the suite's makers did"
    differing = ground_truth.differing(name, folder)
    others = [rows.Problem(line=lines[id], kind="differs", what=what.format(id)) for id in differing]
    return replace(found, suite=name, problems=[*found.problems, *others])


def _told(report: dict[str, Any]) -> list[Any]:
    told: list[Any] = []
    for problem in report["problems"][:20]:
        told.append(_plain(f"line {problem['line']}: {problem['kind']}: {problem['what']}"))
    if len(report["problems"]) > 20:
        told.append(f"... and {len(report['problems']) - 20} more (--json shows all)")
    for name, of in report["rubrics"].items():
        told += [_table(name, of), *_notes(of)]
    return [*told, _plain(f"gate: {report['judge']} {report['gate']}")]


def _table(name: str, of: dict[str, Any]) -> Table:
    table = Table(title=_plain(f"{name}: {of['judged']} of {of['labelled']} labelled clips judged"))
    for column in ("clips", "n", *of["figures"]):
        table.add_column(column, justify="left" if column == "clips" else "right")
    rows = {"all": of["figures"]} | {
        f"{split} {value}": figures for split, group in of["splits"].items() for value, figures in group.items()
    }
    for label, figures in rows.items():
        table.add_row(_plain(label), str(figures["accuracy"]["n"]), *(_cell(figure) for figure in figures.values()))
    return table


def _cell(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "-"
    ends = figure["ci95"]
    return f"{figure['value']:.2f}" + ("" if ends is None else f"\n{ends[0]:.2f}..{ends[1]:.2f}")


def _notes(of: dict[str, Any]) -> list[str]:
    found = [f"{name}: undefined: {figure['why']}" for name, figure in of["figures"].items() if figure["value"] is None]
    found += [f"gate: {failure}" for failure in of["failures"]]
    score = of["corrected"]
    if score["mean"] is not None:
        found.append(
            f"score by the judge {score['judged']:.3f}; corrected by {score['labelled']} labels {score['mean']:.3f} "
            f"[{score['ci95'][0]:.3f}, {score['ci95'][1]:.3f}]; by these labels alone {score['labels_only']:.3f} "
            f"[{score['labels_ci95'][0]:.3f}, {score['labels_ci95'][1]:.3f}]; labels saved: {score['labels_saved']}"
        )
    if of["models"]["pearson"] is not None:
        found.append(f"over {of['models']['n_models']} models' means: Pearson r {of['models']['pearson']:.2f}")
    return [_plain(note) for note in found]


def _plain(text: str) -> str:
    # Labels come from others: no markup of ours and no escape of a terminal's may stand in them.
    return escape("".join(c if c.isprintable() else "?" for c in text))


@app.command(name="physics")
@example("dreamgen-bench physics runs/mine --vlm qwen2.5-vl-7b --scorer videophy.yaml --json")
def physics(
    run: Annotated[Path, typer.Argument(help="A folder with judgments.jsonl of both judges.")],
    vlm: Annotated[str, typer.Option(help="Judge whose hard answer is the first half.")],
    scorer: Annotated[str, typer.Option(help="Judge whose P(yes) is the second half.")],
    rubric: Annotated[str, typer.Option(help="Rubric of the first.")] = "physics-alignment-v1",
    scorer_rubric: Annotated[str, typer.Option(help="Rubric of the second.")] = "physics-alignment-v1",
    as_json: Json = False,
) -> None:
    """The paper's PA of two judges, both ways its text can be read: mean of probabilities, and thresholded."""
    from .. import registry, rubrics, scores
    from ..store import RecordFile
    from ..types import Judgment, UserError

    both = [
        (registry.find("judges", judge).id, rubrics.load(name).name)
        for judge, name in ((vlm, rubric), (scorer, scorer_rubric))
    ]
    judged = RecordFile(run / "judgments.jsonl", Judgment).read().values()
    rows = scores.physics_alignment(judged, vlm=both[0], scorer=both[1])
    if not rows:
        raise UserError(
            f"{run}: holds no judgment of {both[0][0]} on {both[0][1]}, nor of {both[1][0]} on {both[1][1]}"
        )
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    for row in rows:
        mean = "undefined" if row["mean"] is None else f"{row['mean']:.3f}"
        out_console.print(
            _plain(f"{row['model']}  {row['suite']}  {row['rubric']}: {mean}  n = {row['n']} of {row['planned']}")
        )


@app.command(name="import-rubrics")
@example("dreamgen-bench import-rubrics ~/GR00T-Dreams --out rubrics")
def import_rubrics(
    checkout: Checkout,
    out: Annotated[Path, typer.Option(help="Where the rubric files are written.")] = Path("rubrics"),
) -> None:
    """Read the official prompts out of your checkout of NVIDIA/GR00T-Dreams, to compare with the paper's figures."""
    from ..rubrics import official

    for path in official.read(checkout, out=out):
        out_console.print(escape(str(path)))
