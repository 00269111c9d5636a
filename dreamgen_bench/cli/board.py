"""Verbs about what is published and looked at: records, tables, the page, and people's own labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.markup import escape
from rich.table import Table

from ..types import Task, UserError
from .frame import app, error_console, example, out_console

SHOWN = 8
"""Files that are named where many were written: a page has a frame for each task."""
Folder = Annotated[Path, typer.Option(help="Where records/ lies.")]
Set = Annotated[
    Optional[list[str]], typer.Option("--set", help="KEY=VALUE that a record needs and the run lacks; repeatable.")
]


@app.command(name="leaderboard")
@example("dreamgen-bench leaderboard --html site --videos runs/demo")
def leaderboard_(
    folder: Folder = Path("leaderboards"),
    check: Annotated[bool, typer.Option("--check", help="Fail where a table, a figure or the page differs.")] = False,
    html: Annotated[Optional[Path], typer.Option(help="Write the page with its videos here too.")] = None,
    videos: Annotated[Optional[list[Path]], typer.Option(help="Run folder that holds videos; repeatable.")] = None,
) -> None:
    """Regenerate what is published from the records: tables (Markdown, CSV, LaTeX), figures and the page."""
    from .. import publish, site

    changed = publish.regenerate(folder, check=check)
    changed += site.regenerate(publish.load(folder), out=folder / "page", check=check)
    named = ", ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")
    if check and changed:
        raise UserError(f"not what the records give: {named}; run dreamgen-bench leaderboard and commit the result")
    out_console.print(escape(f"written: {named}") if changed else "all is what the records give")
    if html is not None:
        told = site.run(publish.load(folder), out=html, videos=site.found_in(videos or []))
        out_console.print(escape(f"page: {(html / 'index.html').resolve()} ({told})"))


@app.command()
@example("dreamgen-bench submit runs/mine --set contact=you@example.org --set prompt=raw --set candidates=1")
def submit(
    run: Annotated[Path, typer.Argument(help="A finished run folder; with --check a record or an archive.")],
    to: Annotated[Path, typer.Option(help="Where records/ lies.")] = Path("leaderboards"),
    given: Set = None,
    models: Annotated[str, typer.Option(help="Of these models only, separated by commas.")] = "",
    videos: Annotated[Optional[Path], typer.Option(help="Also write archives with the videos to this folder.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify a submission as a maintainer's CI does.")] = False,
) -> None:
    """Make one record per (model, suite, instrument) of a finished run; or verify one, trusting nothing in it."""
    from .. import archive, submission

    if check:
        record, verified = archive.check(run)
        for told in (f"{record.model.name} on {record.suite.name}: {record.evidence.tier}", *verified):
            out_console.print(escape(told))
        return
    chosen = [name.strip() for name in models.split(",") if name.strip()]
    for path in submission.run(run, to=to, given=given or (), models=chosen):
        out_console.print(escape(str(path)))
        if videos is not None and archive.load(path).samples.videos:
            name = f"{path.parent.name}-{path.stem}.zip"
            out_console.print(escape(str(submission.archive(run, path, out=videos / name))))


@app.command()
@example("dreamgen-bench withdraw leaderboards/records/SUITE/MODEL-1a2b3c4d.json --reason 'tuned on the suite'")
def withdraw(
    record: Annotated[Path, typer.Argument(help="A record's file.")],
    reason: Annotated[str, typer.Option(help="Why it no longer counts; the board shows it.")],
) -> None:
    """Take a record off the board with a reason. The file stays."""
    from .. import publish

    publish.withdraw(record, reason=reason)
    out_console.print("withdrawn; dreamgen-bench leaderboard writes the tables without it")


@app.command()
@example("dreamgen-bench confirm leaderboards/records/SUITE/MODEL-1a2b3c4d.json --evidence reproduced --by 'A. Lab'")
def confirm(
    record: Annotated[Path, typer.Argument(help="A record's file.")],
    evidence: Annotated[str, typer.Option(help="self-reported, videos provided, reproduced or policy-validated.")],
    by: Annotated[str, typer.Option(help="Who vouches for it.")] = "",
    note: Annotated[str, typer.Option(help="How, in a line.")] = "",
) -> None:
    """Set the tier of evidence behind a record, for maintainers."""
    from .. import publish

    done: Any = publish.confirm(record, tier=evidence, by=by, note=note)  # type: ignore[arg-type]
    out_console.print(escape(f"{done.model.name} on {done.suite.name}: {done.evidence.tier}"))


def _served(folder: Path, port: int) -> None:
    from .. import serving

    with serving.files(folder, port=port) as address:
        error_console.print(f"{address}  (Ctrl-C ends)")
        serving.wait()


@app.command()
@example("dreamgen-bench view runs/demo --port 8000")
def view(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    port: Annotated[int, typer.Option(help="On this machine only; 0 takes a free one.")] = 8000,
    out: Annotated[Optional[Path], typer.Option(help="Write the page here instead of serving it.")] = None,
) -> None:
    """Serve a run's page on this machine: table, curve, and every video beside its judgments."""
    from .. import site

    where = out or run / "view"
    out_console.print(escape(f"page: {(where / 'index.html').resolve()} ({site.of_run(run, out=where)})"))
    if out is None:
        _served(where, port)


