"""The figure of score against policy success."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from ..standings import agreement_text, line
from .style import GROUPS, HALO, INK, QUIET, figure_of, save, short

FEWEST_FOR_BAND = 4
CROWD = 16
"""More names than these would cover each other and the points: numbers then, with a key beside the figure."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model in the figure."""

    model: str
    group: str
    at: tuple[float, float]
    score_ci95: Sequence[float] | None
    success_ci95: Sequence[float] | None


def score_vs_success(
    correlation: Mapping[str, Any],
    *,
    path_png: Path,
    path_svg: Path,
    references: Mapping[str, float] | None = None,
) -> None:
    """Draw every model of correlation.json at (score, success) with both intervals, and what they agree on.

    `references`, success rates of ceilings and floors that have no score, are horizontal lines.
    """
    points = list(_points(correlation["groups"]))
    crowded = len(points) > CROWD
    with figure_of(9.2 if crowded else 7.2, 5.4) as (figure, axes):
        _limits(axes, points, references or {})
        _band(axes, points)
        for name, style in GROUPS.items():
            _group(axes, [point for point in points if point.group == name], style)
        _frame(axes, correlation["groups"])
        labels = [_reference(axes, name, value) for name, value in (references or {}).items()]
        names = _key(axes, points) if crowded else {point.model: short(point.model) for point in points}
        figure.canvas.draw()
        _name(axes, points, names, labels)
        save(figure, path_png=path_png, path_svg=path_svg)


def _points(groups: Mapping[str, Any]) -> Iterator[Point]:
    for name in GROUPS:
        for model in sorted(groups[name]["models"], key=lambda row: str(row["model"])):
            yield Point(
                model=model["model"],
                group=name,
                at=(model["score"], model["success"]),
                score_ci95=model.get("score_ci95"),
                success_ci95=model.get("success_ci95"),
            )


def _limits(axes: Axes, points: Sequence[Point], references: Mapping[str, float]) -> None:
    """Show all intervals and references, with room around them, and nothing far beyond 0 and 1."""
    for set_limits, at, more in ((axes.set_xlim, 0, ()), (axes.set_ylim, 1, tuple(references.values()))):
        ends = [point.score_ci95 if at == 0 else point.success_ci95 for point in points]
        values = [point.at[at] for point in points] + [value for pair in ends for value in pair or ()]
        low, high = min([*values, *more]), max([*values, *more])
        room = max(0.08 * (high - low), 0.02)
        set_limits(max(low - room, -0.04), min(high + room, 1.04))


def _band(axes: Axes, points: Sequence[Point]) -> None:
    """The least-squares line with the 95 % band of its mean, of the trained models or else of all."""
    trained = [point for point in points if point.group == "trained"]
    chosen, who = (trained, "trained") if len(trained) >= FEWEST_FOR_BAND else (points, "all models")
    x, y = (np.array([point.at[i] for point in chosen], dtype=float) for i in (0, 1))
    if len(chosen) < FEWEST_FOR_BAND or np.ptp(x) < 1e-9 or np.ptp(y) < 1e-9:
        return
    grid = np.linspace(*axes.get_xlim(), 100)
    middle, half = _least_squares(x, y, grid)
    axes.plot(grid, middle, color=QUIET, linewidth=1, linestyle=(0, (6, 3)), label=f"least squares, {who}")
    band: dict[str, Any] = {"color": QUIET, "alpha": 0.14, "linewidth": 0, "label": "its 95 % band"}
    axes.fill_between(grid, middle - half, middle + half, **band)


Array = NDArray[np.float64]


