"""The judge behind a server, against a real server in a process of its own that misbehaves on request."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from dreamgen_bench import generate, judge, registry, scores
from dreamgen_bench.judges.openai_compatible import load, option_logprobs, reply_of
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held, toy_suite
from dreamgen_bench.types import EagerJudge, Judgment, Question, Rubric, Spec, Task, UserError, Video, VideoRecord

pytest.importorskip("openai")
OPTIONS = {"1": 1.0, "0": 0.0}
KEY = "sk-test-0123456789abcdefXYZ"


@pytest.fixture(scope="module")
def port():
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("judge_server.py")], stdout=subprocess.PIPE, text=True
    )
    yield int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture
def made(port, monkeypatch):
    """Judges of that server."""
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)

    def make(**limits):
        server = {"url": f"http://127.0.0.1:{port}/v1", "key": "TEST_JUDGE_KEY"}
        return load("m", server=server, limits={"first_wait": 0.01, **limits})

    return make


def stats(port, query=""):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats{query}") as answer:
        return json.load(answer)


def asked(*behaviors, frames=2):
    """One question a behaviour; a number makes each prompt one of its own."""
    asked.count = getattr(asked, "count", 0)
    made = []
    for behavior in behaviors:
        asked.count += 1
        shown = np.zeros((frames, 8, 8, 3), np.uint8)
        made.append(Question(prompt=f"{asked.count} [[{behavior}]] done?", frames=shown, options=("1", "0")))
    return made


def test_it_keeps_the_contract_and_answers_in_order(made):
    """Replies come in the order of the questions, though the first is slow; probabilities come with them."""
    ours = made()
    assert isinstance(ours, EagerJudge)
    replies = list(ours.ask(asked("slow", "ok", "null", "ok")))
    assert [bool(reply.error) for reply in replies] == [False, False, True, False]
    assert replies[0].text == "Answer: 1" and judge.read_answer(replies[0].text, OPTIONS) == 1.0
    assert judge.probability(replies[1], OPTIONS) == pytest.approx(0.9, abs=0.001)
    first = next(iter(ours.answers(asked("slow", "ok"))))
    assert first[0] == 1


@pytest.mark.parametrize("behavior", ["429 2", "500 2", "drop 2"])
def test_what_passes_is_asked_again(made, port, behavior):
    """Too many requests, a fault, a dropped connection: three tries, one answer."""
    before = stats(port)["requests"]
    [reply] = made().ask(asked(behavior))
    assert reply.text == "Answer: 1" and stats(port)["requests"] - before == 3


@pytest.mark.parametrize(
    ("behavior", "why"),
    [
        ("null", "no text"),
        ("garbage", "no chat completion"),
        ("down", "no answer in 6 tries"),
        ("401", "Incorrect API key"),
    ],
)
def test_what_can_not_be_had_is_an_error_and_never_an_answer(made, behavior, why):
    """None of them is a 0, and none holds the key."""
    [reply] = made().ask(asked(behavior))
    assert why in reply.error and reply.text == "" and reply.logprobs is None
    assert KEY not in repr(reply) and KEY[-8:] not in repr(reply)


def test_a_refusal_is_text_and_stays_unparsed(made):
    """The words are kept; they are no answer."""
    [reply] = made().ask(asked("refuse"))
    assert reply.text == "I can't help with that." and judge.read_answer(reply.text, OPTIONS) is None


def test_calls_are_concurrent_and_fewer_after_a_refusal(made, port):
    """Slow answers are waited for together, never more than allowed; after 429 fewer are asked, and all answered."""
    stats(port, "?reset")
    assert len(list(made(concurrency=4).ask(asked(*["slow"] * 6)))) == 6
    assert 2 < stats(port)["most_inside"] <= 4
    ours = made(concurrency=8)
    replies = list(ours.ask(asked(*["429 1"] * 8)))
    assert not any(reply.error for reply in replies) and ours.gate.allowed < 8


def test_retry_after_holds_everybody_back(made):
    """Nobody asks before the server's time is over."""
    ours = made()
    ours.gate.refused(0.2)
    started = time.monotonic()
    list(ours.ask(asked("ok", "ok")))
    assert time.monotonic() - started >= 0.19


