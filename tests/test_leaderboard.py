"""Scores to tables: what is ranked, what is averaged, what is absent, and what hostile names can do."""

import csv as csv_module
import html
import io
import re
from types import SimpleNamespace

import pytest
from made_up_run import HOSTILE, RUBRICS, SHOWN, both, score, success
from markdown_it import MarkdownIt
from rich.console import Console

from dreamgen_bench import leaderboard, standings
from dreamgen_bench.types import UserError


def of(found, model, suites=("seen",)):
    """The row of a model."""
    return next(row for row in found if row.model == model and row.suites == suites)


# Rows


def test_the_bench_score_is_the_mean_of_both_rubrics():
    """Bench averages IF and PA and the ends of their intervals, which concern the same videos."""
    rubrics = score("a", 0.8), score("a", 0.4, rubric="physics-alignment-v1")
    row = leaderboard.rows(rubrics, [], models={"a": {"group": "trained"}})[0]
    assert row.bench.mean == pytest.approx(0.6)
    assert row.bench.ci95 == pytest.approx((0.5, 0.7))
    assert str(row.bench) == "0.60 [0.50, 0.70]"


def test_each_suite_has_a_table_and_all_together_another():
    """Two suites give three tables; the average of suites has a narrower interval than either."""
    scores = [row for suite in ("seen", "new") for row in both("a", 0.5, suite=suite)]
    found = leaderboard.rows(scores, [], models={"a": {"group": "trained"}})
    assert [table[0].suites for table in leaderboard.tables(found)] == [("new", "seen"), ("new",), ("seen",)]
    low, high = found[0].instruction.ci95
    assert (found[0].instruction.mean, found[0].instruction.n) == (0.5, 100)
    assert high - low == pytest.approx(0.2 / 2**0.5)


def test_a_model_that_lacks_a_suite_is_not_averaged_over_the_others():
    """The mean over all suites is absent, with the suite that is missing, and so is the rank."""
    scores = both("a") + both("b") + both("a", suite="new")
    row = of(
        leaderboard.rows(scores, [], models={"a": {"group": "trained"}, "b": {"group": "trained"}}),
        "b",
        ("new", "seen"),
    )
    assert row.instruction.mean is None and "on new" in row.instruction.why
    assert not row.ranked and "no bench score" in row.unranked


def test_a_model_that_begins_elsewhere_is_not_ranked():
    """More than a tenth that go on from another first frame are too many; what was not looked at is no fault."""
    looked = [SimpleNamespace(begins=number >= 6) for number in range(50)]
    why = standings.elsewhere(looked)
    assert why == "6 of 50 videos do not begin at the task's first frame"
    assert not standings.elsewhere(looked[2:]) and not standings.elsewhere([SimpleNamespace(begins=None)] * 9)
    models = {"a": {"group": "trained", "elsewhere": {"new": why, "seen": ""}}}
    found = leaderboard.rows(both("a") + both("a", suite="new"), [], models=models)
    assert [row.ranked for row in found] == [False, False, True]  # of both suites, the new one, the seen one
    assert found[1].bench.mean is not None and why in " ".join(leaderboard.notes(found[1:2]))


def test_rows_below_the_coverage_are_not_ranked():
    """Judge errors and unparsed replies cost the rank, with the reason; missing videos count 0 and do not."""
    scores = both("errors", judge_error=2) + both("unparsed", unparsed=2) + both("absent", no_video=9)
    found = leaderboard.rows(scores, [], models=dict.fromkeys(("errors", "unparsed", "absent"), {"group": "trained"}))
    assert of(found, "errors").unranked == "IF: coverage 96.0%, below 98%"
    assert of(found, "unparsed").unranked == "IF: 4.0% of replies unparsed, more than 2%"
    assert of(found, "absent").rank == 1 and of(found, "absent").coverage == 1
    text = leaderboard.markdown(found)
    assert "errors – not ranked: IF: coverage 96.0%, below 98%" in text
    assert "9/50" in text


def test_controls_ceilings_and_floors_stand_apart_and_are_never_ranked():
    """Whatever they score, only trained models have a rank; rows without videos say why they have no score."""
    scores = both("replay", 1.0) + both("static", 0.0) + both("a", 0.5)
    downstream = [success(name, 0.5) for name in ("true_actions", "random", "teleoperation", "a")]
    models = {"replay": {"group": "control"}, "static": {"group": "control"}, "a": {"group": "trained"}}
    found = leaderboard.rows(scores, downstream, models=models)
    kinds = {row.model: (row.group, row.mark, row.rank) for row in found}
    assert kinds["replay"] == ("control", "ceiling", None)
    assert kinds["static"] == ("control", "floor", None)
    assert kinds["true_actions"] == ("reference", "ceiling", None)
    assert kinds["random"] == kinds["teleoperation"] == ("reference", "floor", None)
    assert kinds["a"] == ("trained", "", 1)
    assert of(found, "random").executable.why == "makes no videos"
    assert "random" in leaderboard.markdown(found)


def test_overlapping_intervals_tie_without_judgments():
    """Models share the rank of the best one whose interval overlaps with theirs, and the caption says so."""
    scores = both("best", 0.9) + both("close", 0.75) + both("far", 0.4)
    found = leaderboard.rows(scores, [], models=dict.fromkeys(("best", "close", "far"), {"group": "trained"}))
    assert [(row.model, row.rank, row.leader) for row in found] == [
        ("best", 1, "best"),
        ("close", 1, "best"),
        ("far", 3, "far"),
    ]
    assert "intervals overlap" in leaderboard.caption(found)
    assert re.search(r"50 videos each: 0\.2\d ", leaderboard.caption(found))


