"""The questions: what a rubric file promises to judges and to records."""

import hashlib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from dreamgen_bench import generate, judge, rubrics
from dreamgen_bench.rubrics import official
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held, ScriptedJudge, toy_suite
from dreamgen_bench.types import Judgment, Reply, Spec, UserError, Video, VideoRecord


@pytest.mark.parametrize("name", rubrics.names())
def test_a_rubric_is_short_offers_two_answers_and_is_named_by_its_bytes(name):
    """What is loaded is what the file says, and its digest is that of the file."""
    rubric = rubrics.load(name)
    raw = (files("dreamgen_bench.rubrics") / f"{name}.yaml").read_bytes()
    assert rubric.name == name
    assert rubric.digest == hashlib.sha256(raw).hexdigest()[:12]
    assert rubric.options == {"1": 1.0, "0": 0.0}
    assert len(rubric.prompt.split()) <= 45
    assert rubric.prompt.endswith("Answer 1 or 0.")


def test_only_instruction_following_asks_about_the_instruction():
    """Physics alignment must not see what was asked for."""
    for name in rubrics.names():
        rubric = rubrics.load(name)
        assert ("{instruction}" in rubric.prompt) == (rubric.score == "IF")
        assert not any("{instruction}" in check for check in rubric.checks.values())


def test_both_rubrics_look_at_the_same_frames():
    """One decoded video serves both."""
    assert len({rubrics.load(name).num_frames for name in rubrics.names()}) == 1


def test_an_unknown_rubric_is_the_users_to_mend():
    """The error names the rubrics that there are."""
    with pytest.raises(UserError, match="physics-alignment-v1"):
        rubrics.load("physics")


@pytest.fixture
def checked(tmp_path):
    """Judge one video by the instruction checklist."""
    suite = toy_suite(tmp_path / "toy", size=32, tasks=1)
    spec = Spec(name="x", revision="1", load="x:y", license="x")
    generate.run(generate.plan(suite, suite.tasks, spec, [0]), Held, out=tmp_path)
    videos = RecordFile(tmp_path / "videos.jsonl", VideoRecord).read().values()
    tasks = {(task.suite, task.id): task for task in suite.tasks}
    rubric = rubrics.load("instruction-checklist-v1")

    def run(reply):
        judge.run(videos, tasks, spec, lambda: ScriptedJudge(reply), rubrics=[rubric], out=tmp_path)
        [judged] = RecordFile(tmp_path / "judgments.jsonl", Judgment).read().values()
        return judged

    return run


def test_a_checklist_holds_where_every_check_holds(checked):
    """Four questions, one judgment; each answer is kept under its check's name."""
    asked = []
    judged = checked(lambda q: asked.append(q.prompt) or Reply(text="1", logprobs={"1": -0.1 * len(asked), "0": -3.0}))
    assert len(asked) == len(set(asked)) == 4 and all("do thing 0" in prompt for prompt in asked)
    assert judged.status == "ok" and judged.value == 1.0
    assert judged.probability == pytest.approx(1 / (1 + np.exp(-3 + 0.4)), abs=1e-4)
    assert judged.reply == '{"target": "1", "motion": "1", "outcome": "1", "nothing_else": "1"}'


def test_one_check_that_fails_fails_the_list(checked):
    """Its value is the least of the answers."""
    assert checked(lambda q: "0" if "last frame" in q.prompt else "1").value == 0.0


@pytest.mark.parametrize(("reply", "status"), [("maybe", "unparsed"), (Reply(text="", error="429"), "judge_error")])
def test_one_check_that_is_missing_leaves_the_list_missing(checked, reply, status):
    """Three answers of four are no judgment; an error is asked again."""
    judged = checked(lambda q: reply if "last frame" in q.prompt else "1")
    assert judged.status == status and judged.value is None


OFFICIAL = """
def evaluate(zeroshot, prompt, frames):
    for path in frames:
        if zeroshot:
            user_text = (
                f"Strictly: '{prompt}'?\\n\\n"
                f"0 or 1."
        )
        else:
            user_text = f"Is it '{prompt}'? " f"0 or 1."
"""


def test_official_prompts_are_read_from_the_users_checkout(tmp_path):
    """Both prompts of a script, the instruction in its place, frames as their script shows them; marked official."""
    folder = tmp_path / "GR00T-Dreams/dreamgenbench"
    folder.mkdir(parents=True)
    for source in official.SOURCES:
        (folder / source.script).write_text(OFFICIAL)
    paths = official.read(tmp_path / "GR00T-Dreams", out=tmp_path / "mine")
    assert len(paths) == 6
    strict = rubrics.load(str(tmp_path / "mine/official-if-qwen-strict.yaml"))
    usual = rubrics.load(str(tmp_path / "mine/official-if-qwen.yaml"))
    assert strict.prompt == "Strictly: '{instruction}'?\n\n0 or 1." and usual.prompt == "Is it '{instruction}'? 0 or 1."
    assert (usual.num_frames, usual.scale, usual.frames_stand, usual.official) == (49, 0.3, "after", True)
    video = Video(frames=np.zeros((93, 40, 60, 3), np.uint8), fps=16)
    task = toy_suite(tmp_path / "toy").tasks[0]
    assert judge.question(video, task, usual).frames.shape == (49, 12, 18, 3)
    assert usual.digest != strict.digest


def test_no_official_prompt_is_shipped():
    """Their words are theirs."""
    assert not any(rubrics.load(name).official for name in rubrics.names())


def test_a_folder_that_is_no_checkout_is_the_users_to_mend(tmp_path):
    """The error says what is looked for."""
    with pytest.raises(UserError, match="dreamgenbench"):
        official.read(tmp_path, out=tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "no keys"),
        ("name: a", "missing key"),
        ("name: a\nscore: IF\nprompt: b\noptions: {}\nnum_frames: 3\ncolour: red", "colour"),
        ("name: a\nscore: IF\nprompt: 'b {check}'\noptions: {'1': 1}\nnum_frames: 3", "together"),
        ("name: a\nscore: IF\nprompt: b\noptions: [1]\nnum_frames: 3", "options"),
    ],
)
def test_a_file_that_is_no_rubric_is_refused_with_the_key(tmp_path, text, why):
    """Nothing is guessed."""
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=why):
        rubrics.load(str(tmp_path / "a.yaml"))


def test_how_frames_are_shown_is_part_of_the_digest(tmp_path):
    """Another size or count is another rubric: its judgments are asked anew."""
    raw = (files("dreamgen_bench.rubrics") / "instruction-following-v1.yaml").read_text("utf-8")
    (tmp_path / "a.yaml").write_text(raw + "max_side: 32\n")
    small, usual = rubrics.load(str(tmp_path / "a.yaml")), rubrics.load("instruction-following-v1")
    assert replace(small, digest="", max_side=None) == replace(usual, digest="") and small.digest != usual.digest