def _least_squares(x: Array, y: Array, grid: Array) -> tuple[Array, Array]:
    fit = scipy_stats.linregress(x, y)
    rest = y - (fit.intercept + fit.slope * x)
    error = np.sqrt((rest**2).sum() / (len(x) - 2))
    spread = np.sqrt(1 / len(x) + (grid - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    return fit.intercept + fit.slope * grid, scipy_stats.t.ppf(0.975, len(x) - 2) * error * spread


def _group(axes: Axes, points: Sequence[Point], style: Mapping[str, str]) -> None:
    for point in points:
        x, y = point.at
        thin: dict[str, Any] = {"color": style["color"], "linewidth": 0.9, "alpha": 0.65, "zorder": 2}
        if point.score_ci95:
            axes.plot(point.score_ci95, [y, y], **thin)
        if point.success_ci95:
            axes.plot([x, x], point.success_ci95, **thin)
    if points:
        xs, ys = zip(*(point.at for point in points), strict=True)
        look: dict[str, Any] = {"marker": style["marker"], "facecolor": style["face"], "edgecolor": style["color"]}
        axes.scatter(xs, ys, s=42, linewidth=1.5, zorder=3, label=f"{style['label']} ({len(points)})", **look)


def _reference(axes: Axes, name: str, value: float) -> Text:
    axes.axhline(value, color=INK, linewidth=0.9, linestyle=":", zorder=1)
    text = f"{short(name)} {value:.2f}"
    place: dict[str, Any] = {"xy": (1, value), "xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    return axes.annotate(text, **place, xytext=(-3, 2), ha="right", va="bottom", fontsize=7.5, color=INK)


def _frame(axes: Axes, groups: Mapping[str, Any]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("Bench score: mean of instruction following and physics alignment")
    axes.set_ylabel("Success rate of the policy trained on the videos")
    axes.grid(color=QUIET, alpha=0.18, linewidth=0.6)
    axes.set_axisbelow(True)
    words = {"all": "all models", "trained": "trained only", "controls": "controls only"}
    found = [f"{words[name]}: {agreement_text(groups.get(name))}" for name in words]
    axes.set_title("\n".join(map(line, found)), loc="left", fontsize=8.5, linespacing=1.5)
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)


def _key(axes: Axes, points: Sequence[Point]) -> dict[str, str]:
    """A number for each model, the best score first, and beside the figure whose it is."""
    ranked = sorted(points, key=lambda point: (-point.at[0], point.model))
    numbers = {point.model: str(number) for number, point in enumerate(ranked, 1)}
    step = min(0.055, 1.0 / len(ranked))
    look: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 8, "va": "top"}
    for row, point in enumerate(ranked):
        y = 1 - row * step
        axes.text(1.05, y, numbers[point.model], ha="right", color=GROUPS[point.group]["color"], **look)
        axes.text(1.06, y, short(point.model), **look)
    return numbers


def _name(axes: Axes, points: Sequence[Point], names: Mapping[str, str], labels: Sequence[Text]) -> None:
    """Write each name at the nearest free place around its point; the lowest points first."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken = [label.get_window_extent(renderer) for label in labels]
    centers = [axes.transData.transform(point.at) for point in points]
    taken += [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in centers]
    for point in sorted(points, key=lambda point: (point.at[1], point.at[0], point.model)):
        text = axes.annotate(names[point.model], point.at, (0, 0), textcoords="offset points", fontsize=8)
        text.set_bbox(HALO)
        _set_free(text, taken, axes)
        taken.append(text.get_window_extent(renderer))


def _set_free(text: Text, taken: Sequence[Bbox], axes: Axes) -> None:
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    costs: list[tuple[float, int, float, float]] = []
    for far in (5, 10, 16, 24):
        for dx, dy in ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1.4), (0, -1.4)):
            _move(text, far * dx, far * dy)
            box = text.get_window_extent(renderer)
            overlap = sum(_overlap(box, other) for other in taken)
            outside = box.width * box.height - _overlap(box, axes.bbox)
            costs.append((round(overlap + outside, 3), len(costs), far * dx, far * dy))
    _move(text, *min(costs)[2:])


def _move(text: Text, x: float, y: float) -> None:
    text.set_position((x, y))
    text.set_horizontalalignment("left" if x > 0 else "right" if x < 0 else "center")
    text.set_verticalalignment("bottom" if y > 0 else "top")


def _overlap(a: Bbox, b: Bbox) -> float:
    both = Bbox.intersection(a, b)
    return float(both.width * both.height) if both else 0.0
