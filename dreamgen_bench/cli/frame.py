"""The command line's frame: options that verbs share, how an example is shown, how an error is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape

from .. import __version__
from ..types import UserError

app = typer.Typer(
    name="dreamgen-bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# A file or a pipe has no width of its own: wide enough then for a leaderboard's row to stay one line.
out_console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 170)
error_console = Console(stderr=True, soft_wrap=True, highlight=False)
_debug = False

Suites = Annotated[list[str], typer.Argument(help="Suites by name (dreamgen-bench list suites) or folder.")]
Models = Annotated[
    str,
    typer.Option(help="World models, separated by commas. Where policies are trained, replay and static come along."),
]
Out = Annotated[Path, typer.Option(help="Run folder. What is there already is not done again.")]
Limit = Annotated[Optional[int], typer.Option(help="At most so many tasks of each suite, spread evenly.")]
TrajectoryLimit = Annotated[Optional[int], typer.Option(help="At most so many tasks to dream for the policy.")]
Seeds = Annotated[int, typer.Option(help="Videos per task.")]
Workers = Annotated[Optional[int], typer.Option(help="Processes; by default one a core. Changes no result.")]
JudgeName = Annotated[str, typer.Option("--judge", help="Judge by name (dreamgen-bench list judges).")]
Rubrics = Annotated[
    Optional[list[str]],
    typer.Option("--rubric", help="Question by name, or a YAML file; once for each. By default IF and PA."),
]
IdmName = Annotated[str, typer.Option("--idm", help="Inverse dynamics model by name.")]
PolicyName = Annotated[str, typer.Option("--policy", help="Policy recipe by name, or ws://HOST:PORT of a served one.")]
Mixture = Annotated[
    str, typer.Option(help="What policies are trained on: neural, or cotrain (with teleoperation, 1:1).")
]
Precision = Annotated[
    Optional[float], typer.Option(help="Try a policy no more once its rate is known to within this on either side.")
]
Episodes = Annotated[int, typer.Option(help="Episodes per behavior for each policy.")]
PolicySeeds = Annotated[int, typer.Option(help="Policies trained per world model.")]
Shard = Annotated[str, typer.Option(help="i/n: this machine's share of the work, for clusters.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def example(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a verb its `--help` example, and its errors their one line."""

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(verb)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return verb(*args, **kwargs)
            except (UserError, ValueError, OSError) as error:
                if _debug:
                    raise
                error_console.print(f"error: {escape(_line(error))}", style="red")
                raise typer.Exit(2 if isinstance(error, (UserError, ValueError)) else 1) from None

        run.__doc__ = f"{verb.__doc__}\n\nExample:\n\n    {text}"
        return run

    return decorate


def warn_of_drift(out: Path) -> None:
    """Tell where a hosted judge's answers to the anchors have moved since this machine first asked for them."""
    from .. import anchors

    for told in anchors.moved_in(out):
        error_console.print(f"warning: {escape(told)}", style="yellow")


def tell_scores(rows: Iterable[dict[str, Any]]) -> None:
    """A line for each row of scores.json: mean, interval, how many, and what is missing."""
    from .. import stats
    from ..standings import visible

    for row in rows:
        mean = "undefined" if row["mean"] is None else f"{row['mean']:.2f}{stats.bracketed(row['ci95'])}"
        missing = ", ".join(f"{row[k]} {k}" for k in ("no_video", "judge_error", "unparsed") if row[k])
        text = f"{row['model']}  {row['suite']}  {row['rubric']}: {mean}  n = {row['n']} of {row['planned']}"
        out_console.print(escape(visible(text + (f" ({missing})" if missing else ""))))


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'file'}: {error.strerror}; nothing is lost: mend it and run the same command again"
    return " ".join(str(error).split())


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Score robot world models with judges, train policies on their dreams, and see whether the score predicted it."""
    global _debug
    _debug = debug
    if version:
        out_console.print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point. Exit status 2 for the user's mistake, 1 for a failure; no traceback without --debug."""
    try:
        app()
    except KeyboardInterrupt:
        error_console.print("stopped; the same command goes on from here")
        sys.exit(130)
    except Exception as error:
        if _debug:
            raise
        error_console.print(f"error: {escape(type(error).__name__)}: {escape(_line(error))} (--debug shows where)")
        sys.exit(1)
