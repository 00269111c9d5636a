"""Judging: what a reply means, what is missing and why, and what is asked again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgen_bench import generate, judge
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held, ScriptedJudge, toy_suite
from dreamgen_bench.types import Judgment, Reply, Rubric, Spec, Video, VideoRecord
from dreamgen_bench.video import encode, sampled

MODEL = Spec(name="held", revision="1", load="x:y", license="Apache-2.0")
JUDGE = Spec(name="scripted", revision="1", load="x:y", license="Apache-2.0")
OPTIONS = {"1": 1.0, "0": 0.0}
IF = Rubric(name="if-v1", digest="d1", score="IF", prompt="Is this: {instruction}?", options=OPTIONS, num_frames=3)
PA = Rubric(name="pa-v1", digest="d2", score="PA", prompt="Sound?", options=OPTIONS, num_frames=3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("0.", 0.0),
        ("The arm moves 3 times. Answer: 1", 1.0),
        ("1 would mean yes, but the cup is not lifted. 0", 0.0),
        ("nothing", None),
        ("", None),
        ("10", None),
        ("0.5", None),
        ("step1", None),
    ],
)
def test_the_last_option_that_stands_alone_is_the_answer(text, value):
    """'nothing' is not 'no', '10' is not '1', and a model that restates the options means the last one."""
    assert judge.read_answer(text, OPTIONS) == value


def test_words_are_read_as_words():
    """Yes and no in any case; 'notice' and 'know' are neither."""
    options = {"yes": 1.0, "no": 0.0}
    assert judge.read_answer("I notice no fault. YES", options) == 1.0
    assert judge.read_answer("I notice that I know", options) is None


@given(st.text(max_size=300))
def test_no_reply_breaks_the_reader(text):
    """Whatever a judge says, the answer is one on offer or none."""
    assert judge.read_answer(text, OPTIONS) in (0.0, 1.0, None)


def test_probability_is_that_of_a_yes_among_the_options():
    """Log-probabilities are renormalized over the options; without them there is none."""
    assert judge.probability(Reply(text="1", logprobs={"1": -1.0, "0": -1.0}), OPTIONS) == pytest.approx(0.5)
    assert judge.probability(Reply(text="1", logprobs={"1": -1000.0, "0": 0.0}), OPTIONS) == pytest.approx(0.0)
    assert judge.probability(Reply(text="1"), OPTIONS) is None


def test_frames_are_even_with_the_first_and_the_last_among_them(tmp_path):
    """A short video is not padded: a frozen last frame would look like a fault."""
    task = toy_suite(tmp_path / "toy").tasks[0]
    video = Video(frames=np.arange(17, dtype=np.uint8)[:, None, None, None].repeat(3, -1), fps=10)
    asked = judge.question(video, task, Rubric(**{**IF.__dict__, "num_frames": 9}))
    assert asked.frames[:, 0, 0, 0].tolist() == list(range(0, 17, 2)) and asked.fps == 5
    assert asked.prompt == "Is this: do thing 0?"
    assert len(judge.question(video, task, Rubric(**{**IF.__dict__, "num_frames": 40})).frames) == 17


def test_a_large_video_is_not_held_as_a_whole(tmp_path, monkeypatch):
    """What is asked about it is the same; only the frames that are shown stay in memory."""
    frames = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None, None] * 6, 16, 1).repeat(16, 2).repeat(3, 3)
    (tmp_path / "v.mp4").write_bytes(encode(Video(frames=frames, fps=8)))
    whole = sampled(tmp_path / "v.mp4", [3, 5])
    monkeypatch.setattr("dreamgen_bench.video.HELD", 1)
    thin = sampled(tmp_path / "v.mp4", [3, 5])
    task = toy_suite(tmp_path / "toy").tasks[0]
    assert [len(thin[n].frames) for n in (3, 5)] == [3, 5] and len(whole[3].frames) == 40
    for count, rubric in ((3, IF), (5, replace(PA, num_frames=5))):
        one, two = (judge.question(of[count], task, rubric) for of in (whole, thin))
        assert np.array_equal(one.frames, two.frames) and one.fps == pytest.approx(two.fps)


def test_rubrics_that_show_the_same_frames_share_them(tmp_path):
    """One array, which a judge may look at once; another size or count has its own; a checklist asks each check."""
    task = toy_suite(tmp_path / "toy").tasks[0]
    video = Video(frames=np.zeros((17, 32, 32, 3), np.uint8), fps=10)
    small = Rubric(**{**IF.__dict__, "max_side": 16})
    listed = Rubric(**{**PA.__dict__, "prompt": "{check}?", "checks": {"a": "first", "b": "second"}})
    [one], [two], [three], checks = judge.questions(video, task, [IF, PA, small, listed])
    assert one.frames is two.frames is checks[1].frames and three.frames.shape[1] == 16
    assert [question.prompt for question in checks] == ["first?", "second?"]


@pytest.fixture
def videos(tmp_path):
    suite = toy_suite(tmp_path / "toy", size=32)
    generate.run(generate.plan(suite, suite.tasks, MODEL, [0]), Held, out=tmp_path)
    records = list(RecordFile(tmp_path / "videos.jsonl", VideoRecord).read().values())
    return tmp_path, records, {(task.suite, task.id): task for task in suite.tasks}


def run(videos, scripted):
    out, records, tasks = videos
    summary = judge.run(records, tasks, JUDGE, lambda: scripted, rubrics=[IF, PA], out=out)
    return summary, list(RecordFile(out / "judgments.jsonl", Judgment).read().values())


def test_an_outage_is_recorded_and_filled_by_the_next_run(videos):
    """Errors count nothing, stay visible, and only they are asked again."""
    flaky = ScriptedJudge(lambda q: Reply(text="", error="429") if "thing 3" in q.prompt else "1")
    summary, judged = run(videos, flaky)
    assert summary.failed == {"judge_error": 1} and summary.done == 15
    asked = []
    summary, judged = run(videos, ScriptedJudge(lambda q: asked.append(q) or "0"))
    assert len(asked) == 1 and summary.skipped == 15
    assert sorted(j.value for j in judged) == [0.0] + [1.0] * 15


def test_a_judge_that_dies_loses_only_what_it_was_asked_last(videos):
    """Replies that came are kept; the rest is an error each."""
    count = iter(range(100))

    def dying(question):
        if next(count) == 5:
            raise RuntimeError("gone")
        return "1"

    summary, judged = run(videos, ScriptedJudge(dying))
    assert summary.done == 5 and summary.failed == {"judge_error": 11}
    assert all(j.value is None for j in judged if j.status == "judge_error")


def test_an_answer_that_was_not_offered_stays_unparsed_with_its_words(videos):
    """A reply of MAYBE leaves the video unjudged rather than failed, and is not asked again."""
    summary, judged = run(videos, ScriptedJudge(lambda q: "maybe <script>"))
    assert summary.failed == {"unparsed": 16} and {j.reply for j in judged} == {"maybe <script>"}
    summary, _ = run(videos, ScriptedJudge(lambda q: pytest.fail("asked again")))
    assert summary.skipped == 16


def test_a_video_that_is_not_there_counts_zero_under_no_video(videos):
    """The model's fault is 0 and has its own column; a file that was cut off since is one too."""
    out, records, tasks = videos
    (out / records[0].file).unlink()
    path = out / records[1].file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, judged = run(videos, ScriptedJudge(lambda q: "1"))
    missing = [j for j in judged if j.status == "no_video"]
    assert len(missing) == 4 and all(j.value == 0.0 and j.reply for j in missing)
