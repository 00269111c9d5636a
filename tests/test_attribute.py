"""Where success is lost: rates of the same tasks, and falls between them that add up."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dreamgen_bench import attribute, downstream, loop, studies, train
from dreamgen_bench.registry import find
from dreamgen_bench.studies import frame, idm_vs_latent_actions, mixtures
from dreamgen_bench.types import EpisodeRecord, UserError

RUN = loop.Run(suites=("metaworld-behavior-v1",), models=("retrieval",), out=Path("nowhere"))


def episodes(model, done, of=20, kind="replay", policy=""):
    """`done` of `of` tasks succeed, half of them of each behavior."""
    base = {"suite": "s", "seed": 0, "kind": kind, "model": model, "policy": policy}
    return [
        EpisodeRecord(**base, key=f"{model}{i}{policy}", task=f"t{i:02d}", behavior="ab"[i % 2], success=i < done)
        for i in range(of)
    ]


def test_the_falls_are_the_labels_the_videos_and_the_policys():
    """Each is the difference of two rates over the same tasks, with an interval; a gain is negative."""
    replayed = {"true_actions": episodes("true_actions", 20), "replay": episodes("replay", 14), "m": episodes("m", 4)}
    row = attribute.row("s", "m", replayed, episodes("m", 10, kind="policy", policy="bc@1:k"))
    assert [row[key]["mean"] for key in ("true_actions", "replay_idm", "generated_idm", "policy")] == [1, 0.7, 0.2, 0.5]
    lost = {key: fall["mean"] for key, fall in row["lost"].items()}
    assert lost == pytest.approx({"label": 0.3, "video": 0.5, "policy": -0.3})
    assert sum(lost.values()) == pytest.approx(1 - 0.5)
    low, high = row["lost"]["video"]["ci95"]
    assert low < 0.5 < high and row["lost"]["video"]["n"] == 20 and row["lost"]["policy"]["n"] == 2


def test_a_run_is_read_back_from_its_folder(tmp_path):
    """The configuration in run.json is the run's; another version's is refused, and so is one without policies."""
    config = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(RUN).items()}
    (tmp_path / "run.json").write_text(json.dumps({"config": config}))
    assert loop.reopened(tmp_path) == replace(RUN, out=tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"config": config | {"knob": 1}}))
    with pytest.raises(UserError, match="this version"):
        loop.reopened(tmp_path)
    with pytest.raises(UserError, match="no policy was trained"):
        attribute.run(replace(RUN, out=tmp_path, downstream=False))


# Mixtures are policies of the same run folder


def test_teleoperation_alone_is_the_loops_own_policy(tmp_path):
    """The same demonstrations, recipe and seed have one key, wherever they are asked for."""
    run = replace(RUN, out=tmp_path, downstream=False)
    alone = mixtures.Mixture(suite="metaworld-policy-v1", model="", idm="", real=downstream.TELEOPERATION, neural=0)
    key, inputs, chosen = mixtures._recipe(run, alone, 0)
    assert key == train.policy_key([f"teleoperation-{downstream.TELEOPERATION}"], find("policies", "bc-chunk"), 0)
    assert inputs and not chosen


def test_what_could_not_be_dreamed_has_no_row(tmp_path):
    """Without a video there is no policy, no episode and no 0."""
    run = replace(RUN, suites=("metaworld-policy-v1",), out=tmp_path, downstream=False)
    cell = mixtures.Mixture(suite="metaworld-policy-v1", model="retrieval", idm="waypoint-cnn", real=0, neural=24)
    grid = mixtures.Grid(run=run, mixtures=(cell,))
    assert mixtures.share_of(grid, (1, 1)).planned == 0
    assert mixtures.table(grid) == []


def test_a_mixture_is_compared_start_by_start():
    """Means over policies first, then the difference over the starts that both have."""
    one = [e for k in "ab" for e in episodes("m", 12, kind="policy", policy=k)]
    found = mixtures.paired(one, episodes("floor", 4, kind="policy", policy="z"))
    assert found.mean == pytest.approx(0.4) and found.n == 20
    assert mixtures.success(one).mean == pytest.approx(0.6)
    assert "repeats" not in found.method  # one policy beside two: the luck of training is not in it
    other = [e.model_copy(update={"policy": e.policy + "2", "success": False}) for e in one]
    both = mixtures.paired(one, other)
    assert both.mean == pytest.approx(0.6) and "repeats" in both.method and both.n == 40
    assert mixtures.paired(one, other, unit=mixtures.by_behavior).n_tasks == 2
    assert mixtures.csv_of([{"suite": "s", "mean": 0.5, "ci95": None}]).splitlines()[1] == "s,,,,,,0.5,,,"


def test_latent_actions_have_no_cell_without_teleoperation(tmp_path):
    """Nothing says there what a latent action is; every other cell has one recipe, which can learn from either."""
    preset = idm_vs_latent_actions.PRESETS["small"]
    roster = frame.Roster(trained=("a",), controls=(), absent={})
    job = frame.Job(name="idm-vs-latent-actions", preset="small", out=tmp_path, roster=roster, workers=1, watch=print)
    idms, absent = idm_vs_latent_actions.known(preset.idms)
    assert "lapa-s" in idms and find("policies", preset.policy).latent
    cells = idm_vs_latent_actions.grid(job, preset, idms).mixtures
    assert {(c.idm, c.real) for c in cells} == {("", 24), ("waypoint-play", 0), ("waypoint-play", 24), ("lapa-s", 24)}


def test_a_published_study_can_be_repeated_with_its_own_idm():
    """Presets follow the default; `--idm` brings back the one that a study was made with, also where it is inside."""
    for name in ("score-vs-success", "which-metric", "new-behaviors", "scaling"):
        _, values = studies.find(name, "small")
        changed = studies.labeled_by(values, "waypoint-cnn")
        inside = getattr(changed, "base", changed)
        assert inside.idm == "waypoint-cnn" != getattr(values, "base", values).idm
    with pytest.raises(UserError, match="no idm named 'cnn'"):
        studies.labeled_by(values, "cnn")
    with pytest.raises(UserError, match="no IDM of its own"):
        studies.labeled_by(studies.find("planted-truth", "small")[1], "waypoint-cnn")
