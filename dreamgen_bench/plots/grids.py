"""Figures of a grid of numbers: each cell holds its number, so that color only helps the eye.

One hue from light to dark, which grey and color-blind eyes order alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .style import INK, PAPER, QUIET, figure_of, save, short

Array = NDArray[np.float64]


def behavior_map(
    values: Array, *, models: Sequence[str], behaviors: Sequence[str], what: str, path_png: Path, path_svg: Path
) -> None:
    """The mean of `values` [models, behaviors] in 0-1, NaN where there was no video."""
    with figure_of(2.6 + 0.42 * len(behaviors), 1.9 + 0.3 * len(models)) as (figure, axes):
        _grid(axes, values, rows=models, columns=behaviors)
        axes.set_title(f"{what} by behavior", loc="left", fontsize=9.5)
        save(figure, path_png=path_png, path_svg=path_svg)


def agreement_matrix(values: Array, *, judges: Sequence[str], what: str, path_png: Path, path_svg: Path) -> None:
    """Share of the same videos on which two judges say the same, `values` [judges, judges]; NaN without any."""
    with figure_of(2.8 + 0.6 * len(judges), 2.0 + 0.4 * len(judges)) as (figure, axes):
        _grid(axes, values, rows=judges, columns=judges)
        axes.set_title(what, loc="left", fontsize=9.5)
        save(figure, path_png=path_png, path_svg=path_svg)


def rank_shares(values: Array, *, models: Sequence[str], what: str, path_png: Path, path_svg: Path) -> None:
    """How often each model takes each place, `values` [models, places], when tasks are drawn again."""
    with figure_of(2.6 + 0.42 * len(models), 1.9 + 0.3 * len(models)) as (figure, axes):
        shown = np.where(values < 0.005, np.nan, values)
        _grid(axes, shown, rows=models, columns=[str(place) for place in range(1, values.shape[1] + 1)], absent="")
        axes.set_title(what, loc="left", fontsize=9.5)
        axes.set_xlabel("place")
        axes.tick_params(axis="x", rotation=0)
        save(figure, path_png=path_png, path_svg=path_svg)


def _grid(axes: Axes, values: Array, *, rows: Sequence[str], columns: Sequence[str], absent: str = "–") -> None:
    look: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 1, "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(np.ma.masked_invalid(values), **look)
    for (row, column), value in np.ndenumerate(values):
        text = absent if np.isnan(value) else f"{value:.2f}".removeprefix("0") if value < 1 else "1"
        color = QUIET if np.isnan(value) else PAPER if value > 0.6 else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    axes.set_xticks(range(len(columns)), [short(name) for name in columns], rotation=60, ha="right", fontsize=7.5)
    axes.set_yticks(range(len(rows)), [short(name) for name in rows], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    if columns and all(name.isdigit() for name in columns):
        axes.set_xticks(range(len(columns)), columns, rotation=0, ha="center", fontsize=7.5)
