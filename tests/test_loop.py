"""The whole loop, small: real simulator, real models, real files; resumed, killed, and in one process or two."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dreamgen_bench import loop
from dreamgen_bench.cli import app
from dreamgen_bench.types import UserError

ARGS = ["run", "metaworld-behavior-v1", "--models", "wan-s,retrieval,corrupt_teleport_3", "--limit", "3"]
ARGS += ["--trajectory-limit", "6", "--episodes", "1"]
FILES = ("scores.json", "success.json", "correlation.json", "leaderboard.md", "leaderboard.csv")


def command(out, *more):
    return [sys.executable, "-W", "ignore", "-m", "dreamgen_bench", *ARGS, "--out", str(out), *more]


def run(out, *more):
    done = subprocess.run(command(out, *more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("loop") / "run"
    return out, run(out, "--workers", "1")


@pytest.mark.slow
def test_one_command_leaves_the_whole_run_folder(whole):
    """Scores, successes, correlation, tables and page; ceilings and floors are always in the table."""
    out, done = whole
    names = "run.json videos.jsonl judgments.jsonl trajectories.jsonl episodes.jsonl report/index.html"
    for name in (*names.split(), *FILES, "report/score_vs_success.png", "report/score_vs_success.svg"):
        assert (out / name).stat().st_size > 0, name
    success = {row["model"]: row for row in json.loads((out / "success.json").read_text())}
    assert {"replay", "static", "true_actions", "random", "teleoperation", "wan-s", "retrieval"} <= set(success)
    scores = json.loads((out / "scores.json").read_text())
    assert {row["rubric"] for row in scores} == {"instruction-following-v1", "physics-alignment-v1", "executable"}
    for row in scores:
        assert row["planned"] == row["n"] + row["no_video"] + row["judge_error"] + row["unparsed"] == 3
    assert "Pearson" in done.stdout or "undefined" in done.stdout
    assert "report/index.html" in done.stdout
    suites = json.loads((out / "run.json").read_text())["suites"]
    assert set(suites) == {"metaworld-behavior-v1", "metaworld-policy-v1"}


@pytest.mark.slow
def test_running_again_does_no_work_twice(whole):
    """No line is added, and no result changes."""
    out, _ = whole
    before = {name: (out / name).read_bytes() for name in FILES}
    lines = {p.name: p.read_bytes() for p in out.glob("*.jsonl")}
    done = run(out, "--workers", "1")
    assert lines == {p.name: p.read_bytes() for p in out.glob("*.jsonl")}
    assert before == {name: (out / name).read_bytes() for name in FILES}
    assert " 0 done" in done.stderr


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_in_two_processes_it_gives_the_same_bytes(whole, tmp_path):
    """SIGKILL of the whole group, three times, then two workers: scores.json and success.json are byte-equal."""
    out, _ = whole
    again = tmp_path / "run"
    for seconds in (9, 16, 24):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command(again, "--workers", "2"), start_new_session=True, **quiet)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run(again, "--workers", "2")
    for name in FILES:
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


@pytest.mark.slow
def test_what_policies_were_trained_on_can_be_exported(whole, tmp_path):
    """Every labeled video of the row, its bytes and its waypoints; demonstrations too, which have no file."""
    out, _ = whole
    for model, count in (("retrieval", 6), ("teleoperation", 48)):
        args = ["export", str(out), "--model", model, "--format", "lerobot-v3", "--out", str(tmp_path / model)]
        done = CliRunner().invoke(app, args)
        assert done.exit_code == 0 and f"{count} episodes" in done.output, done.output
    videos = [json.loads(line) for line in (out / "videos.jsonl").read_text().splitlines()]
    mine = {v["key"]: v for v in videos if (v["model"], v["suite"]) == ("retrieval", "metaworld-policy-v1")}
    there = {path.read_bytes() for path in (tmp_path / "retrieval").rglob("*.mp4")}
    assert there == {(out / video["file"]).read_bytes() for video in mine.values()}
    lines = [json.loads(line) for line in (out / "trajectories.jsonl").read_text().splitlines()]
    files = sorted((t["key"], out / t["file"]) for t in lines if t["video"] in mine)
    labels = np.concatenate([np.load(path)[:, [0, 1, 2, 7]] for _, path in files])
    rows = pd.read_parquet(tmp_path / "retrieval/data/chunk-000/file-000.parquet")
    np.testing.assert_array_equal(np.stack(rows["action"]), labels)
    refused = CliRunner().invoke(app, ["export", str(out), "--model", "wan", "--out", str(tmp_path / "x")])
    assert refused.exit_code == 2 and not (tmp_path / "x").exists()


@pytest.mark.slow
def test_policies_tried_twice_on_one_cpu_flip_nothing(whole, tmp_path):
    """What is reported where anything differs, as between processors."""
    shutil.copytree(whole[0], tmp_path / "run")
    done = CliRunner().invoke(app, ["repeat", str(tmp_path / "run"), "--model", "true_actions", "--json"])
    found = json.loads(done.stdout)
    assert (found["episodes"], found["flipped"], found["unmatched"]) == (6, 0, 0)


@pytest.mark.slow
def test_a_video_that_is_lost_after_the_run_is_counted_and_nothing_else_changes(whole, tmp_path):
    """An absence is visible, and costs one video."""
    copy = tmp_path / "run"
    shutil.copytree(whole[0], copy)
    videos = [json.loads(line) for line in (copy / "videos.jsonl").read_text().splitlines()]
    lost = next(v for v in videos if v["model"] == "retrieval" and v["suite"] == "metaworld-behavior-v1")
    (copy / lost["file"]).unlink()
    judged = (copy / "judgments.jsonl").read_text().splitlines()
    (copy / "judgments.jsonl").write_text("".join(f"{x}\n" for x in judged if lost["key"] not in x))
    run(copy, "--workers", "1")
    rows = {(r["model"], r["rubric"]): r for r in json.loads((copy / "scores.json").read_text())}
    row = rows["retrieval", "physics-alignment-v1"]
    assert row["no_video"] == 1 and row["n"] == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"suites": ("metaworld-sen-v1",)}, "Did you mean 'metaworld-seen-v1'"),
        ({"models": ("wan",)}, "no world model named 'wan'"),
        ({"models": ()}, "nothing is selected"),
        ({"suites": ()}, "nothing is selected"),
        ({"judge": "qwen"}, "no judge named"),
        ({"models": ("true_actions",)}, "no world model"),
        ({"limit": 0}, "nothing would be left"),
        ({"rubrics": ("if",)}, "no rubric"),
        ({"policy": "random"}, "can't be trained"),
    ],
)
def test_a_wrong_selection_is_refused_before_anything_is_written(tmp_path, fields, says):
    """The error names the thing and the choices."""
    chosen = {"suites": ("metaworld-seen-v1",), "models": ("static",), "out": tmp_path / "out"} | fields
    with pytest.raises(UserError, match=says):
        loop.check(loop.Run(**chosen))
    assert not (tmp_path / "out").exists()


def test_a_mistyped_folder_is_no_folder_without_work(tmp_path):
    """Judging what nobody has dreamed is an error, not a success with nothing to do."""
    result = CliRunner().invoke(app, ["judge", "metaworld-seen-v1", "--models", "static", "--out", str(tmp_path / "x")])
    assert result.exit_code == 2 and "holds no video" in result.output and not (tmp_path / "x").exists()


def test_every_verb_has_an_example_in_its_help():
    """Nobody should have to read the code to start."""
    runner = CliRunner()
    verbs = "submit withdraw confirm view annotate check-idm export serve-policy repeat study attribute ".split()
    verbs += "demo run generate judge label train evaluate score correlate list leaderboard doctor".split()
    for verb in verbs:
        done = runner.invoke(app, [verb, "--help"])
        assert done.exit_code == 0 and "Example" in done.output and f"dreamgen-bench {verb}" in done.output, verb


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x", "1/0", "²/3"])
def test_a_wrong_shard_is_refused(tmp_path, shard):
    """i/n with 1 <= i <= n."""
    args = ["generate", "metaworld-seen-v1", "--models", "static", "--out", str(tmp_path / "o"), "--shard", shard]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 2


def test_a_disk_that_cannot_be_written_stops_with_one_line(tmp_path):
    """Nothing is recorded that is not on disk, and the next run goes on."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, where the run folder should be")
    args = ["generate", "metaworld-seen-v1", "--models", "static", "--out", str(blocked / "out"), "--limit", "1"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dreamgen_bench", *args], capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_without_graphics_there_is_one_line_and_no_record(tmp_path):
    """A machine that can't draw is nobody's score: nothing is recorded, and the cure is named."""
    args = ["generate", "metaworld-seen-v1", "--models", "replay", "--out", str(tmp_path), "--limit", "1"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dreamgen_bench", *args, "--no-downstream"],
        capture_output=True,
        text=True,
        env={**os.environ, "MUJOCO_GL": "nonsense"},
    )
    assert done.returncode == 2 and "doctor" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "videos.jsonl").exists()
