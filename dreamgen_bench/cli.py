"""The command line: each verb parses, calls the library, and prints. Nothing else in the package prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape

from . import __version__
from .types import UserError

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
Models = Annotated[str, typer.Option(help="World models, separated by commas.")]
Out = Annotated[Path, typer.Option(help="Run folder. What is there already is not done again.")]
Limit = Annotated[Optional[int], typer.Option(help="At most so many tasks of each suite, spread evenly.")]
TrajectoryLimit = Annotated[Optional[int], typer.Option(help="At most so many tasks to dream for the policy.")]
Seeds = Annotated[int, typer.Option(help="Videos per task.")]
Workers = Annotated[Optional[int], typer.Option(help="Processes; by default one a core. Changes no result.")]
JudgeName = Annotated[str, typer.Option("--judge", help="Judge by name (dreamgen-bench list judges).")]
IdmName = Annotated[str, typer.Option("--idm", help="Inverse dynamics model by name.")]
PolicyName = Annotated[str, typer.Option("--policy", help="Policy recipe by name.")]
Episodes = Annotated[int, typer.Option(help="Episodes per behavior for each policy.")]
PolicySeeds = Annotated[int, typer.Option(help="Policies trained per world model.")]
Shard = Annotated[str, typer.Option(help="i/n: this machine's share of the work, for clusters.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _example(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
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


def _run(suites: list[str], models: str, out: Path, **fields: Any) -> Any:
    from .loop import Run, check

    chosen = tuple(name.strip() for name in models.split(",") if name.strip())
    run = Run(suites=tuple(dict.fromkeys(suites)), models=tuple(dict.fromkeys(chosen)), out=out, **fields)
    check(run)
    return run


def _workers(count: int | None) -> int:
    if count is not None and count < 1:
        raise UserError(f"--workers {count}: use 1 or more")
    return count or max(1, len(os.sched_getaffinity(0)))


def _everything(run: Any, workers: int | None) -> None:
    from . import loop
    from .progress import watch
    from .summary import conclusion

    correlation = loop.everything(run, workers=_workers(workers), watch=watch(error_console))
    for renderable in conclusion(run, correlation):
        out_console.print(renderable)


DEMO_MODELS = (
    "replay,wan-s,retrieval,static,wrong_instruction,reversed,"
    "corrupt_teleport_1,corrupt_teleport_3,corrupt_deform_2,corrupt_time_warp_3"
)


@app.command()
@_example("dreamgen-bench demo --out runs/demo")
def demo(out: Out = Path("runs/demo"), workers: Workers = None) -> None:
    """The whole loop on the sim track, in minutes on two cores."""
    run = _run(
        ["metaworld-seen-v1", "metaworld-behavior-v1"],
        DEMO_MODELS,
        out,
        limit=24,
        trajectory_limit=96,
        episodes=8,
    )
    _everything(run, workers)


@app.command(name="run")
@_example("dreamgen-bench run metaworld-behavior-v1 --models replay,static,wan-s --out runs/mine --limit 16")
def run_(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    trajectory_limit: TrajectoryLimit = None,
    seeds: Seeds = 1,
    judge: JudgeName = "qwen-s",
    idm: IdmName = "waypoint-cnn",
    policy: PolicyName = "bc-chunk",
    episodes: Episodes = 12,
    policy_seeds: PolicySeeds = 1,
    downstream: Annotated[bool, typer.Option(help="Train and evaluate policies too.")] = True,
    workers: Workers = None,
) -> None:
    """Every stage, resumable: videos, judgments, labels, policies, episodes, tables, plot and page."""
    fields = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, judge=judge, idm=idm, policy=policy)
    fields |= dict(episodes=episodes, policy_seeds=policy_seeds, downstream=downstream)
    _everything(_run(suites, models, out, **fields), workers)


def _stage(names: tuple[str, ...], run: Any, shard: str) -> None:
    from .loop import STAGES

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in names:
        out_console.print(f"{name}: {STAGES[name](run, _parsed(shard))}")


def _parsed(shard: str) -> tuple[int, int]:
    index, _, count = shard.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {shard!r}: write i/n with 1 <= i <= n, as in 2/8")
    return int(index), int(count)


@app.command()
@_example("dreamgen-bench generate metaworld-seen-v1 --models wan-s --out runs/mine --shard 1/4")
def generate(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    trajectory_limit: TrajectoryLimit = None,
    seeds: Seeds = 1,
    downstream: Annotated[bool, typer.Option(help="Dream the policy's trajectories too.")] = True,
    shard: Shard = "1/1",
) -> None:
    """Suites x world models -> videos."""
    fields = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, downstream=downstream)
    _stage(("generate",), _run(suites, models, out, **fields), shard)


@app.command()
@_example("dreamgen-bench judge metaworld-seen-v1 --models wan-s --out runs/mine --judge qwen-s")
def judge(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    seeds: Seeds = 1,
    judge: JudgeName = "qwen-s",
    shard: Shard = "1/1",
) -> None:
    """Videos x judge x rubrics -> judgments."""
    _stage(("judge",), _run(suites, models, out, limit=limit, seeds=seeds, judge=judge), shard)


@app.command()
@_example("dreamgen-bench label metaworld-seen-v1 --models wan-s --out runs/mine --idm waypoint-cnn")
def label(
    suites: Suites,
    models: Models,
    out: Out,
    limit: Limit = None,
    trajectory_limit: TrajectoryLimit = None,
    seeds: Seeds = 1,
    idm: IdmName = "waypoint-cnn",
    shard: Shard = "1/1",
) -> None:
    """Videos x IDM -> neural trajectories, each replayed open loop for the score `executable`."""
    fields = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, idm=idm)
    _stage(("label", "replay"), _run(suites, models, out, **fields), shard)


def _policies(name: str, summary: str, example: str) -> None:
    """`train` and `evaluate` are one stage: a policy is evaluated by the process that trained it."""

    def verb(
        suites: Suites,
        models: Models,
        out: Out,
        limit: Limit = None,
        trajectory_limit: TrajectoryLimit = None,
        seeds: Seeds = 1,
        idm: IdmName = "waypoint-cnn",
        policy: PolicyName = "bc-chunk",
        episodes: Episodes = 12,
        policy_seeds: PolicySeeds = 1,
        shard: Shard = "1/1",
    ) -> None:
        fields = dict(limit=limit, trajectory_limit=trajectory_limit, seeds=seeds, idm=idm, policy=policy)
        _stage(("policies",), _run(suites, models, out, **fields, episodes=episodes, policy_seeds=policy_seeds), shard)

    verb.__doc__ = summary
    app.command(name=name)(_example(example)(verb))


_policies(
    "train",
    "Trajectories x policy recipe -> checkpoints, and their episodes.",
    "dreamgen-bench train metaworld-behavior-v1 --models wan-s --out runs/mine --policy bc-chunk",
)
_policies(
    "evaluate",
    "Policies x environment -> episodes (trains what is not trained yet).",
    "dreamgen-bench evaluate metaworld-behavior-v1 --models wan-s --out runs/mine --episodes 25",
)


@app.command()
@_example("dreamgen-bench score --manifest clips.jsonl --judge qwen-s --out runs/clips")
def score(
    manifest: Annotated[Path, typer.Option(help='JSON lines of {"id", "instruction", "video"}.')],
    out: Out,
    judge: JudgeName = "qwen-s",
) -> None:
    """Finished videos in, scores out."""
    from . import loop

    for row in loop.score_manifest(manifest, out=out, judge_name=judge):
        interval = "" if row["ci95"] is None else f" [{row['ci95'][0]:.2f}, {row['ci95'][1]:.2f}]"
        mean = "undefined" if row["mean"] is None else f"{row['mean']:.2f}"
        missing = ", ".join(f"{row[k]} {k}" for k in ("no_video", "judge_error", "unparsed") if row[k])
        text = f"{row['model']}  {row['suite']}  {row['rubric']}: {mean}{interval}  n = {row['n']} of {row['planned']}"
        out_console.print(escape(text + (f" ({missing})" if missing else "")))
    out_console.print(f"written to {escape(str(out))}: scores.json, judgments.jsonl, videos.jsonl")


@app.command()
@_example("dreamgen-bench correlate TABLE.csv --score if_pa --success success_rate --json")
def correlate(
    table: Annotated[Path, typer.Argument(help="A CSV, one row a model.")],
    score: Annotated[str, typer.Option(help="Column of the score.")],
    success: Annotated[str, typer.Option(help="Column of the success rate.")],
    model: Annotated[Optional[str], typer.Option(help="Column of the model's name.")] = None,
    as_json: Json = False,
) -> None:
    """How well a score predicts success in anybody's table: coefficients, intervals, permutation p, leave-one-out."""
    from .correlate import from_table
    from .summary import coefficients

    found = from_table(table, score=score, success=success, model=model)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        out_console.print(coefficients(found))


