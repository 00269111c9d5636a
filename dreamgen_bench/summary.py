"""What a run says at its end, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from . import leaderboard, stats
from .standings import leaning_text
from .store import read_json

NAMES = {
    "pearson": "Pearson r",
    "spearman": "Spearman rho",
    "kendall": "Kendall tau",
    "mmrv": "MMRV",
    "pairwise_accuracy": "pairwise accuracy",
}


def conclusion(run: Any, correlation: dict[str, Any]) -> Iterator[Any]:
    """The leaderboard, the correlation with its interval, and where the report is."""
    yield from leaderboard_tables(run)
    for group in ("trained", "controls", "all") if run.dreamed else ():
        yield escape(sentence(group, correlation["groups"][group]))
    if not run.dreamed:
        yield "no policy was to be trained (--no-downstream), so there is no success to hold the score against"
    yield f"report: {escape(str((run.out / 'report' / 'index.html').resolve()))}"


def leaderboard_tables(run: Any) -> Iterator[Any]:
    """The run's tables, as written to leaderboard.md."""
    settings = read_json(run.out / "run.json")
    scores = read_json(run.out / "scores.json")
    said = leaderboard.judgments_behind(run.out, scores)
    found = leaderboard.rows(scores, read_json(run.out / "success.json"), models=settings["models"], judgments=said)
    yield leaderboard.terminal(found, judgments=said)


def sentence(group: str, found: dict[str, Any]) -> str:
    """One line about how well the score predicted success in a group of models."""
    r = found["pearson"]
    if r["value"] is None:
        return f"score against success, {group} ({found['n_models']} models): undefined: {r.get('why', '')}"
    interval = stats.bracketed(r.get("ci95")) or f" (no interval: {r.get('why', '')})"
    who = f"score against success, {group} ({found['n_models']} models)"
    return f"{who}: Pearson r = {r['value']:.2f}{interval}{leaning_text(found)}"


def coefficients(found: dict[str, Any]) -> Table:
    """The coefficients of one table of scores and successes."""
    table = Table(title=f"{found['n_models']} models", title_justify="left")
    for heading in ("coefficient", "value", "95 % interval", "p"):
        table.add_column(heading)
    for key, name in NAMES.items():
        row = found[key]
        value = "undefined" if row["value"] is None else f"{row['value']:.3f}"
        interval = f"{row['ci95'][0]:.3f} to {row['ci95'][1]:.3f}" if row.get("ci95") else escape(row.get("why") or "–")
        table.add_row(name, value, interval, "–" if row.get("p") is None else f"{row['p']:.4f}")
    return table