@app.command()
@example("dreamgen-bench annotate metaworld-behavior-v1 --models wan-s,replay --limit 12 --out labels")
def annotate(
    source: Annotated[list[str], typer.Argument(help="Suites, whose videos are made first; or one run folder.")],
    out: Annotated[Path, typer.Option(help="Where answers and labels.csv are kept.")] = Path("labels"),
    models: Annotated[str, typer.Option(help="Of these world models only, separated by commas.")] = "",
    limit: Annotated[Optional[int], typer.Option(help="At most so many tasks of each suite, spread evenly.")] = None,
    rubric: Annotated[Optional[list[str]], typer.Option(help="Question by name; by default IF and PA.")] = None,
    pairwise: Annotated[
        bool, typer.Option("--pairwise", help="Which of two videos of a task looks more real, in place of PA.")
    ] = False,
    port: Annotated[int, typer.Option(help="On this machine only; 0 takes a free one.")] = 8001,
) -> None:
    """Ask people the judge's questions, blind, on a page of this machine; ends with labels.csv for validate-judge."""
    from .. import annotate as labels
    from .. import preferences, rubrics, serving

    if pairwise and rubric:
        raise UserError("--pairwise asks a question of its own: leave --rubric out")
    chosen = [rubrics.load(name) for name in rubric or rubrics.DEFAULT]
    run, videos, tasks = _to_annotate(source, models, limit, out)
    if pairwise:
        session = preferences.prepare(videos, tasks, run=run, out=out)
    else:
        session = labels.prepare(videos, tasks, run=run, rubrics=chosen, out=out)
    with serving.files(out / "page", port=port, post=session.post) as address:
        words = f"{address}  {len(session.clips)} questions; raters choose a name each; Ctrl-C ends and writes it all"
        error_console.print(words)
        serving.wait()
    for told in labels.agreement(session):
        out_console.print(escape(told))
    if not pairwise:
        out_console.print(escape(f"labels: {labels.write_labels(session)}"))
        return
    out_console.print(escape(f"preferences: {preferences.write(session)}"))
    if any(answer.label is not None for answer in session.answers.read().values()):
        out_console.print(_strengths(out / "preferences.csv"))


def _strengths(path: Path) -> Table:
    from ..preferences import standings
    from ..stats import bracketed

    table = Table(title="Bradley-Terry strengths in logits, 0 the mean of the models", title_justify="left")
    for heading in ("model", "pairs", "share won", "strength"):
        table.add_column(heading)
    for row in standings(path):
        share = f"{row.share:.2f}{bracketed(row.share_ci95)}"
        strength = f"{row.strength:+.2f}{bracketed(row.strength_ci95)}"
        table.add_row(*map(escape, (row.model, str(row.pairs), share, strength)))
    return table


def _to_annotate(source: list[str], models: str, limit: int | None, out: Path) -> tuple[Path, list[Any], Any]:
    """The run folder, its videos, and their tasks; the videos of suites are made where they are not there yet."""
    from .. import latest, suites

    names = [name.strip() for name in models.split(",") if name.strip()]
    run = Path(source[0])
    if len(source) == 1 and (run / "videos.jsonl").is_file():
        found = latest.videos(run)
        # Videos that no judge is asked about are a policy's trajectories: not what a score is made of.
        scored = _scored(run) or {video.suite for video in found}
        videos = [video for video in found if video.suite in scored and (not names or video.model in names)]
        known = [suites.load(name) for name in sorted({video.suite for video in videos}) if name in suites.names()]
        tasks = _asked(run, limit)
    else:
        tasks = {}
        for name in source:
            suites.load(name)  # what is neither a run folder nor a suite is told of before the models are
        if not names:
            raise UserError("--models NAME,NAME: whose videos shall be made and asked about?")
        from .runs import configured, perform

        job = configured(source, models, out / "run", limit=limit, downstream=False)
        perform(("generate",), job, "1/1")
        run, known = out / "run", list(job.scored)
        videos = list(job.videos(job.scored))
    tasks |= {(task.suite, task.id): task for suite in known for task in suites.limited(suite, limit)}
    return run, videos, tasks


def _asked(run: Path, limit: int | None) -> dict[tuple[str, str], Task]:
    """The first tasks, of no suite that is published, of a manifest that was scored there."""
    from .. import suites
    from ..store import read_json

    path = run / "run.json"
    rows = read_json(path).get("tasks", []) if path.is_file() else []
    blank: dict[str, Any] = {"first_frame": Path(), "num_frames": 0, "fps": 0.0}
    own = [Task(**row, **blank) for row in rows if row["suite"] not in suites.names()]
    return {(task.suite, task.id): task for task in own[:limit]}


def _scored(run: Path) -> set[str]:
    from ..store import read_json

    path = run / "run.json"
    return set(read_json(path).get("config", {}).get("suites", [])) if path.is_file() else set()
