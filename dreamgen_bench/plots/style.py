"""How every figure looks, and how it is written. The same numbers give the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..standings import line

INK, PAPER, QUIET = "#222222", "#ffffff", "#777777"
"""Colors that the page replaces in the dark; nothing else in the figure has them."""
GROUPS = {
    "trained": {"label": "trained", "color": "#0072b2", "marker": "o", "face": "#0072b2"},
    "controls": {"label": "control", "color": "#b8500a", "marker": "D", "face": PAPER},
}
"""Told apart by shape and fill as well as by color (Okabe & Ito's blue, and their vermilion made darker)."""
HALO: dict[str, Any] = {"facecolor": PAPER, "alpha": 0.7, "edgecolor": "none", "pad": 0.4}
LONGEST_NAME = 28
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "dreamgen-bench",
    "text.parse_math": False,  # a name may hold dollar signs
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def figure_of(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of one drawing, in our style, in inches."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a name in a script that we lack
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.add_subplot()


def save(figure: Figure, *, path_png: Path, path_svg: Path) -> None:
    """Write a bitmap and a drawing."""
    path_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path_png, dpi=160, metadata={"Software": None})
    blank: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(path_svg, metadata=blank, transparent=True)


def short(name: str) -> str:
    """A name that fits beside a point."""
    plain = line(name)
    return plain if len(plain) <= LONGEST_NAME else plain[: LONGEST_NAME - 1] + "…"
