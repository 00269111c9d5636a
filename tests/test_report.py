"""A run folder to tables and a page: nothing from outside, nothing hostile runs, what is absent is said."""

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from made_up_run import HOSTILE, MODELS, SHOWN, dreamed, made_up_run

from dreamgen_bench import leaderboard, report, standings
from dreamgen_bench.types import UserError
from dreamgen_bench.video import encode


@pytest.fixture
def folder(tmp_path):
    """A made-up run folder and its suites."""
    out = tmp_path / "run"
    return out, made_up_run(out)


class Page(HTMLParser):
    """What a browser would make of the page: its tags with attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_a_run_folder_becomes_tables_page_and_figure(folder):
    """All five files are written, and the page holds every model, the agreement and six samples."""
    out, suites = folder
    done = leaderboard.run(out, suites=suites)
    assert (done["planned"], done["done"], done["failed"]) == (5, 5, {})
    assert all((out / name).stat().st_size for name in done["files"])
    text = (out / "report/index.html").read_text()
    page = Page(text)
    words = "".join(page.words)
    assert all(name in words for name in (*MODELS, "true_actions", "random", "Pearson r = "))
    assert words.count("Raw replies") <= text.count("<video ") + text.count("no video: ") == 6 * len(MODELS)
    assert "push the red block to the right" in words
    assert [tag for tag, _ in page.tags].count("article") == report.SAMPLES


def test_the_page_asks_nothing_of_the_network(folder):
    """No address but names of XML, no source but data, and a policy that forbids the rest."""
    out, suites = folder
    leaderboard.run(out, suites=suites)
    text = (out / "report/index.html").read_text()
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    tags = Page(text).tags
    sources = [value for _, attrs in tags for name, value in attrs.items() if name in ("src", "poster")]
    assert sources and all(source.startswith("data:") for source in sources)
    assert not {tag for tag, _ in tags} & {"link", "iframe", "object", "embed"}
    policy = next(attrs["content"] for tag, attrs in tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_the_page_allows_its_own_script_only(folder):
    """The digest in the page's policy is that of its one script."""
    out, suites = folder
    leaderboard.run(out, suites=suites)
    text = (out / "report/index.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = re.search(r"script-src &#39;sha256-([^&]+)&#39;|script-src 'sha256-([^']+)'", text)
    import base64

    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in digest.groups()


def test_the_same_records_give_the_same_bytes(folder, tmp_path, monkeypatch):
    """Equal folders give equal files, figures included; that encoding a video is repeatable is not tested here."""
    monkeypatch.setattr(report, "encode", lambda video, web: video.frames.tobytes())
    first, suites = folder
    second = tmp_path / "copy"
    shutil.copytree(first, second)
    files = leaderboard.run(first, suites=suites)["files"]
    assert leaderboard.run(second, suites=suites)["files"] == files
    assert [name for name in files if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_hostile_names_are_text_on_the_page(tmp_path):
    """A model, a task and a reply that are scripts are shown letter by letter; direction marks are spelled out."""
    out = tmp_path / "run"
    suites = made_up_run(out, models=MODELS | {HOSTILE: {"group": "trained", "adaptation": "zero"}}, tasks=3)
    lines = (out / "judgments.jsonl").read_text().replace("ANSWER: 1", "<img src=x onerror=alert(1)> \\u202e")
    (out / "judgments.jsonl").write_text(lines)
    leaderboard.run(out, suites=suites)
    text = (out / "report/index.html").read_text()
    page = Page(text)
    assert SHOWN in "".join(page.words)
    assert "\u202e" not in text and "onerror" not in {name for _, attrs in page.tags for name in attrs}
    assert [tag for tag, _ in page.tags].count("script") == 1


def test_what_is_absent_is_said(tmp_path):
    """Without success, correlation, run facts, instructions and videos, the page names each gap."""
    out = tmp_path / "run"
    made_up_run(out, tasks=2)
    for name in ("success.json", "correlation.json", "run.json", "videos.jsonl", "episodes.jsonl"):
        (out / name).unlink()
    done = leaderboard.run(out)
    assert (done["done"], sum(done["failed"].values())) == (3, 2)
    words = " ".join("".join(Page((out / "report/index.html").read_text()).words).split())
    for gap in (
        "success.json is absent",
        "correlation.json is absent",
        "run.json is absent",
        "Instruction not given",
        "no video: none recorded",
        "not replayed",
        "Success: not measured here",
    ):
        assert gap in words


def test_an_undefined_correlation_is_said_to_be_undefined(folder):
    """Where every success rate is the same the page says that the coefficient is undefined, and why."""
    out, suites = folder
    found = json.loads((out / "correlation.json").read_text())
    for group in found["groups"].values():
        group["pearson"] = {"value": None, "ci95": None, "p": None, "why": "success is constant"}
    (out / "correlation.json").write_text(json.dumps(found))
    leaderboard.run(out, suites=suites)
    assert "undefined: success is constant" in (out / "report/index.html").read_text()


def test_a_run_without_scores_is_refused(tmp_path):
    """An empty folder is the user's mistake, and the message names the file."""
    with pytest.raises(UserError, match="scores.json"):
        leaderboard.run(tmp_path)


def test_a_record_cannot_make_the_page_read_other_files(tmp_path):
    """A video's path that leaves the run folder is not followed."""
    (tmp_path / "secret.mp4").write_bytes(encode(dreamed("a", "b")))
    (tmp_path / "run").mkdir()
    src, first, why = report.embedded(tmp_path / "run", {"file": "../secret.mp4", "reason": None})
    assert (src, first) == (None, None) and "outside the run folder" in why


def test_a_broken_video_is_shown_as_such(tmp_path):
    """A file that cannot be decoded leaves its reason on the page instead of stopping it."""
    (tmp_path / "x.mp4").write_bytes(b"not a video")
    src, _, why = report.embedded(tmp_path, {"file": "x.mp4", "reason": None})
    assert src is None and why.startswith("x.mp4: can't be decoded")


def test_samples_are_spread_over_suites():
    """Six samples of four suites are two, two, one and one, evenly spaced, whatever the order of the records."""
    videos = [(suite, f"t{n:02d}", "m", seed) for suite in "abcd" for n in range(10) for seed in (1, 0)]
    found = report.chosen(videos)
    assert [suite for suite, _, _ in found] == ["a", "a", "b", "b", "c", "d"]
    assert found[:2] == [("a", "t02", 0), ("a", "t07", 0)]
    assert report.chosen(reversed(videos)) == found
    assert report.chosen([]) == []


def test_long_replies_are_cut_and_say_so():
    """What a judge rambled on about does not drown the page."""
    assert report.shortened("x" * 5000).endswith("… (3000 more characters)")
    assert report.shortened("ANSWER: 1") == "ANSWER: 1"


def test_rubrics_are_known_without_version_and_digest():
    """A rubric's column does not depend on its revision."""
    assert standings.rubric_name("physics-alignment-v12@0af3") == "physics-alignment"
    assert standings.rubric_name("executable") == "executable"
