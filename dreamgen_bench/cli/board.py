"""Verbs about what is published and looked at: records, tables, the page, and people's own labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.markup import escape

from ..types import UserError
from .frame import app, error_console, example, out_console

Folder = Annotated[Path, typer.Option(help="Where records/ lies.")]
Set = Annotated[
    Optional[list[str]], typer.Option("--set", help="KEY=VALUE that a record needs and the run lacks; repeatable.")
]


@app.command(name="leaderboard")
@example("dreamgen-bench leaderboard --html site --videos runs/demo")
def leaderboard_(
    folder: Folder = Path("leaderboards"),
    check: Annotated[bool, typer.Option("--check", help="Fail where a generated table differs.")] = False,
    html: Annotated[Optional[Path], typer.Option(help="Write the page, its figures and its videos here too.")] = None,
    videos: Annotated[Optional[list[Path]], typer.Option(help="Run folder that holds videos; repeatable.")] = None,
) -> None:
    """Regenerate the published tables (Markdown, CSV, LaTeX) from the published records, and the page."""
    from .. import publish

    changed = publish.regenerate(folder, check=check)
    if check and changed:
        names = ", ".join(changed)
        raise UserError(f"not what the records give: {names}; run dreamgen-bench leaderboard and commit the result")
    out_console.print("tables are what the records give" if not changed else f"written: {', '.join(changed)}")
    if html is not None:
        from .. import site

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