def test_a_budget_is_never_exceeded(made, port):
    """What it does not reach is an error that says so, to be asked by another run."""
    before = stats(port)["requests"]
    replies = list(made(requests=5).ask(asked(*["ok"] * 6, "500 3")))
    assert stats(port)["requests"] - before == 5
    answered, spent = sum(not r.error for r in replies), sum("budget of 5 requests" in r.error for r in replies)
    # Each try of the failing one that came before the end is one answer less: a matter of order.
    assert answered + spent == 7 and spent >= 2


def test_tokens_and_cost_are_counted_per_answer(made):
    """By the server's own count and the card's prices; without prices the cost is unknown, not zero."""
    [priced] = made(prices=(2.0, 10.0)).ask(asked("ok"))
    assert (priced.usage.prompt_tokens, priced.usage.completion_tokens) == (1000, 2)
    assert priced.usage.cost == pytest.approx(1000 * 2e-6 + 2 * 10e-6)
    [unpriced] = made().ask(asked("ok"))
    assert unpriced.usage.cost is None
    [unpaid] = made(prices=(2.0, 10.0)).ask(asked("null"))
    assert unpaid.error and unpaid.usage.cost > 0  # a null that was paid for


def test_frames_go_as_images_in_order_before_or_after_the_words(made, port):
    """PNG by default; every frame one image."""
    list(made().ask(asked("ok", frames=5)))
    assert stats(port)["images"][-1] == ["data:image/png;base64,"] * 5
    body = stats(port)["bodies"][-1]
    assert body["temperature"] == 0 and body["logprobs"] is True and body["model"] == "m"


PROMPTS = ["a, b; \"c\" 'd'", "line\nbreak", "🤖 émoji 手", "x" * 2000, "{instruction} {0} %s \\n", "<b>&amp;</b>"]


@pytest.fixture
def run(tmp_path, port, monkeypatch):
    """Eight videos judged by that server; instructions may say how it shall behave."""
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    suite = toy_suite(tmp_path / "toy", size=32)
    spec = Spec(name="held", revision="1", load="x:y", license="x")
    generate.run(generate.plan(suite, suite.tasks, spec, [0]), Held, out=tmp_path)
    videos = list(RecordFile(tmp_path / "videos.jsonl", VideoRecord).read().values())
    rubric = Rubric(name="if", digest="d", score="IF", prompt="{instruction}?", options=OPTIONS, num_frames=3)
    server = {"url": f"http://127.0.0.1:{port}/v1", "key": "TEST_JUDGE_KEY"}
    remote = Spec(name="remote", revision="1", load="x:y", license="x", args={"model": "m", "server": server})

    def go(instructions):
        tasks = {
            (t.suite, t.id): Task(**{**t.__dict__, "instruction": instructions[i % len(instructions)]})
            for i, t in enumerate(suite.tasks)
        }
        limits = {"first_wait": 0.01}
        summary = judge.run(
            videos, tasks, remote, lambda: load("m", server=server, limits=limits), rubrics=[rubric], out=tmp_path
        )
        return summary, list(RecordFile(tmp_path / "judgments.jsonl", Judgment).read().values())

    return go, tmp_path


def test_any_instruction_reaches_the_server_as_it_is(run, port):
    """Commas, quotes, emoji, braces and two thousand characters survive; a line break is a space."""
    go, _ = run
    go([f"{text} [[ok]] {number}" for number, text in enumerate(PROMPTS)])
    heard = stats(port)["prompts"][-8:]
    for number, text in enumerate(PROMPTS):
        assert text.replace("\n", " ") + f" [[ok]] {number}?" in heard


def test_hostile_replies_harm_no_file(run):
    """Megabytes are cut, escapes are escaped, half a character is replaced; the last answer is still read."""
    go, out = run
    summary, judged = go(["a [[long]]", "b [[escape]]", "c [[half]]", "d [[garbage]]"])
    raw = (out / "judgments.jsonl").read_bytes()
    assert len(raw) < 100_000 and b"\x1b" not in raw and b"\x07" not in raw
    assert summary.done == 6 and summary.failed == {"judge_error": 2}
    assert all(j.value == 1.0 for j in judged if j.status == "ok")


