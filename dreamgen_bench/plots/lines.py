"""Figures with one line a family, or a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from .style import GROUPS, INK, QUIET, figure_of, save, short

COLORS = ("#0072b2", "#b8500a", "#007a5e", "#8f3f74", "#222222", "#7a6a00")
"""Okabe and Ito's, dark enough for white paper; markers and dashes differ too, for grey."""
MARKERS, DASHES = "osD^vPX", ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def scaling(
    points: Mapping[str, Sequence[tuple[float, float, Sequence[float] | None]]],
    *,
    x: str,
    y: str,
    path_png: Path,
    path_svg: Path,
) -> None:
    """One line a family over (size, value, interval), the sizes on a logarithmic axis that also has room for none."""
    with figure_of(6.4, 4.4) as (figure, axes):
        _families(axes, points)
        sizes = sorted({point[0] for family in points.values() for point in family})
        if 0 in sizes:  # below the smallest size the axis is linear down to none at all
            axes.set_xscale("symlog", linthresh=min((size for size in sizes if size), default=1.0))
        else:
            axes.set_xscale("log")
        # Matplotlib's own labels of such an axis are formulas, and we draw none: a name may hold dollar signs.
        shown = _apart(sizes)
        axes.set_xticks(shown, [size_words(size) for size in shown])
        axes.set_xticks([], minor=True)
        axes.set(xlabel=x, ylabel=y, ylim=(-0.02, 1.02))
        _finished(figure, axes)
        save(figure, path_png=path_png, path_svg=path_svg)


def _families(axes: Any, points: Mapping[str, Sequence[tuple[float, float, Sequence[float] | None]]]) -> None:
    """A line for each family through its points, and each point's interval."""
    for (name, family), look in zip(sorted(points.items()), _looks(), strict=False):
        ordered = sorted(family, key=lambda point: point[0])
        axes.plot([p[0] for p in ordered], [p[1] for p in ordered], label=short(name), **look)
        for place, _, ends in ordered:
            if ends:
                axes.plot([place, place], ends, color=look["color"], linewidth=0.9, alpha=0.65)


def _finished(figure: Any, axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=QUIET, alpha=0.18, linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)


def size_words(count: float) -> str:
    """4.3 M, 14 B."""
    unit, divisor = next((u, d) for u, d in ((" B", 1e9), (" M", 1e6), (" k", 1e3), ("", 1)) if count >= d or d == 1)
    return f"{count / divisor:.3g}{unit}"


def _apart(sizes: Sequence[float]) -> list[float]:
    """Those whose labels do not touch on a logarithmic axis; 0 and the least above it are always among them."""
    kept = [size for size in sizes if size <= 0]
    above = [size for size in sizes if size > 0]
    last = 0.0
    for size in above:
        if not last or np.log(size / last) >= np.log(above[-1] / above[0]) / 12:
            kept.append(size)
            last = size
    return kept


def _beside(places: Mapping[str, Sequence[float]], order: Sequence[str]) -> dict[str, list[float]]:
    """Places where models that share one stand beside each other, so that each keeps its line and its name."""
    moved = {name: list(places[name]) for name in order}
    for judge in range(len(places[order[0]])):
        for place in {places[name][judge] for name in order}:
            sharing = [name for name in order if places[name][judge] == place]
            for at, name in enumerate(sharing):
                moved[name][judge] = place + 0.4 * (at - (len(sharing) - 1) / 2)
    return moved


def shares(
    points: Mapping[str, Sequence[tuple[float, float, Sequence[float] | None]]],
    *,
    x: str,
    y: str,
    path_png: Path,
    path_svg: Path,
) -> None:
    """One line a family over (share, value, interval), both axes from 0 to 1."""
    with figure_of(6.4, 4.4) as (figure, axes):
        _families(axes, points)
        axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        _finished(figure, axes)
        save(figure, path_png=path_png, path_svg=path_svg)


def intervals(
    rows: Sequence[tuple[str, float, Sequence[float] | None]], *, x: str, path_png: Path, path_svg: Path
) -> None:
    """One row a name from the top: its value and its interval, beside a line at 0."""
    with figure_of(6.4, 1.2 + 0.28 * len(rows)) as (figure, axes):
        for place, (_, value, ends) in enumerate(rows):
            if ends:
                axes.plot(ends, [place, place], color=GROUPS["trained"]["color"], linewidth=1.2)
            axes.plot(value, place, color=GROUPS["trained"]["color"], marker="o", markersize=5)
        axes.axvline(0, color=QUIET, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [short(name) for name, _, _ in rows], fontsize=8)
        axes.set(xlabel=x)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, path_png=path_png, path_svg=path_svg)


def ranks_by_judge(
    places: Mapping[str, Sequence[float]], *, judges: Sequence[str], path_png: Path, path_svg: Path
) -> None:
    """The place of each model under each judge; lines that cross are models that the judges order otherwise."""
    with figure_of(3.0 + 1.5 * len(judges), 1.6 + 0.3 * len(places)) as (figure, axes):
        order = sorted(places, key=lambda name: (places[name][-1], name))
        shown = _beside(places, order)
        for name, look in zip(order, _looks(), strict=False):
            axes.plot(range(len(judges)), shown[name], **look)
            axes.annotate(
                short(name),
                (len(judges) - 1, shown[name][-1]),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
        axes.set_xticks(range(len(judges)), [short(judge) for judge in judges])
        axes.set_yticks(range(1, len(places) + 1))
        axes.set(ylabel="place", xlim=(-0.2, len(judges) - 1 + 0.9))
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, path_png=path_png, path_svg=path_svg)


def _looks() -> Any:
    looks = zip(cycle(COLORS), cycle(MARKERS), cycle(DASHES), strict=False)
    return ({"color": c, "marker": m, "linestyle": d, "markersize": 6, "linewidth": 1.4} for c, m, d in looks)


def loss_curve(rows: Sequence[tuple[int, float | None, float | None]], *, path: Path) -> None:
    """The loss of every step, its running mean, and now and then the loss on held-out clips; a bitmap."""
    steps, losses = np.array([(step, loss) for step, loss, _ in rows if loss is not None], dtype=float).T
    width = max(1, len(losses) // 25)
    mean = np.convolve(losses, np.ones(width) / width, "valid")
    held = [(step, value) for step, _, value in rows if value is not None]
    with figure_of(7.2, 4.0) as (figure, axes):
        axes.plot(steps, losses, color=QUIET, linewidth=0.6, alpha=0.6, label="each step")
        axes.plot(steps[width - 1 :], mean, color=GROUPS["trained"]["color"], label=f"mean of {width} steps")
        if held:
            axes.plot(*zip(*held, strict=True), color=GROUPS["controls"]["color"], marker="D", label="held-out clips")
        axes.set(xlabel="Steps", ylabel="Squared error of the velocity")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(path, dpi=160, metadata={"Software": None})
