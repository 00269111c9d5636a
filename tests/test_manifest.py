"""Finished videos: every broken file costs one record, every broken row one clear line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dreamgen_bench import finished, latest, manifest, registry, rubrics
from dreamgen_bench.cli import app
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import ScriptedJudge
from dreamgen_bench.types import UserError, Video, VideoRecord
from dreamgen_bench.video import encode


def write(folder, rows):
    path = folder / "clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    good = encode(Video(frames=rng.integers(0, 255, (6, 32, 48, 3), dtype=np.uint8), fps=10))
    (tmp_path / "good.mp4").write_bytes(good)
    (tmp_path / "cut.mp4").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video")
    return tmp_path


def scored(monkeypatch, path, out):
    monkeypatch.setattr(registry, "load", lambda spec, **kw: ScriptedJudge(lambda q: "1"))
    return finished.score(path, out=out, judge_name="qwen-s")


def test_broken_videos_are_recorded_with_the_reason_and_cost_no_other(clips, tmp_path, monkeypatch):
    """Missing, cut off, empty, no video, out of the folder: five absences in their own column."""
    names = ["good.mp4", "none.mp4", "cut.mp4", "empty.mp4", "text.mp4", "../../etc/passwd"]
    words = 'open, "the"\n drawer 🙂'
    path = write(clips, [{"id": str(i), "instruction": words, "video": name} for i, name in enumerate(names)])
    rows = scored(monkeypatch, path, tmp_path / "out")
    assert [(r["n"], r["no_video"], r["planned"]) for r in rows] == [(1, 5, 6)] * 2
    records = RecordFile(tmp_path / "out/videos.jsonl", VideoRecord).read().values()
    reasons = [r.reason for r in records if r.status == "no_video"]
    assert all(f"clips.jsonl:{i + 1}" in reason for i, reason in zip((1, 2, 3, 4, 5), reasons, strict=True))
    assert "no such file" in reasons[0] and "leads out" in reasons[4]


def test_scoring_again_changes_nothing(clips, tmp_path, monkeypatch):
    """The same manifest gives the same scores and asks nobody again."""
    path = write(clips, [{"id": "a", "instruction": "x", "video": "good.mp4"}])
    first = scored(monkeypatch, path, tmp_path / "out")
    before = (tmp_path / "out/judgments.jsonl").read_bytes()
    assert scored(monkeypatch, path, tmp_path / "out") == first
    assert (tmp_path / "out/judgments.jsonl").read_bytes() == before


def test_a_corrected_instruction_is_asked_again(clips, tmp_path, monkeypatch):
    """The answer to another question is no answer; nor does the table show rows that the manifest no longer has."""
    asked = []
    judge = ScriptedJudge(lambda q: asked.append(q.prompt) or "1")
    monkeypatch.setattr(registry, "load", lambda spec, **kw: judge)
    out = tmp_path / "out"
    for words in ("push the block", "open the drawer"):
        path = write(clips, [{"id": "a", "instruction": words, "video": "good.mp4"}])
        finished.score(path, out=out, judge_name="qwen-s")
        finished.publish(path, out=out, judge_name="qwen-s", rubric_names=rubrics.DEFAULT)
        assert sum(words in prompt for prompt in asked) == 1
    assert [video.key for video in latest.videos(out)] == [video.key for video in manifest.run(path, out=out).videos]
    assert len(latest.judgments(out)) == 2 < len(asked)


def test_one_id_has_one_instruction(clips, tmp_path, monkeypatch):
    """Two models' rows of one id with two instructions: one of them would be judged by the other's."""
    rows = [{"id": "a", "instruction": words, "video": "good.mp4", "model": words} for words in ("push", "pull")]
    with pytest.raises(UserError, match="clips.jsonl:2: id 'a' has another instruction"):
        scored(monkeypatch, write(clips, rows), tmp_path / "out")


def test_what_is_no_files_name_costs_one_row(clips, tmp_path, monkeypatch):
    """A loop of links, a name too long: a reason each, and the good video is scored."""
    (clips / "loop.mp4").symlink_to(clips / "loop.mp4")
    names = ["good.mp4", "loop.mp4", "x" * 300 + ".mp4"]
    path = write(clips, [{"id": str(i), "instruction": "x", "video": name} for i, name in enumerate(names)])
    assert [(r["n"], r["no_video"]) for r in scored(monkeypatch, path, tmp_path / "out")] == [(1, 2)] * 2
    assert len(finished.reasons(tmp_path / "out")) == 2


def test_a_manifest_of_another_encoding(clips, tmp_path, monkeypatch):
    """A line separator in a text and a byte order mark are read; Latin-1 is refused, not altered."""
    row = json.dumps({"id": "a", "instruction": "one\u2028two", "video": "good.mp4"}, ensure_ascii=False)
    path = clips / "clips.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + row.encode())
    assert scored(monkeypatch, path, tmp_path / "out")[0]["n"] == 1
    path.write_bytes(row.replace("one", "Tür").encode("latin-1", "replace"))
    with pytest.raises(UserError, match="no UTF-8"):
        scored(monkeypatch, path, tmp_path / "out")


def test_nothing_judged_is_no_success(clips, tmp_path):
    """Exit status 1, with the reasons; a model's name from a manifest sets no terminal's title."""
    path = write(clips, [{"id": "a", "instruction": "x", "video": "gone.mp4", "model": "\x1b]0;pwned\x07m"}])
    call = ["score", "--manifest", str(path), "--judge", "always-yes", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 1 and "gone.mp4: no such file" in result.output and "nothing was judged" in result.output
    assert "\x1b]" not in result.output and "\x07" not in result.output


def test_a_judge_of_other_videos_is_told_of(clips, tmp_path):
    """qwen-s was made for the simulator: a number of hers about other robots is not left without a word."""
    path = write(clips, [{"id": "a", "instruction": "x", "video": "good.mp4"}])
    videos = manifest.run(path, out=tmp_path / "out").videos
    assert "simulator" in finished.warning(videos, "qwen-s")
    assert finished.warning(videos, "always-yes") == ""


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "a", "instruction": "x", "video": "v.mp4", "sucess": 1}, "unknown key 'sucess'"),
        ({"id": "a", "video": "v.mp4"}, "key 'instruction'"),
        ({"id": "a", "instruction": "x", "video": "v.mp4", "seed": "1"}, "key 'seed'"),
        ({"id": "a", "instruction": "x", "video": "v.mp4", "suite": "s"}, "come together"),
        ({"id": "a", "instruction": "x", "video": "v", "suite": "metaworld-sen-v1", "task": "t"}, "Did you mean"),
    ],
)
def test_a_broken_row_is_refused_with_file_line_and_key(tmp_path, row, says):
    """The user sees where to look."""
    with pytest.raises(UserError, match=says):
        finished.score(write(tmp_path, [row]), out=tmp_path / "out", judge_name="qwen-s")


def test_duplicates_and_an_empty_manifest_are_refused(tmp_path):
    """Two answers to one question, and no question at all."""
    row = {"id": "a", "instruction": "x", "video": "v.mp4"}
    with pytest.raises(UserError, match="clips.jsonl:2: id 'a' is used twice"):
        finished.score(write(tmp_path, [row, row]), out=tmp_path / "out", judge_name="qwen-s")
    with pytest.raises(UserError, match="nothing to score"):
        finished.score(write(tmp_path, []), out=tmp_path / "out", judge_name="qwen-s")


def test_a_video_for_a_suite_must_have_its_length_and_size(clips, tmp_path, monkeypatch):
    """Scores on a suite compare only over what the suite asks for."""
    from dreamgen_bench import suites

    task = suites.load("metaworld-seen-v1").tasks[0]
    row = {"id": "a", "instruction": task.instruction, "video": "good.mp4", "suite": task.suite, "task": task.id}
    rows = scored(monkeypatch, write(clips, [row]), tmp_path / "out")
    assert rows[0]["no_video"] == 1 and rows[0]["mean"] == 0.0


def test_the_command_line_says_it_in_one_line(tmp_path):
    """Exit status 2, one line, no traceback."""
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["score", "--manifest", str(tmp_path / "no.jsonl"), "--out", str(tmp_path / "o")])
    assert done.exit_code == 2 and "Traceback" not in done.output


def test_views_side_by_side_are_told_to_the_judge(clips, tmp_path, monkeypatch):
    """By name, from the left, before the rubric's own words; another tiling is another video."""
    heard = []
    monkeypatch.setattr(registry, "load", lambda spec, **kw: ScriptedJudge(lambda q: heard.append(q.prompt) or "1"))
    row = {"id": "a", "instruction": "x", "video": "good.mp4"}
    for views in (["front", "wrist"], []):
        finished.score(write(clips, [row | {"views": views}]), out=tmp_path / "out", judge_name="qwen-s")
    told = "Each picture shows 2 camera views side by side, from the left: front, wrist. "
    assert [prompt.startswith(told) for prompt in heard] == [True, True, False, False]


@pytest.mark.parametrize("views", ["front", [1], [""]])
def test_views_that_are_no_names_are_refused(clips, views):
    """With file, line and key."""
    with pytest.raises(UserError, match="clips.jsonl:1: key 'views'"):
        row = {"id": "a", "instruction": "x", "video": "good.mp4", "views": views}
        finished.score(write(clips, [row]), out=clips / "out", judge_name="qwen-s")
