"""Tables for a paper: whatever a name holds is printed as it is, and pdflatex takes every table without an error."""

import re
import shutil
import subprocess

import pytest
from made_up_run import HOSTILE, both, score, success

from dreamgen_bench import latex, leaderboard

ASCII = "".join(map(chr, range(32, 127)))
LATIN = "".join(map(chr, range(0xA1, 0x180)))
NAMES = ("[8pt]", "*", "a_b&c%d$e#f{g}h~i^j\\k", "\\input{/etc/passwd}", "模型\u202e", "n" * 80, HOSTILE, ASCII, LATIN)
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[landscape,paperwidth=60cm,paperheight=60cm]{geometry}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


def tables():
    """A table a suite and one of both: ranks, ties, controls, references, absent values, and names that are hostile."""
    models = {name: {"group": "trained", "adaptation": "sft"} for name in NAMES} | {"static": {"group": "control"}}
    scores = [row for suite in ("seen", "new") for name in models for row in both(name, 0.5, suite=suite)]
    scores += [score(name, None, rubric="executable", suite="seen", judge_error=50) for name in NAMES[:2]]
    found = leaderboard.rows(scores, [success("static", 0.4), success("random", 0.1)], models=models)
    return leaderboard.tables(found)


def test_a_table_begins_no_row_with_what_a_row_end_would_take():
    """After the end of a row LaTeX reads * and [ as its arguments: no row may begin with somebody's name."""
    for table in tables():
        text = latex.tabular(table)
        body = text.split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
        rows = [line for line in body.splitlines() if line != "\\midrule"]
        assert len(rows) == len(table) and all(re.match(r"(--|\d+=?) & ", row) for row in rows)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: the tables were not compiled")
def test_every_table_compiles(tmp_path):
    """With booktabs and T1 alone, as the head of latex.py says; shell escape and the reading of files play no part."""
    whole = "\n".join(latex.tabular(table, label=f"tab:{number}") for number, table in enumerate(tables()))
    (tmp_path / "paper.tex").write_text(DOCUMENT % whole, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0 and (tmp_path / "paper.pdf").stat().st_size, done.stdout[-1500:]
    assert "Missing character" not in (tmp_path / "paper.log").read_text(errors="replace")