def test_an_outage_moves_coverage_and_bounds_and_not_the_score(run, port):
    """Missing answers widen the bounds; the next run asks exactly for them, and pays for no other."""
    go, _ = run
    summary, judged = go(["a [[ok]]", "b [[ok]]", "c [[ok]]", "d [[down]]"])
    [row] = scores.scores(judged, [])
    assert summary.failed == {"judge_error": 2}
    assert (row["mean"], row["n"], row["judge_error"], row["bounds"]) == (1.0, 6, 2, [0.75, 1.0])
    before = stats(port)["requests"]
    summary, judged = go(["now [[ok]]"])
    assert summary.skipped == 6 and summary.done == 2 and stats(port)["requests"] - before == 2
    [row] = scores.scores(judged, [])
    assert (row["mean"], row["n"], row["bounds"]) == (1.0, 8, [1.0, 1.0])
    assert all(j.prompt_tokens == 1000 for j in judged if j.status == "ok")


def test_the_key_is_nowhere_in_a_run(run):
    """Not in records, not even where the server echoes it."""
    go, out = run
    go(["a [[401]]", "b [[ok]]"])
    assert all(KEY.encode() not in path.read_bytes() for path in out.rglob("*") if path.is_file())


def test_a_key_comes_from_the_environment_only(monkeypatch):
    """Without it the error names the variable; a url with a password is refused, since it would be recorded."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        registry.load(registry.find("judges", "gpt-4o"))
    with pytest.raises(UserError, match="no credentials"):
        load("m", server={"url": "http://me:secret@localhost/v1"})


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    """Though the library is imported only when the judge is loaded."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"dreamgen-bench\[api\]"):
        registry.load(registry.find("judges", "gpt-4o"))


def test_option_logprobs_are_those_where_the_answer_stands():
    """Spellings are added up; an option that is not listed gets the least that is; nonsense gives none."""
    top = [{"token": "1", "logprob": -1.0}, {"token": " 1", "logprob": -1.0}, {"token": "x", "logprob": -5.0}]
    content = [
        {"token": "1", "top_logprobs": []},
        {"token": "1", "top_logprobs": top},
        {"token": ".", "top_logprobs": []},
    ]
    found = option_logprobs({"content": content}, ("1", "0"))
    assert found == {"1": pytest.approx(-1 + np.log(2)), "0": -5.0}
    for nonsense in (None, {}, {"content": None}, {"content": [{"token": 3}]}, {"content": []}, 7, [1]):
        assert option_logprobs(nonsense, ("1", "0")) is None
    top[0]["logprob"] = float("nan")
    assert option_logprobs({"content": content}, ("1", "0"))["1"] == -1.0


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [7]}', b"[" * 100_000, b"\xff"])
def test_no_body_breaks_the_reader(raw):
    """Whatever a server sends is a reply, with an error."""
    assert reply_of(raw, ("1", "0"), None).error


def test_a_card_makes_a_judge_without_code(tmp_path, port, monkeypatch):
    """Server, model and limits from a file; limits change no judgment's key, the model does."""
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    path = tmp_path / "mine.yaml"
    text = f"name: mine\nrevision: 2\nadapter: openai-compatible\nlicense: x\nargs:\n  model: m\n  limits: {{concurrency: 3}}\n  server: {{url: 'http://127.0.0.1:{port}/v1', key: TEST_JUDGE_KEY}}\n"  # noqa: E501
    path.write_text(text)
    spec = registry.find("judges", str(path))
    assert spec.id == "mine@2" and next(iter(registry.load(spec).ask(asked("ok")))).text == "Answer: 1"
    video = VideoRecord(key="v", suite="s", suite_digest="", task="t", model="m", revision="1", seed=0, status="ok")
    rubric = Rubric(name="if", digest="d", score="IF", prompt="?", options=OPTIONS, num_frames=3)
    path.write_text(text.replace("concurrency: 3", "concurrency: 30"))
    assert judge.judgment_key(video, spec, rubric) == judge.judgment_key(
        video, registry.find("judges", str(path)), rubric
    )
    path.write_text(text.replace("model: m", "model: n"))
    assert judge.judgment_key(video, spec, rubric) != judge.judgment_key(
        video, registry.find("judges", str(path)), rubric
    )
    path.write_text(text.replace("openai-compatible", "opnai"))
    with pytest.raises(UserError, match="openai-compatible"):
        registry.find("judges", str(path))


def test_frames_are_shrunk_without_aliasing():
    """A fine checkerboard becomes grey, not a coarse checkerboard; nothing is enlarged."""
    fine = np.indices((64, 64)).sum(0) % 2 * 255
    video = Video(frames=np.repeat(fine[None, :, :, None], 3, -1).astype(np.uint8), fps=4)
    small = judge.shown(video.frames, scale=0.3, max_side=None)
    assert small.shape == (1, 19, 19, 3) and small.std() < 12 and 110 < small.mean() < 145
    assert judge.shown(video.frames, scale=1.0, max_side=16).shape == (1, 16, 16, 3)
    assert judge.shown(video.frames, scale=2.0, max_side=500) is video.frames


