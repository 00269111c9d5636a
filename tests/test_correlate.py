"""Tables and run records to agreement: what is computed, what is left out and why, and what is refused."""

import json

import numpy as np
import published
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamgen_bench import correlate, standings, stats, summary

CODES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)


def table(tmp_path, text, name="table.csv"):
    """A file with this text."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def score(model, mean, *, rubric="instruction-following", suite="seen", ci95=None):
    """One row of scores.json."""
    return {"model": model, "suite": suite, "rubric": rubric, "judge": "tiny", "mean": mean, "ci95": ci95}


def both(model, mean, **more):
    """A row for each of the two rubrics of the bench score, with the same mean."""
    return [score(model, mean, rubric=rubric, **more) for rubric in correlate.BENCH]


def success(model, mean, *, idm="cnn", policy="bc", suite="seen", ci95=None):
    """One row of success.json."""
    return {"model": model, "suite": suite, "idm": idm, "policy": policy, "mean": mean, "ci95": ci95}


MODELS = ["a", "b", "c", "d", "e"]
SCORES = [row for i, m in enumerate(MODELS) for row in both(m, 0.1 * i + 0.2)]
SUCCESS = [success(m, 0.2 * i**2 / 4) for i, m in enumerate(MODELS)]
TRAINED = dict.fromkeys(MODELS, "trained")


# Tables


def test_a_table_gives_the_published_figures(tmp_path):
    """SIMPLER's printed Pearson and MMRV come out of a CSV file, with each model's point."""
    points = zip(published.SIMPLER_SIM, published.SIMPLER_REAL, strict=True)
    rows = "".join(f"policy {i},{sim},{real}\n" for i, (sim, real) in enumerate(points))
    path = table(tmp_path, f"policy,sim,real\n{rows}")
    found = correlate.from_table(path, score="sim", success="real", model="policy")
    assert found["pearson"]["value"] == pytest.approx(0.976, abs=0.004)
    assert found["mmrv"]["value"] == pytest.approx(0.031, abs=0.0015)
    assert (found["n_rows"], found["n_missing"], found["n_models"]) == (6, 0, 6)
    assert found["models"][0]["model"] == "policy 0"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_rows_may_stand_in_any_order(tmp_path):
    """A sorted and an unsorted table give the same record, intervals included."""
    lines = ["m1,.1,.2", "m2,.5,.4", "m3,.3,.4", "m4,.9,.7", "m5,.2,.1"]
    found = [
        correlate.from_table(table(tmp_path, "m,x,y\n" + "\n".join(order)), score="x", success="y", model="m")
        for order in (lines, lines[::-1])
    ]
    assert found[0] == found[1]


def test_empty_cells_are_left_out_and_counted(tmp_path):
    """Rows with an empty, NA or null cell do not count as zeros."""
    path = table(tmp_path, "m,x,y\na,1,1\nb,,2\nc,2,NA\n,3,3\nd,3,2\n\ne,4,null\n")
    found = correlate.from_table(path, score="x", success="y", model="m")
    assert (found["n_rows"], found["n_missing"], found["n_models"]) == (6, 4, 2)


def test_without_names_rows_are_lines(tmp_path):
    """A table without a model column, with a byte order mark and tabs, is read all the same."""
    path = table(tmp_path, "\ufeffx\ty\n1\t1\n2\t3\n3\t2\n", name="table.tsv")
    found = correlate.from_table(path, score="x", success="y")
    assert [row["model"] for row in found["models"]] == ["line 000002", "line 000003", "line 000004"]
    assert found["spearman"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m,scores,y\na,1,2\n", "no column 'score'. Did you mean 'scores'\\? Columns: m, scores, y"),
        ("", "Columns: none \\(the file is empty\\)"),
        ("m,score,score,y\n", "2 columns are named 'score'"),
        ("m,score,y\na,1,2\nb,45%,x\n", "table.csv:3: score is '45%', not a number\n.*:3: y is 'x'"),
        ("m,score,y\na,inf,2\n", "table.csv:2: score is 'inf', not a number"),
        ("m,score,y\na,1,2\nb,2,2\na,3,3\n", "table.csv:4: model 'a' is also on line 2"),
        ("m,score,y\na,1\n", "table.csv:2: 2 cells, but 3 columns"),
        ('m,score,y\n"two\nlines",1,2\nb,one,2\n', "table.csv:4: score is 'one'"),
    ],
)
def test_a_bad_table_is_refused_by_line(tmp_path, text, message):
    """Every refusal names the file and the line or column, and what is there instead."""
    with pytest.raises(correlate.TableError, match=message):
        correlate.from_table(table(tmp_path, text), score="score", success="y", model="m")


def test_only_the_first_bad_cells_are_listed(tmp_path):
    """A column of words is reported with ten examples and a count, not with a thousand lines."""
    path = table(tmp_path, "x,y\n" + "word,1\n" * 1_000)
    with pytest.raises(correlate.TableError, match="and 990 more cells") as error:
        correlate.from_table(path, score="x", success="y")
    assert len(str(error.value).splitlines()) == 12


def test_a_missing_or_binary_file_and_one_column_twice_are_refused(tmp_path):
    """No file, a file that is no text, and a column against itself are errors of the user, said plainly."""
    with pytest.raises(correlate.TableError, match="no such file"):
        correlate.from_table(tmp_path / "none.csv", score="x", success="y")
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff\x00")
    with pytest.raises(correlate.TableError, match="not a CSV file in UTF-8"):
        correlate.from_table(tmp_path / "image.csv", score="x", success="y")
    with pytest.raises(correlate.TableError, match="both column 'x'"):
        correlate.from_table(table(tmp_path, "x\n1\n"), score="x", success="x")


@given(st.lists(st.tuples(CODES, CODES, CODES), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_text_is_read_or_refused(tmp_path_factory, rows):
    """Whatever the cells hold, the answer is a record or a TableError, never another exception."""
    path = tmp_path_factory.mktemp("any") / "table.csv"
    path.write_text("m,x,y\n" + "\n".join(",".join(row) for row in rows), encoding="utf-8")
    try:
        found = correlate.from_table(path, score="x", success="y", model="m")
    except correlate.TableError:
        return
    json.dumps(found, allow_nan=False)


# Runs


def test_a_run_is_the_agreement_of_its_means():
    """The bench score is the mean of the two rubrics, and its agreement is that of `stats`."""
    rows = [score(m, 0.1 * i) for i, m in enumerate(MODELS)]
    rows += [score(m, 0.5 - 0.05 * i, rubric="physics-alignment") for i, m in enumerate(MODELS)]
    found = correlate.run(rows, SUCCESS, groups=TRAINED)
    trained = found["groups"]["trained"]
    x = [0.25 + 0.025 * i for i in range(5)]
    expected = stats.agreement(x, [row["mean"] for row in SUCCESS], models=MODELS).json()
    assert {key: item for key, item in trained.items() if key != "models"} == expected
    assert [row["score"] for row in trained["models"]] == pytest.approx(x)
    assert found["by_score"]["instruction_following"]["trained"]["pearson"]["value"] > 0
    assert found["by_score"]["physics_alignment"]["trained"]["pearson"]["value"] < 0
    assert found["schema"] == 1
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_controls_and_trained_models_are_apart():
    """Each group holds its own models, `all` holds both, and an empty group is there and undefined."""
    groups = TRAINED | {"d": "control", "e": "control"}
    found = correlate.run(SCORES, SUCCESS, groups=groups)["groups"]
    names = {key: [row["model"] for row in group["models"]] for key, group in found.items()}
    assert names == {"trained": ["a", "b", "c"], "controls": ["d", "e"], "all": MODELS}
    assert found["controls"]["pearson"]["why"] == "2 models, at least 3 needed"
    alone = correlate.run(SCORES, SUCCESS, groups=TRAINED)["groups"]["controls"]
    assert (alone["n_models"], alone["mmrv"]["value"], alone["models"]) == (0, None, [])


def test_other_rubrics_are_correlated_too():
    """`executable` appears under by_score for the models that have it, and does not enter the bench score."""
    rows = [*SCORES, *(score(m, 0.5, rubric="executable") for m in MODELS[:3])]
    found = correlate.run(rows, SUCCESS, groups=TRAINED)
    assert set(found["by_score"]) == {"instruction_following", "physics_alignment", "executable"}
    assert found["by_score"]["executable"]["trained"]["pearson"]["why"] == "score the same for all models"
    assert found["groups"] == correlate.run(SCORES, SUCCESS, groups=TRAINED)["groups"]
    assert {"model": "d", "reason": "no executable score", "scores": ["executable"]} in found["left_out"]


def test_what_is_missing_is_left_out_with_its_reason():
    """No score, no success, a null mean and no group are four reasons, and none of them is a zero."""
    groups = {"a": "trained", "x": "trained", "y": "trained", "z": "trained", "gone": "control"}
    rows = [*both("a", 0.5), *both("x", 0.5), score("y", 0.5), *both("stray", 0.5), *both("z", None)]
    found = correlate.run(rows, [success(m, 0.5) for m in ("a", "y", "z")], groups=groups)
    reasons = {row["model"]: row["reason"] for row in found["left_out"] if "bench" in row["scores"]}
    assert reasons == {
        "x": "no success rate",
        "y": "no physics-alignment score",
        "z": "no instruction-following score on seen; no physics-alignment score on seen",
        "gone": "no success rate",
        "stray": "in no group",
    }
    assert [row["model"] for row in found["groups"]["all"]["models"]] == ["a"]


def test_a_model_that_skipped_a_suite_is_not_comparable():
    """The mean over an easy suite is not compared with the mean over an easy and a hard one."""
    hard = [row for m in MODELS[1:] for row in both(m, 0.1, suite="object")]
    found = correlate.run(SCORES + hard, SUCCESS, groups=TRAINED)
    left = [row for row in found["left_out"] if "bench" in row["scores"]]
    assert [row["model"] for row in left] == ["a"]
    assert "no instruction-following score on object" in left[0]["reason"]
    assert found["groups"]["trained"]["models"][0]["score"] == pytest.approx((0.3 + 0.1) / 2)


def test_another_recipe_is_not_comparable():
    """A ceiling whose policy had true actions instead of the IDM's is left out; the recipe is recorded."""
    found = correlate.run(SCORES, [*SUCCESS[:4], success("e", 0.9, idm=None)], groups=TRAINED)
    assert found["recipe"] == {"idm": "cnn", "policy": "bc"}
    assert found["left_out"][0]["model"] == "e"
    assert "idm None" in found["left_out"][0]["reason"]


