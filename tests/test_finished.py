"""Finished videos that somebody brought: from a folder and a manifest to a row, a page, and what is lacking."""

import json

import pytest
from finished_run import RUBRICS, clip
from typer.testing import CliRunner

from dreamgen_bench import finished, manifest, rubrics, scores, site, submission
from dreamgen_bench.cli import app, board
from dreamgen_bench.types import Judgment, UserError
from dreamgen_bench.video import measured


@pytest.fixture
def scored(tmp_path):
    """Three clips of one model, as `dreamgen-bench score` leaves them."""
    rows = [{"id": f"c{n}", "instruction": f"do <b>{n}</b>", "video": f"{n}.mp4", "model": "mine"} for n in range(3)]
    for number in range(3):
        (tmp_path / f"{number}.mp4").write_bytes(clip(80 * number))
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    judged = []
    for video in manifest.run(tmp_path / "clips.jsonl", out=out).videos:
        about = {"video": video.key, "suite": video.suite, "task": video.task, "model": "mine"}
        about |= {"seed": 0, "judge": "j@1"}
        judged += [Judgment(key=video.key + r, rubric=r, status="ok", value=1.0, **about) for r in RUBRICS]
    (out / "judgments.jsonl").write_text("".join(j.model_dump_json(by_alias=True) + "\n" for j in judged))
    (out / "scores.json").write_text(json.dumps(scores.scores(judged, [])))
    written = finished.publish(tmp_path / "clips.jsonl", out=out, judge_name="j", rubric_names=RUBRICS)
    return out, written


def test_a_manifest_ends_in_a_row_and_a_page(scored):
    """The table has the model, and everything that is named was written."""
    out, written = scored
    assert "| mine | trained |" in (out / "leaderboard.md").read_text()
    assert "report/index.html" in written and all((out / name).is_file() for name in written)


def test_its_page_shows_the_instructions_of_the_manifest(scored):
    """Clips of no published suite are shown with what their manifest says."""
    out, _ = scored
    site.of_run(out, out=out / "view")
    data = (out / "view" / "data.js").read_text()
    assert "do <b>0</b>" in data and len(list((out / "view" / "videos").glob("*.mp4"))) == 3


def test_clips_of_no_suite_have_no_board(scored):
    """The error says how to name the suite and the task."""
    out, _ = scored
    with pytest.raises(UserError, match='the "suite" and "task" that it answers'):
        submission.run(out, to=out / "board")


def test_a_rubric_of_ones_own_is_recorded_by_its_digest(tmp_path):
    """An edited question is another one: its answers are not mixed with those to the former wording."""
    (tmp_path / "0.mp4").write_bytes(clip(80))
    (tmp_path / "clips.jsonl").write_text(json.dumps({"id": "c", "instruction": "push", "video": "0.mp4"}))
    asked, digests = tmp_path / "mine.yaml", []
    for prompt in ("Is it sound? Answer 1 or 0.", "Is all of it sound? Answer 1 or 0."):
        said = {"name": "mine", "score": "PA", "prompt": prompt, "options": {"1": 1.0, "0": 0.0}, "num_frames": 4}
        asked.write_text(json.dumps(said))
        how = {"out": tmp_path / "out", "judge_name": "always-yes", "rubric_names": [str(asked)]}
        assert [row["n"] for row in finished.score(tmp_path / "clips.jsonl", **how)] == [1]
        finished.publish(tmp_path / "clips.jsonl", **how)
        [record] = submission.drafts(submission.read(tmp_path / "out"))
        digests.append(record.instrument.rubrics["mine"])
        assert digests[-1] == rubrics.load(str(asked)).digest
    assert digests[0] != digests[1]


def test_a_newcomers_folder_becomes_a_row_by_one_command(tmp_path, monkeypatch):
    """Videos and a manifest in; a table with the row and a page out. Each video is decoded once to be taken in."""
    rows = [{"id": f"c{n}", "instruction": "open the drawer", "video": f"{n}.mp4"} for n in range(5)]
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(clip(50 * number))
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    decoded = []
    monkeypatch.setattr(manifest, "measured", lambda path: decoded.append(path) or measured(path))
    command = ["score", "--manifest", str(tmp_path / "clips.jsonl"), "--judge", "always-yes"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0 and "n = 5 of 5" in done.output
    assert "| folder | trained | 1.00 [" in (tmp_path / "out" / "leaderboard.md").read_text()
    assert (tmp_path / "out" / "report" / "index.html").is_file() and len(decoded) == 5


def test_people_can_be_asked_about_clips_of_no_suite(scored):
    """Their instructions stand in the manifest; a folder that is none is told of as that."""
    out, _ = scored
    run, videos, tasks = board._to_annotate([str(out)], "", None, out)
    assert len(videos) == 3 and {tasks[v.suite, v.task].instruction for v in videos} == {
        f"do <b>{n}</b>" for n in "012"
    }
    assert len(board._to_annotate([str(out)], "", 2, out)[2]) == 2
    with pytest.raises(UserError, match="no suite named 'nope'"):
        board._to_annotate(["nope"], "", None, out)