def test_answers_that_came_are_on_disk_before_the_slowest_is_there(run, monkeypatch):
    """A kill loses no answer that was paid for: each is written when it comes, not when its turn comes."""
    go, out = run
    appended = []
    original = RecordFile.append

    def noted(self, record):
        original(self, record)
        appended.append(record.task)

    monkeypatch.setattr(RecordFile, "append", noted)
    go(["a [[slow]]", *[f"{i} [[ok]]" for i in range(7)]])
    assert appended[-1] == "t0" and len(appended) == 8


SCORER = """
def load(gain):
    def score(frames, prompt):
        if "broken" in prompt:
            raise RuntimeError("out of memory")
        return float("nan") if "nan" in prompt else float(gain) * frames.mean() / 255
    return score
"""


def test_a_scorer_of_probabilities_is_a_judge_over_the_same_contract(tmp_path, monkeypatch):
    """Served by baselines/scorers/serve.py: P(yes) arrives as it was given; what fails there is an error here."""
    (tmp_path / "mine.py").write_text(SCORER)
    script = Path(__file__).parents[1] / "baselines/scorers/serve.py"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    call = [sys.executable, script, "mine:load", "--gain", "0.5", "--port", "0"]
    server = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ours = load("m", server={"url": server.stdout.readline().strip()}, limits={"first_wait": 0.01})
        made = [
            Question(prompt=p, frames=np.full((4, 8, 8, 3), 204, np.uint8), options=("1", "0"))
            for p in ("a", "broken", "nan")
        ]
        good, broken, nan = ours.ask(made)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert judge.probability(good, OPTIONS) == pytest.approx(0.4, abs=1e-6) and good.text == "0"
    assert "out of memory" in broken.error and "no probability" in nan.error


KILLED = """
import sys
from pathlib import Path
from dreamgen_bench import judge
from dreamgen_bench.judges.openai_compatible import load
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import Rubric, Spec, Task, VideoRecord

out, port = Path(sys.argv[1]), sys.argv[2]
videos = list(RecordFile(out / "videos.jsonl", VideoRecord).read().values())
tasks = {(v.suite, v.task): Task(id=v.task, suite=v.suite, instruction=f"kill {v.task} [[slow]]", first_frame=Path(),
                                 num_frames=0, fps=1.0) for v in videos}
rubric = Rubric(name="if", digest="d", score="IF", prompt="{instruction}?", options={"1": 1.0, "0": 0.0}, num_frames=3)
server = {"url": f"http://127.0.0.1:{port}/v1", "key": "TEST_JUDGE_KEY"}
spec = Spec(name="remote", revision="1", load="x:y", license="x")
judge.run(videos, tasks, spec, lambda: load("m", server=server, limits={"concurrency": 2}), rubrics=[rubric], out=out)
"""


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_no_paid_judgment(tmp_path, port, monkeypatch):
    """What was answered is on disk and is never asked again; at most what was under way at a kill is paid twice."""
    monkeypatch.setenv("TEST_JUDGE_KEY", KEY)
    suite = toy_suite(tmp_path / "toy", size=32)
    model = Spec(name="held", revision="1", load="x:y", license="x")
    generate.run(generate.plan(suite, suite.tasks, model, range(5)), Held, out=tmp_path)
    rng, kept, before = np.random.default_rng(0), {}, len(stats(port)["prompts"])
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(port)]
    for _ in range(10):
        served = stats(port)["served"]
        process = subprocess.Popen(command)
        while stats(port)["served"] == served and process.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 1.5))
        process.kill()
        process.wait()
        now = RecordFile(tmp_path / "judgments.jsonl", Judgment).read()
        assert all(now[key] == judged for key, judged in kept.items()) and len(now) > len(kept) - 1
        kept = now
    subprocess.run(command, check=True)
    judged = RecordFile(tmp_path / "judgments.jsonl", Judgment).read()
    assert len(judged) == 40 and all(j.status == "ok" and j.value == 1.0 for j in judged.values())
    assert len(stats(port)["prompts"]) - before <= 40 + 10 * 2
