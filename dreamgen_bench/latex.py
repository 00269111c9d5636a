"""A table for a paper, with its caption. It needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from .leaderboard import NUMBERS, caption, notes, texts, title
from .standings import JSON, Row, line

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "’": "'",
    "“": "``",
    "”": "''",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after the end of a row it would begin a length
} | {character: f"\\{character}" for character in "&%$#_{}"}
_NOT_IN_T1 = "ĦħĸĿŀŉŦŧſ"
"""Letters of Latin Extended-A that the encoding lacks: pdflatex would stop there."""
_LIGATURE = re.compile(r"([-'`,!?])(?=[-'`,])")
"""Neighbours that would be drawn as one dash, quote or turned mark."""


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; a character that the fonts of pdflatex lack is given by its number."""
    apart = _LIGATURE.sub(r"\1\0", line(text))
    return "".join("{}" if c == "\0" else _character(c) for c in apart)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    latin = "LATIN" in unicodedata.name(character, "") and ord(character) < 0x180 and character not in _NOT_IN_T1
    if character.isascii() or latin:
        return character
    return rf"\texttt{{U+{ord(character):04X}}}"


def tabular(
    table: Sequence[Row], *, judgments: Sequence[JSON] | None = None, label: str = "tab:dreamgen", about: str = ""
) -> str:
    """One table. The best Bench among ranked rows is bold; groups are set apart by a thin rule."""
    rows = [(row, texts(row, table)) for row in table]
    heads = [heading for heading in rows[0][1] if heading != "Group"]
    ends = "".join("r" if heading in NUMBERS else "l" for heading in heads)
    best = {row.model for row in table if row.rank == 1}
    parts = []
    for _, group in groupby(rows, key=lambda pair: pair[0].group):
        parts.append("\n".join(_row(row, cells, heads, bold=row.model in best) for row, cells in group))
    body = "\n\\midrule\n".join(parts)
    words = " ".join([f"{about or title(table)}.", caption(table, judgments), *(f"{note}." for note in notes(table))])
    head = " & ".join(rf"\textbf{{{escaped(heading)}}}" for heading in heads)
    return (
        "\\begin{table*}\n\\centering\n\\small\n"
        f"\\begin{{tabular}}{{@{{}}{ends}@{{}}}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        f"\\end{{tabular}}\n\\caption{{{escaped(words)}}}\n\\label{{{re.sub(r'[^A-Za-z0-9:-]', '', label)}}}\n"
        "\\end{table*}\n"
    )


def _row(row: Row, cells: dict[str, str], heads: Sequence[str], *, bold: bool) -> str:
    found = []
    for heading in heads:
        cell = _interval(cells[heading])
        if heading == "Model" and row.kind != row.group:
            cell += rf" {{\scriptsize({escaped(row.kind.removeprefix(row.group + ', '))})}}"
        found.append(rf"\textbf{{{cell}}}" if bold and heading == "Bench" else cell)
    return " & ".join(found) + r" \\"


def _interval(cell: str) -> str:
    mean, bracket, ends = cell.partition(" [")
    if not bracket or not re.fullmatch(r"-?[\d.]+", mean):
        return escaped(cell)
    return rf"{escaped(mean)} {{\scriptsize[{escaped(ends.removesuffix(']'))}]}}"