def test_intervals_of_the_score_are_combined():
    """Suites add in squares, rubrics of the same videos move together; one missing interval leaves none."""
    rows = [row for s in ("seen", "object") for row in both("a", 0.5, suite=s, ci95=[0.4, 0.7])]
    half = np.sqrt(2) / 2
    found = correlate.run(rows, [success("a", 0.5, ci95=[0.4, 0.6])], groups={"a": "trained"})
    point = found["groups"]["trained"]["models"][0]
    assert point["score_ci95"] == pytest.approx([0.5 - 0.1 * half, 0.5 + 0.2 * half])
    assert point["success_ci95"] == pytest.approx([0.4, 0.6])
    rows[0]["ci95"] = None
    found = correlate.run(rows, [success("a", 0.5)], groups={"a": "trained"})
    assert found["groups"]["trained"]["models"][0]["score_ci95"] is None


def test_ambiguous_records_are_refused():
    """Two rows for one cell, two judges for one rubric and a group of another name are errors."""
    with pytest.raises(ValueError, match="two rows for the success rate of a on seen"):
        correlate.run(SCORES, [*SUCCESS, SUCCESS[0]], groups=TRAINED)
    with pytest.raises(ValueError, match="scored by big, tiny: correlate one judge at a time"):
        correlate.run([*SCORES, score("f", 1) | {"judge": "big"}], SUCCESS, groups=TRAINED | {"f": "trained"})
    with pytest.raises(ValueError, match="unknown group 'controls'; choose from: trained, control"):
        correlate.run(SCORES, SUCCESS, groups={"a": "controls"})


