"""Validating a judge: labels as people write them, figures as the libraries have them, and a gate that holds."""

import json
from collections import Counter

import krippendorff
import numpy as np
import published
import pytest
from sklearn import metrics
from typer.testing import CliRunner

from dreamgen_bench import labels, registry, reliability, rubrics, scores, validation
from dreamgen_bench.cli import app
from dreamgen_bench.corrected import corrected
from dreamgen_bench.reliability import Answers
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import ScriptedJudge
from dreamgen_bench.types import Judgment, Reply, Spec, UserError, Video
from dreamgen_bench.video import encode

SIGHTED = Spec(name="sighted", revision="1", load="x:y", license="x")


def sight(question):
    """Says 1 of bright videos."""
    bright = question.frames.mean() / 255
    return Reply(text=str(int(bright > 0.5)), logprobs={"1": float(np.log(bright)), "0": float(np.log1p(-bright))})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty clips, half of them bright, which is what sound means here; of two models and two looks."""
    base = tmp_path_factory.mktemp("clips")
    rows = []
    for number in range(40):
        good = number % 2
        frames = np.full((3, 16, 16, 3), (230 if good else 25) + number % 5, np.uint8)
        (base / f"{number}.mp4").write_bytes(encode(Video(frames=frames, fps=4)))
        about = {"model": "ab"[number % 4 // 2], "behavior": "push", "look": ["lab", "barn"][number % 8 // 4]}
        row = {"video": f"{number}.mp4", "instruction": 'do, "it"\n🤖', "rubric": "IF", "rater": "sim", "label": good}
        rows.append(row | about)
    (base / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return base


def written(folder, name, rows):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def rows_of(folder):
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text("utf-8").splitlines()]


def validate(folder, out, reply=sight):
    return validation.run(
        SIGHTED, lambda: ScriptedJudge(reply), labels.read(str(folder)), rubric_of=rubrics.load, out=out
    )


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


# Labels


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


# Figures


@pytest.fixture(scope="module")
def answers():
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, 150).astype(float)
    said = np.where(rng.random(150) < 0.8, truth, 1 - truth)
    third = np.where(rng.random(150) < 0.3, np.nan, np.where(rng.random(150) < 0.9, truth, 1 - truth))
    chance = np.round(np.clip(0.3 + 0.4 * said + rng.normal(0, 0.2, 150), 0, 1), 2)
    return Answers(truth=truth, said=said, chance=chance, raters=np.stack([truth, third]))


def test_figures_are_the_libraries(answers):
    """scikit-learn's and krippendorff's values; calibration by hand."""
    found = {name: figure.value for name, figure in reliability.figures(answers).items()}
    truth, said = answers.truth, answers.said
    assert found["accuracy"] == metrics.accuracy_score(truth, said)
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(truth, said)
    assert found["f1"] == metrics.f1_score(truth, said)
    assert found["kappa"] == metrics.cohen_kappa_score(truth, said)
    assert found["auroc"] == metrics.roc_auc_score(truth, answers.chance)
    alpha = krippendorff.alpha(np.vstack([answers.raters, said]), level_of_measurement="nominal")
    assert found["alpha"] == pytest.approx(alpha)
    assert found["cry_wolf"] == pytest.approx(((said == 0) & (truth == 1)).sum() / (truth == 1).sum())
    assert found["missed"] == pytest.approx(((said == 1) & (truth == 0)).sum() / (truth == 0).sum())
    place = np.minimum((answers.chance * 10).astype(int), 9)
    gaps = [abs(truth[place == b].mean() - answers.chance[place == b].mean()) * (place == b).mean() for b in set(place)]
    assert found["ece"] == pytest.approx(sum(gaps))


@pytest.mark.parametrize("name", reliability.FIGURES)
def test_a_resample_has_the_value_of_the_clips_it_drew(answers, name):
    """The weighted figures of the bootstrap are the library's on the very clips, drawn again and again."""
    point, resampled = reliability.FIGURES[name]
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 150, (5, 150))
    weights = np.stack([np.bincount(row, minlength=150) for row in drawn]).astype(float)
    expected = [
        point(
            Answers(
                truth=answers.truth[row],
                said=answers.said[row],
                chance=answers.chance[row],
                raters=answers.raters[:, row],
            )
        )
        for row in drawn
    ]
    np.testing.assert_allclose(resampled(answers, weights), expected, rtol=1e-9)