def test_paired_tests_tell_apart_what_intervals_cannot():
    """A model that is a little better on every task gets a rank of its own when the judgments are there."""
    models = dict.fromkeys(("a", "b"), {"group": "trained"})
    scores = both("a", 0.6) + both("b", 0.5)
    judgments = [
        {
            "suite": "seen",
            "task": f"t{n}",
            "seed": 0,
            "model": m,
            "rubric": rubric,
            "value": float(n % 50 < top),
        }
        for n in range(50)
        for m, top in (("a", 30), ("b", 20))
        for rubric in RUBRICS
    ]
    assert [row.rank for row in leaderboard.rows(scores, [], models=models)] == [1, 1]
    found = leaderboard.rows(scores, [], models=models, judgments=judgments)
    assert [row.rank for row in found] == [1, 2]
    assert "paired sign-flip" in leaderboard.caption(found, judgments)


def test_success_of_another_recipe_is_not_compared():
    """A success rate whose policy was trained differently than most is absent, and the note says why."""
    downstream = [success("a", 0.5), success("b", 0.5), success("c", 0.9, policy="pi0@1")]
    models = dict.fromkeys("abc", {"group": "trained"})
    row = of(leaderboard.rows([r for m in "abc" for r in both(m)], downstream, models=models), "c")
    assert row.success.mean is None and "pi0@1" in row.success.why


def test_what_another_idm_read_is_not_compared():
    """What a robot could follow by another IDM's labels than most is absent, with the reason; its IF and PA stay."""
    replayed = [score(m, rubric="executable") | {"judge": f"idm@{n}"} for m, n in (("a", 1), ("b", 1), ("c", 2))]
    models = dict.fromkeys("abc", {"group": "trained"})
    found = leaderboard.rows([*(r for m in "abc" for r in both(m)), *replayed], [], models=models)
    assert of(found, "a").executable.mean is not None
    row = of(found, "c")
    assert row.executable.mean is None and "idm@2" in row.executable.why and row.instruction.mean is not None


def test_what_nobody_was_measured_on_is_no_column():
    """A suite that only trains policies gives a table of success alone, which says what is not there."""
    models = {"a": {"group": "trained"}}
    found = leaderboard.rows(both("a"), [success("a", 0.5, suite="train")], models=models)
    table = next(table for table in leaderboard.tables(found) if table[0].suites == ("train",))
    assert list(leaderboard.measured(table)) == ["success"]
    assert leaderboard.notes(table) == ["Bench, IF, PA, Executable: not measured here"]


def test_counts_that_do_not_add_up_are_refused():
    """A score of more or fewer videos than were planned is an error that names the row."""
    with pytest.raises(UserError, match="'a' on 'seen'.*add up"):
        leaderboard.rows([score("a") | {"n": 7}], [], models={})


def test_two_judges_are_not_mixed():
    """Two rows for one cell are refused rather than averaged or overwritten."""
    with pytest.raises(UserError, match="two rows for the IF of 'a' on 'seen'"):
        leaderboard.rows([score("a"), score("a") | {"judge": "other"}], [], models={})


def test_a_model_that_the_run_does_not_describe_is_not_ranked():
    """Without a group a row is shown, unranked, with the reason."""
    row = leaderboard.rows(both("a"), [], models={})[0]
    assert (row.group, row.rank, row.unranked) == ("unknown", None, "group unknown")


# Text


def test_absent_values_are_dashes_with_a_reason():
    """A missing score is never 0 and never vanishes from Markdown, the terminal or CSV."""
    scores = both("a") + [score("b", None, unparsed=50), score("b", 0.5, rubric="physics-alignment-v1")]
    found = leaderboard.rows(scores, [], models=dict.fromkeys("ab", {"group": "trained"}))
    text = leaderboard.markdown(found)
    assert re.search(r"\| – \| b \| trained \| – \| – \| 0\.50 \[0\.40, 0\.60\]", text)
    assert "b – Bench, IF: no answer could be had" in text
    assert "50 unparsed of 50" in text
    console = Console(file=io.StringIO(), width=140)
    console.print(leaderboard.terminal(found))
    assert "no answer could be had" in console.file.getvalue()
    lines = list(csv_module.DictReader(io.StringIO(leaderboard.csv(found))))
    absent = next(line for line in lines if line["model"] == "b" and line["value"] == "IF")
    assert (absent["mean"], absent["why"]) == ("", "no answer could be had")


def test_hostile_names_are_text_in_markdown():
    """Pipes, tags, emphasis and marks of direction neither break the table nor become markup."""
    found = leaderboard.rows(both(HOSTILE), [], models={HOSTILE: {"group": "trained"}})
    text = leaderboard.markdown(found)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", rendered)
    assert len(cells) == len(leaderboard.measured(found)) + 5
    assert html.unescape(cells[1]) == SHOWN
    assert "<script>" not in rendered and "\u202e" not in text


def test_csv_holds_names_as_they_are():
    """The machine-readable table gives back the very name, and unrounded numbers."""
    found = leaderboard.rows(both(HOSTILE, 1 / 3), [], models={HOSTILE: {"group": "trained"}})
    lines = list(csv_module.DictReader(io.StringIO(leaderboard.csv(found))))
    assert {line["model"] for line in lines} == {HOSTILE}
    assert float(lines[0]["mean"]) == 1 / 3


def test_names_are_not_markup_in_the_terminal():
    """Rich shows a name in brackets instead of taking it for a style."""
    found = leaderboard.rows(both("[red]x[/red]"), [], models={"[red]x[/red]": {"group": "trained"}})
    console = Console(file=io.StringIO(), width=140)
    console.print(leaderboard.terminal(found))
    assert "[red]x[/red]" in console.file.getvalue()