def test_nothing_at_all_is_a_record_too():
    """An empty run has three empty groups and no exception."""
    found = correlate.run([], [], groups={})
    assert found["recipe"] is None
    assert [group["n_models"] for group in found["groups"].values()] == [0, 0, 0]


@pytest.mark.parametrize("power", [-200, 0, 160, 300])
def test_units_change_no_correlation(power):
    """Squares of the very large are infinite and those of the very small are 0; r knows no unit."""
    found = stats.pearson([value * 10.0**power for value in (1, 2, 3, 4)], [0.1, 0.3, 0.2, 0.5])
    assert found.value == pytest.approx(0.8315, abs=1e-3)


def test_a_correlation_that_leans_on_one_model_says_so():
    """One good model among five that are alike makes a line; without it there is none."""
    score, success = [0.1, 0.2, 0.15, 0.12, 0.18, 0.9], [0.1, 0.0, 0.05, 0.1, 0.02, 0.8]
    found = stats.agreement(score, success, models=list("abcdef")).json()
    assert standings.leaning_text(found) == f"; without f {stats.pearson(score[:5], success[:5]).value:.2f}"
    assert "; without f -0." in summary.sentence("trained", found)
    assert standings.leaning_text(None) == standings.leaning_text(stats.agreement([1], [1], models=["a"]).json()) == ""
