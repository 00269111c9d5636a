"""Validating a judge: its report, a gate that holds, the paper's PA, and scores corrected by labels."""

import json
from collections import Counter

import numpy as np
import pytest
from labelled_clips import SIGHTED, clips, rows_of, sight, validate, written
from typer.testing import CliRunner

from dreamgen_bench import registry, reliability, scores
from dreamgen_bench.cli import app
from dreamgen_bench.corrected import corrected
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import ScriptedJudge
from dreamgen_bench.types import Judgment, Reply


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clips(tmp_path_factory.mktemp("clips"))


# The report and the gate


def test_a_judge_that_sees_passes(folder, tmp_path):
    """Every figure with its interval, whole and split by model, behavior and look."""
    report = validate(folder, tmp_path)
    [of] = report["rubrics"].values()
    assert report["gate"] == "passed" and of["failures"] == []
    assert set(of["figures"]) == set(reliability.FIGURES)
    assert of["figures"]["accuracy"]["value"] == 1.0 and of["figures"]["auroc"]["value"] == 1.0
    assert 0.85 < of["figures"]["accuracy"]["ci95"][0] < 1  # no clean sweep is certainty
    assert {split: sorted(group) for split, group in of["splits"].items()} == {
        "model": ["a", "b"],
        "behavior": ["push"],
        "look": ["barn", "lab"],
    }
    assert of["splits"]["model"]["a"]["accuracy"]["n"] == 20
    assert of["models"]["n_models"] == 2 and of["models"]["pearson"] is None
    assert json.loads((tmp_path / "validation.json").read_text("utf-8")) == report


