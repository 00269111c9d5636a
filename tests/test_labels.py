"""Labels as people write them: CSV or JSON lines, raters who disagree, rows that can't be used."""

import pytest
from labelled_clips import clips, rows_of, written
from typer.testing import CliRunner

from dreamgen_bench import labels
from dreamgen_bench.cli import app
from dreamgen_bench.types import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clips(tmp_path_factory.mktemp("clips"))


def test_csv_and_json_lines_are_the_same_labels(folder):
    """Quotes, commas and line breaks in a cell survive."""
    import csv

    rows = rows_of(folder)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    table, lines = labels.read(str(folder / "labels.csv")), labels.read(str(folder))
    assert [c.instruction for c in table.clips] == [c.instruction for c in lines.clips]
    assert [c.ratings for c in table.clips] == [c.ratings for c in lines.clips] and not table.problems


def test_what_can_not_be_used_is_reported_by_line(folder):
    """Missing, duplicate and conflicting rows; the rest is used."""
    rows = rows_of(folder)[:6]
    rows += [
        rows[0],  # 7: duplicate
        rows[1] | {"label": 1 - rows[1]["label"]},  # 8: contradicts line 2
        rows[2] | {"rater": ""},  # 9
        rows[3] | {"video": "gone.mp4"},  # 10
        rows[4] | {"label": "maybe"},  # 11
        rows[5] | {"id": "x", "label": None},  # 12: waits for a label
        rows[5] | {"id": "x", "instruction": "another"},  # 13
        rows[5] | {"colour": "red"},  # 14
        rows[5] | {"video": "../out.mp4"},  # 15
    ]
    path = written(folder, "broken.jsonl", rows)
    path.write_text(path.read_text("utf-8") + "{nonsense\n[1]\n", "utf-8")
    found = labels.read(str(path))
    assert {problem.line: problem.kind for problem in found.problems} == {
        7: "duplicate", 8: "conflict", 9: "missing", 10: "missing", 11: "unreadable", 13: "conflict", 14: "unreadable",
        15: "unreadable", 16: "unreadable", 17: "unreadable",
    }  # fmt: skip
    assert len(found.clips) == 7 and sum(clip.truth is not None for clip in found.clips) == 5


def test_raters_decide_by_majority_and_ties_are_told(folder):
    """An even vote is no truth; a rater who left a clip out is told with its line."""
    rows = [row | {"rater": rater} for row in rows_of(folder)[:3] for rater in "abc"]
    rows[0]["label"] = 1 - rows[0]["label"]  # clip 0: 1 against 2
    rows[5]["label"] = 1 - rows[5]["label"]
    del rows[4]  # clip 1: a against c
    found = labels.read(str(written(folder, "raters.jsonl", rows)))
    assert [clip.truth for clip in found.clips] == [0.0, None, 0.0]
    assert [(p.line, p.kind) for p in found.problems] == [(4, "missing"), (4, "conflict")]
    assert "no label of b" in found.problems[0].what and "even" in found.problems[1].what


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no clip with a label"),
        ("{}\n", "line 1: instruction is missing"),
        ("\x00\xff", "no clip with a label"),
    ],
)
def test_a_file_without_a_label_is_the_users_to_mend(tmp_path, text, why):
    """With exit status 2, and the first lines' problems."""
    (tmp_path / "l.jsonl").write_text(text, "utf-8")
    with pytest.raises(UserError, match=why):
        labels.read(str(tmp_path / "l.jsonl"))
    result = CliRunner().invoke(app, ["validate-judge", "always-yes", "--labels", str(tmp_path / "l.jsonl")])
    assert result.exit_code == 2


def test_a_column_that_is_missing_is_named(tmp_path):
    """Before any row."""
    (tmp_path / "l.csv").write_text("video,instruction,rubric,label\na,b,IF,1\n")
    with pytest.raises(UserError, match="'rater'"):
        labels.read(str(tmp_path / "l.csv"))
    with pytest.raises(UserError, match="no file, folder or suite"):
        labels.read("no-such-suite")


@pytest.mark.parametrize(
    "row", [{"label": 0.7}, {"label": -3.5}, {"label": float("nan")}, {"video": True}, {"video": "a\0"}]
)
def test_what_is_neither_label_nor_name_is_a_problem_of_its_line(folder, row):
    """A share is no label, NaN is no 0, and neither costs the other rows."""
    rows = rows_of(folder)[:4]
    found = labels.read(str(written(folder, "odd.jsonl", [*rows, rows_of(folder)[5] | row])))
    assert len(found.clips) == 4 and [problem.line for problem in found.problems] == [5]