KINDS = ("suites", "models", "judges", "rubrics", "idms", "policies", "envs")


@app.command(name="list")
@_example("dreamgen-bench list models --json")
def list_(
    kind: Annotated[Optional[str], typer.Argument(help=" | ".join(KINDS))] = None,
    as_json: Json = False,
) -> None:
    """What there is: suites, models, judges, rubrics, IDMs, policies, environments."""
    from .catalog import catalog
    from .registry import nearest

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
@_example("dreamgen-bench leaderboard --check")
def leaderboard_(
    folder: Annotated[Path, typer.Option(help="Where records/ lies.")] = Path("leaderboards"),
    check: Annotated[bool, typer.Option("--check", help="Fail where a generated table differs.")] = False,
) -> None:
    """Regenerate the published tables from the published records."""
    from . import publish

    changed = publish.regenerate(folder, check=check)
    if check and changed:
        names = ", ".join(changed)
        raise UserError(f"not what the records give: {names}; run dreamgen-bench leaderboard and commit the result")
    out_console.print("tables are what the records give" if not changed else f"written: {', '.join(changed)}")


@app.command()
@_example("dreamgen-bench submit runs/mine --to leaderboards")
def submit(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    to: Annotated[Path, typer.Option(help="Where records/ lies.")] = Path("leaderboards"),
) -> None:
    """Make one record per (model, suite) of a finished run, for a pull request."""
    from . import publish

    for path in publish.submit(run, to=to):
        out_console.print(escape(str(path)))


@app.command()
@_example("dreamgen-bench doctor")
def doctor(as_json: Json = False) -> None:
    """Whether this machine can run it: graphics, versions, disk, memory, extras; and the cure for what is missing."""
    from .doctor import examine

    findings = examine()
    if as_json:
        sys.stdout.write(json.dumps([finding.__dict__ for finding in findings], indent=2) + "\n")
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else ("note" if finding.optional else "FAIL")
            cure = "" if finding.ok else f"  ->  {finding.cure}"
            out_console.print(escape(f"{mark}  {finding.name}: {finding.found}{cure}"))
    if any(not finding.ok and not finding.optional for finding in findings):
        raise typer.Exit(1)


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