@pytest.mark.parametrize("name", ["always-yes", "always-no"])
@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_judges_that_do_not_look_fail(folder, tmp_path, name, share):
    """However the labels lie, even where the judge is always right: agreement with a constant is undefined, not 1."""
    rows = rows_of(folder)
    for number, row in enumerate(rows):
        row["label"] = int(number < share * len(rows))
    path = written(folder, f"{name}-{share}.jsonl", rows)
    result = CliRunner().invoke(app, ["validate-judge", name, "--labels", str(path), "--out", str(tmp_path), "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 1 and report["gate"] == "failed"
    figures = report["rubrics"]["instruction-following-v1"]["figures"]
    assert figures["kappa"]["value"] is None and figures["kappa"]["why"]
    assert figures["alpha"]["value"] is None and figures["auroc"]["why"] == "the judge gives no probabilities"
    assert "NaN" not in result.stdout


def test_the_gate_is_the_exit_status(folder, tmp_path, monkeypatch):
    """0 where it passed, with a table for people that holds no markup and no escape of the labels' authors."""
    rows = [row | {"look": "[red]\x1b[2J" + row["look"]} for row in rows_of(folder)]
    path = written(folder, "hostile.jsonl", rows)
    monkeypatch.setattr(registry, "find", lambda kind, name: SIGHTED)
    monkeypatch.setattr(registry, "load", lambda spec: ScriptedJudge(sight))
    result = CliRunner().invoke(app, ["validate-judge", "sighted", "--labels", str(path), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "gate: sighted@1 passed" in result.output and "\x1b" not in result.output and "[red]" in result.output


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (lambda q: "1" if q.frames.mean() > 254 else "0", "undefined"),
        (lambda q: Reply(text="", error="429") if q.frames.mean() < 26 else sight(q), "coverage"),
        (lambda q: "who knows" if q.frames.mean() < 26 else sight(q), "coverage"),
        (lambda q: "0" if q.frames.mean() < 232 else "1", "cry_wolf"),
    ],
)
def test_the_gate_says_what_is_wrong(folder, tmp_path, reply, failure):
    """Undefined, missing and crying wolf are no passes."""
    [of] = validate(folder, tmp_path, reply)["rubrics"].values()
    assert of["gate"] == "failed" and any(failure in text for text in of["failures"])


def test_missing_answers_count_neither_way_and_are_asked_again(folder, tmp_path):
    """They lower coverage and widen the bounds; the next run asks exactly for them."""
    [of] = validate(folder, tmp_path, lambda q: Reply(text="", error="x") if q.frames.mean() < 26 else sight(q))[
        "rubrics"
    ].values()
    lost = of["missing"]["judge_error"]
    assert 0 < lost < 8 and of["judged"] == 40 - lost and of["figures"]["accuracy"]["value"] == 1.0
    assert of["accuracy_bounds"] == [round((40 - lost) / 40, 6), 1.0]
    asked = Counter()
    [of] = validate(folder, tmp_path, lambda q: asked.update(["again"]) or sight(q))["rubrics"].values()
    assert asked["again"] == lost and of["coverage"] == 1.0


def test_few_clips_pass_nothing(folder, tmp_path):
    """Eight clips, all right, are luck."""
    path = written(folder, "few.jsonl", rows_of(folder)[:8])
    [of] = validate(path, tmp_path)["rubrics"].values()
    assert of["gate"] == "failed" and any("of either are needed" in text for text in of["failures"])


def test_two_rubrics_both_have_to_pass(folder, tmp_path):
    """A file may ask about several; each has its own figures."""
    rows = rows_of(folder)
    wrong = [row | {"rubric": "PA", "label": 1 - row["label"]} for row in rows]
    report = validate(written(folder, "two.jsonl", rows + wrong), tmp_path)
    gates = {name: of["gate"] for name, of in report["rubrics"].items()}
    assert gates == {"instruction-following-v1": "passed", "physics-alignment-v1": "failed"}
    assert report["gate"] == "failed"
    assert len(RecordFile(tmp_path / "judgments.jsonl", Judgment).read()) == 80


# The paper's PA


def test_both_readings_of_the_papers_pa_have_their_own_name():
    """Mean of a hard answer and a probability, and of it thresholded; what either judge left out is missing."""
    chances = {"a": (1.0, 0.6), "b": (0.0, 0.4), "c": (1.0, None), "d": (None, 0.9), "e": (1.0, 0.2)}
    common = {"suite": "s", "model": "m", "seed": 0}
    judged = []
    for video, (value, chance) in chances.items():
        of = common | {"video": video, "task": video, "rubric": "pa"}
        status = "unparsed" if value is None else "ok"
        judged.append(Judgment(key=f"{video}1", judge="vlm@1", status=status, value=value, **of))
        status = "judge_error" if chance is None else "ok"
        judged.append(
            Judgment(key=f"{video}2", judge="videophy@1", status=status, value=None, probability=chance, **of)
        )
    gone = common | {"video": "f", "task": "f", "rubric": "pa", "status": "no_video", "value": 0.0}
    judged += [Judgment(key=f"f{name}", judge=name, **gone) for name in ("vlm@1", "videophy@1")]
    rows = scores.physics_alignment(judged, vlm=("vlm@1", "pa"), scorer=("videophy@1", "pa"))
    mean, hard = rows
    assert mean["rubric"] == "pa-mean-of-probabilities-v1" and hard["rubric"] == "pa-thresholded-v1"
    assert mean["mean"] == pytest.approx((0.8 + 0.2 + 0.6 + 0) / 4) and hard["mean"] == pytest.approx(
        (1 + 0 + 0.5 + 0) / 4
    )
    for row in rows:
        assert (row["planned"], row["n"], row["no_video"], row["unjudged"]) == (6, 3, 1, 2)
        assert row["bounds"] == pytest.approx([row["mean"] * 4 / 6, (row["mean"] * 4 + 2) / 6], abs=1e-5)


def test_the_papers_pa_is_a_verb(folder, tmp_path):
    """Two judges of one run folder; a judge that was not asked is named."""
    validate(folder, tmp_path)
    card = tmp_path / "sighted.yaml"
    card.write_text("{name: sighted, revision: 1, adapter: transformers, license: x, args: {}}")
    call = ["physics", str(tmp_path), "--vlm", str(card), "--scorer", str(card), "--json"]
    rubric = ["--rubric", "instruction-following-v1", "--scorer-rubric", "instruction-following-v1"]
    rows = json.loads(CliRunner().invoke(app, [*call, *rubric]).stdout)
    assert {row["model"] for row in rows} == {"a", "b"} and all(row["planned"] == 20 for row in rows)
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2 and "sighted@1" in result.output


# Corrected scores


def test_a_few_labels_correct_a_biased_judge():
    """The judge says yes too often; the corrected mean's interval holds the truth far more often than its own does."""
    pytest.importorskip("ppi_py")
    rng, hits, widths = np.random.default_rng(0), Counter(), []
    for _ in range(200):
        truth = (rng.random(1000) < 0.6).astype(float)
        said = np.where(truth == 1, rng.random(1000) < 0.98, rng.random(1000) < 0.25).astype(float)
        found = corrected(truth[:150], said[:150], said[150:])
        hits["corrected"] += found.ci95[0] <= 0.6 <= found.ci95[1]
        hits["judge"] += abs(said.mean() - 0.6) < 1.96 * np.sqrt(said.var() / 1000)
        widths.append((found.ci95[1] - found.ci95[0]) / (found.labels_ci95[1] - found.labels_ci95[0]))
        assert found.labels_saved > 0
    assert hits["corrected"] / 200 > 0.9 and hits["judge"] / 200 < 0.2
    assert np.mean(widths) < 0.85


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "why"),
    [([1, 0] * 4, [1] * 9, "below 10"), ([1, 0] * 10, [], "nothing is left"), ([1] * 20, [1] * 9, "all labels")],
)
def test_where_nothing_can_be_corrected_it_says_why(labelled, unlabelled, why):
    """Undefined, with the judge's own mean beside it."""
    found = corrected(labelled, [1.0] * len(labelled), unlabelled)
    assert found.mean is None and why in found.why and found.judged == 1.0


def test_few_labels_are_no_certainty():
    """A judge that happens to err on none, or that says one thing only, is not known for sure by ten labels."""
    pytest.importorskip("ppi_py")
    found = corrected([1.0, 0.0] * 5, [1.0, 0.0] * 5, [1.0] * 300)
    assert found.ci95[1] - found.ci95[0] > 0.2 and 0 <= found.ci95[0] <= found.ci95[1] <= 1
    assert corrected([1.0] * 9 + [0.0], [1.0] * 9 + [0.0], [1.0, 0.0] * 9).labels_ci95[1] < 1
    silent = corrected([1.0, 0.0] * 5, [1.0] * 10, [1.0] * 200)
    assert silent.mean is None and "the same of every clip" in silent.why


def test_clips_without_a_label_are_judged_and_corrected_by_those_with_one(folder, tmp_path):
    """The report has the score before and after."""
    pytest.importorskip("ppi_py")
    rows = [
        row | {"label": row["label"] if number % 2 == number % 3 % 2 else ""}
        for number, row in enumerate(rows_of(folder))
    ]
    [of] = validate(written(folder, "some.jsonl", rows), tmp_path)["rubrics"].values()
    score = of["corrected"]
    assert of["clips"] == 40 and of["labelled"] == score["labelled"] < 40 == score["labelled"] + score["unlabelled"]
    assert score["judged"] == 0.5 and score["mean"] == pytest.approx(0.5, abs=0.05)
