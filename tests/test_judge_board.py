"""The judges' board: records of validations, and the table that is made from them."""

import pytest

from dreamgen_bench import judge_board, publish
from dreamgen_bench.judge_board import IF, PA
from dreamgen_bench.store import read_json
from dreamgen_bench.types import UserError


def figure(value):
    return {"value": value, "ci95": None if value is None else [0.5, 0.95], "n": 10, "why": None}


def report(judge="mine@1", gate="passed", value=0.9, cost=None):
    names = ("balanced_accuracy", "f1", "kappa", "ece", "yes_bias", "auroc", "cry_wolf", "missed")
    figures = {name: figure(value) for name in names}
    splits = {"behavior": {"push": figures}, "held_out": {"nothing": figures, "kind": {"auroc": figure(0.8)}}}
    price = {"seconds": 5.0, "prompt_tokens": 0, "completion_tokens": 0, "cost": cost}
    of = {"gate": gate, "failures": [], "clips": 12, "labelled": 10, "judged": 10, "coverage": 1.0, "missing": {}}
    of |= {"figures": figures, "splits": splits, "price": price, "corrected": {}, "models": {}}
    problems = [{"line": 1, "kind": "differs", "what": "x"}]
    return {
        "schema": 1, "judge": judge, "labels": "suite-v1", "raters": ["simulator"], "problems": problems,
        "rubrics": {IF: of, PA: of}, "gate": gate,
    }  # fmt: skip


def test_a_report_becomes_a_record_and_a_row(tmp_path):
    """Agreement, unseen kinds, seconds and price; without the splits that are too small to read."""
    path = judge_board.publish(report(cost=0.2), to=tmp_path)
    record = read_json(path)
    assert record["clips_drawn_otherwise"] == 1 and set(record["rubrics"][PA]["splits"]) == {"held_out"}
    text = (tmp_path / "judges/README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| mine@1 "))
    assert "0.90 [0.50, 0.95]" in row and "| 0.80 [0.50, 0.95] |" in row and row.endswith("| 1.000 | 20.00 |")


def test_a_judge_that_failed_is_unvalidated_and_stands_below(tmp_path):
    """Whatever it got elsewhere; a figure that is undefined is a dash."""
    judge_board.publish(report("never@1", gate="failed", value=None), to=tmp_path)
    judge_board.publish(report(), to=tmp_path)
    lines = (tmp_path / "judges/README.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| mine", "| never"))]
    assert [row.split(" | ")[0] for row in rows] == ["| mine@1", "| never@1 (unvalidated)"]
    assert rows[1].count("–") >= 9
    assert judge_board.validated("mine@1", tmp_path) and not judge_board.validated("never@1", tmp_path)


def test_only_a_suite_is_published(tmp_path):
    """A user's own labels are no ground truth that others could check."""
    with pytest.raises(UserError, match="only what was measured on a suite"):
        judge_board.publish(report() | {"labels": "labels.csv"}, to=tmp_path)
    assert not (tmp_path / "judges").exists()


def test_the_board_keeps_the_judges_page_and_makes_it_again(tmp_path):
    """One command regenerates everything from records: it neither takes the page for a leftover nor trusts its text."""
    judge_board.publish(report(), to=tmp_path)
    publish.regenerate(tmp_path)
    page = tmp_path / "judges/README.md"
    sound = page.read_text("utf-8")
    assert "| mine@1 " in sound and publish.regenerate(tmp_path, check=True) == []
    page.write_text(sound.replace("0.90", "0.99"), "utf-8")
    assert publish.regenerate(tmp_path, check=True) == [str(page)]
    publish.regenerate(tmp_path)
    assert page.read_text("utf-8") == sound