def test_intervals_cover():
    """Of kappa and accuracy, at 120 clips: the 95 % interval holds the true value in most of 150 draws."""
    rng, hits = np.random.default_rng(3), Counter()
    for draw in range(150):
        truth = (rng.random(120) < 0.5).astype(float)
        said = np.where(rng.random(120) < 0.85, truth, 1 - truth)
        one = Answers(truth=truth, said=said, chance=np.full(120, np.nan), raters=truth[None])
        for name, true in (("accuracy", 0.85), ("kappa", 0.70)):
            value = float(reliability.FIGURES[name][0](one))
            low, high = reliability._interval(name, value, one, seed=draw)[0]
            hits[name] += low <= true <= high
    assert 0.90 <= hits["accuracy"] / 150 and 0.90 <= hits["kappa"] / 150


@pytest.mark.parametrize("truth", [0.0, 1.0])
@pytest.mark.parametrize("said", [0.0, 1.0])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_degenerate_raters_are_undefined_with_a_reason(truth, said, n):
    """Never NaN, never 1: what can't be had is None, and says why."""
    found = reliability.figures(
        Answers(truth=np.full(n, truth), said=np.full(n, said), chance=np.full(n, 0.5), raters=np.full((2, n), truth))
    )
    for name in ("kappa", "alpha", "alpha_raters", "auroc", "balanced_accuracy"):
        assert found[name].value is None and found[name].why
    for figure in found.values():
        assert figure.value is None or np.isfinite(figure.value)
        assert (figure.value is None) <= bool(figure.why)
        json.dumps(figure.json(), allow_nan=False)


@pytest.mark.parametrize(
    ("tally", "accuracy", "kappa"),
    [(published.GENAI_GPT4O, 0.4846, 0.2496), (published.GENAI_GEMINI, 0.4621, 0.1960)],
)
def test_published_judges_agree_with_people_as_published(tally, accuracy, kappa):
    """GenAI-Bench: a verdict that can't be read is wrong, and a category of its own."""
    votes, said = (np.repeat(axis.ravel(), np.ravel(tally)) for axis in np.indices((4, 5)))
    assert len(votes) == 1069 and (votes == said).mean() == pytest.approx(accuracy, abs=6e-5)
    assert reliability.cohen(votes, said) == pytest.approx(kappa, abs=6e-5)


@pytest.mark.parametrize(
    ("marks", "fleiss", "alpha"), [(published.CONTROLNET_SC, 0.42, 0.64), (published.CONTROLNET_PR, 0.41, 0.55)]
)
def test_published_raters_agree_with_each_other_as_published(marks, fleiss, alpha):
    """ImagenHub: Fleiss' kappa and ordinal alpha, to the two digits that are printed."""
    ratings = np.repeat(np.array(list(marks), float), list(marks.values()), axis=0).T
    assert reliability.fleiss(ratings) == pytest.approx(fleiss, abs=0.0055)
    assert reliability.alpha(ratings, level="ordinal") == pytest.approx(alpha, abs=0.0055)


def test_coefficients_of_raters_who_never_vary_are_undefined():
    """None, where libraries give NaN, 0 or an exception."""
    same = np.ones((3, 9))
    assert reliability.fleiss(same) is None and reliability.alpha(same) is None
    assert reliability.cohen([1, 1, 1], [0, 1, 0]) is None and reliability.alpha(np.array([[1.0, np.nan]])) is None


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
