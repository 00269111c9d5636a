"""Records to tables and a page: what is ranked, what is averaged, what is absent, and what hostile names can do."""

import csv as csv_module
import hashlib
import html
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from dreamgen_bench import correlate, leaderboard, report, standings, stats
from dreamgen_bench.types import Suite, Task, UserError, Video
from dreamgen_bench.video import encode

HOSTILE = '<script>alert("1")</script>|*x*`y`\u202egnp\u200b\'$a$'
SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\u200b", "\\u200b")
MODELS = {
    "large-sft": {"group": "trained", "adaptation": "sft"},
    "small-sft": {"group": "trained", "adaptation": "sft"},
    "small-zero": {"group": "trained", "adaptation": "zero"},
    "tiny-zero": {"group": "trained", "adaptation": "zero"},
    "replay": {"group": "control", "adaptation": "none"},
    "static": {"group": "control", "adaptation": "none"},
}
QUALITY = {
    "large-sft": 0.85,
    "small-sft": 0.7,
    "small-zero": 0.4,
    "tiny-zero": 0.2,
    "replay": 0.95,
    "static": 0.1,
}
RUBRICS = ("instruction-following-v1", "physics-alignment-v1")
JUDGE = "tiny-judge@1"


def score(model, mean=0.5, *, rubric="instruction-following-v1", suite="seen", **counts):
    """One row of scores.json, of 50 videos."""
    lost = {"no_video": 0, "judge_error": 0, "unparsed": 0} | counts
    ci95 = None if mean is None else [max(mean - 0.1, 0), min(mean + 0.1, 1)]
    row = {"model": model, "suite": suite, "rubric": rubric, "judge": JUDGE, "mean": mean, "ci95": ci95}
    return row | {"n": 50 - sum(lost.values()), "planned": 50, "bounds": [0.3, 0.6]} | lost


def both(model, mean=0.5, **more):
    """A row for each rubric of the bench score."""
    return [score(model, mean, rubric=rubric, **more) for rubric in RUBRICS]


def success(model, mean, *, suite="seen", idm="cnn@1", policy="bc@1"):
    """One row of success.json."""
    recipe = {"idm": idm, "policy": policy, "episodes": 60, "seeds": 1}
    return {"model": model, "suite": suite, "mean": mean, "ci95": [mean - 0.1, mean + 0.1]} | recipe


def drawn(*words):
    """A number in [0, 1) that these words determine."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:4], "big") / 2**32


def write_lines(path, lines):
    """Records as a stage writes them."""
    path.write_text("".join(json.dumps({"schema": 1} | line) + "\n" for line in lines), encoding="utf-8")


def dreamed(model, task, size=32):
    """A made-up video: a square that moves; differently for each model and task."""
    frames = np.full((8, size, size, 3), 90, np.uint8)
    frames[:, size * 2 // 3 :] = (150, 120, 90)
    at = int(drawn(task) * size * 0.6)
    for number, frame in enumerate(frames):
        left = at + (0 if model == "static" else int(number * size / 40 * QUALITY.get(model, 0.5)))
        frame[size // 2 : size // 2 + size // 8, left : left + size // 8] = (200, 40, 40)
    return Video(frames=frames, fps=5.0)


def made_up_run(out, *, models=MODELS, suites=("seen", "new-look"), tasks=8, size=32):
    """A run folder that no model made, as the stages would have left it; gives the suites too."""
    (out / "videos").mkdir(parents=True)
    videos, judgments, replays = [], [], []
    places = [(suite, f"{suite}-{n:02d}", model) for suite in suites for n in range(tasks) for model in models]
    for suite, task, model in places:
        key = hashlib.sha256(f"{task}{model}".encode()).hexdigest()[:24]
        base = {"suite": suite, "task": task, "model": model, "seed": 0}
        absent = drawn("absent", task, model) < 0.04
        file = None if absent else f"videos/{key}.mp4"
        kept = {
            "file": file,
            "sha256": file and "0" * 64,
            "reason": "ValueError: NaN frames" if absent else None,
        }
        if not absent:
            (out / file).write_bytes(encode(dreamed(model, task, size)))
        video = base | {
            "key": key,
            "suite_digest": "d" * 8,
            "revision": "1",
            "status": "no_video" if absent else "ok",
        }
        videos.append(video | kept)
        for rubric in RUBRICS:
            chance = round((QUALITY.get(model, 0.5) + drawn(rubric, task, model)) / 2, 4)
            value = 0.0 if absent else float(chance > 0.5)
            answer = {
                "status": "no_video" if absent else "ok",
                "value": value,
                "judge": JUDGE,
                "rubric": rubric,
            }
            words = {"reply": f"ANSWER: {value:.0f}", "probability": None if absent else chance}
            judgments.append(base | {"key": key + rubric, "video": key} | answer | words)
        reached = bool(drawn("replay", task, model) < QUALITY.get(model, 0.5) ** 2)
        replay = {"kind": "replay", "behavior": "push", "idm": "cnn@1", "success": reached and not absent}
        replays.append(base | {"key": "replay" + key, "reason": "no video" if absent else None} | replay)
    write_lines(out / "videos.jsonl", videos)
    write_lines(out / "judgments.jsonl", judgments)
    write_lines(out / "episodes.jsonl", replays)
    write_aggregates(out, judgments, replays, models)
    return [made_up_suite(out, suite, tasks, size) for suite in suites]


def write_aggregates(out, judgments, replays, models):
    """scores.json, success.json, correlation.json and run.json, from sample rows."""
    groups = {}
    for row in judgments + [row | {"rubric": "executable", "value": float(row["success"])} for row in replays]:
        groups.setdefault((row["model"], row["suite"], row["rubric"]), []).append(row)
    scores = []
    for (model, suite, rubric), rows in groups.items():
        values = [row["value"] for row in rows]
        found = stats.mean_interval(values, tasks=[row["task"] for row in rows])
        lost = {
            "no_video": sum(row.get("status") == "no_video" for row in rows),
            "judge_error": 0,
            "unparsed": 0,
        }
        row = {"model": model, "suite": suite, "rubric": rubric, "judge": rows[0].get("judge", "cnn@1")}
        row |= {"mean": found.mean, "ci95": stats.plain(found.ci95), "bounds": [found.mean, found.mean]}
        scores.append(row | {"n": len(rows) - lost["no_video"], "planned": len(rows)} | lost)
    downstream = [success(model, round(0.8 * QUALITY.get(model, 0.5) ** 1.5 + 0.1, 3)) for model in models]
    floors = [success(name, mean, idm="", policy="bc@1") for name, mean in (("random", 0.1), ("true_actions", 0.8))]
    bench = [row | {"rubric": row["rubric"].removesuffix("-v1")} for row in scores]
    labels = {model: about["group"] for model, about in models.items()}
    (out / "scores.json").write_text(json.dumps(scores))
    (out / "success.json").write_text(json.dumps(downstream + floors))
    (out / "correlation.json").write_text(json.dumps(correlate.run(bench, downstream, groups=labels)))
    config = {"suites": sorted({row["suite"] for row in judgments}), "judge": JUDGE, "limit": None}
    code, machine = {"commit": "0123abc", "dirty": False}, {"cores": 2, "memory_gib": 8.0}
    phases = {"generate": {"seconds": 12.3, "summary": "96 planned, 96 done"}}
    facts = {"schema": 1, "date": "2026-01-01T00:00:00+00:00", "config": config, "models": models}
    facts |= {
        "versions": {"python": "3.11", "torch": "2.8"},
        "code": code,
        "hardware": machine,
        "phases": phases,
    }
    (out / "run.json").write_text(json.dumps(facts))


def made_up_suite(out, name, tasks, size):
    """The suite behind the made-up run, with a PNG for each first frame."""
    found = []
    for number in range(tasks):
        task = f"{name}-{number:02d}"
        (out / "frames").mkdir(exist_ok=True)
        path = out / "frames" / f"{task}.png"
        path.write_bytes(report._png(dreamed("static", task, size).frames[0]))
        text = f"push the red block to the right, {number} cm"
        found.append(Task(id=task, suite=name, instruction=text, first_frame=path, num_frames=8, fps=5.0))
    return Suite(name=name, digest="d", track="sim", description="", license="CC0-1.0", tasks=tuple(found))


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


def of(found, model, suites=("seen",)):
    """The row of a model."""
    return next(row for row in found if row.model == model and row.suites == suites)


# Rows


def test_the_bench_score_is_the_mean_of_both_rubrics():
    """Bench averages IF and PA and the ends of their intervals, which concern the same videos."""
    rubrics = score("a", 0.8), score("a", 0.4, rubric="physics-alignment-v1")
    row = leaderboard.rows(rubrics, [], models={"a": {"group": "trained"}})[0]
    assert row.bench.mean == pytest.approx(0.6)
    assert row.bench.ci95 == pytest.approx((0.5, 0.7))
    assert str(row.bench) == "0.60 [0.50, 0.70]"


def test_each_suite_has_a_table_and_all_together_another():
    """Two suites give three tables; the average of suites has a narrower interval than either."""
    scores = [row for suite in ("seen", "new") for row in both("a", 0.5, suite=suite)]
    found = leaderboard.rows(scores, [], models={"a": {"group": "trained"}})
    assert [table[0].suites for table in leaderboard.tables(found)] == [("new", "seen"), ("new",), ("seen",)]
    low, high = found[0].instruction.ci95
    assert (found[0].instruction.mean, found[0].instruction.n) == (0.5, 100)
    assert high - low == pytest.approx(0.2 / 2**0.5)


def test_a_model_that_lacks_a_suite_is_not_averaged_over_the_others():
    """The mean over all suites is absent, with the suite that is missing, and so is the rank."""
    scores = both("a") + both("b") + both("a", suite="new")
    row = of(
        leaderboard.rows(scores, [], models={"a": {"group": "trained"}, "b": {"group": "trained"}}),
        "b",
        ("new", "seen"),
    )
    assert row.instruction.mean is None and "on new" in row.instruction.why
    assert not row.ranked and "no bench score" in row.unranked


def test_rows_below_the_coverage_are_not_ranked():
    """Judge errors and unparsed replies cost the rank, with the reason; missing videos count 0 and do not."""
    scores = both("errors", judge_error=2) + both("unparsed", unparsed=2) + both("absent", no_video=9)
    found = leaderboard.rows(scores, [], models=dict.fromkeys(("errors", "unparsed", "absent"), {"group": "trained"}))
    assert of(found, "errors").unranked == "IF: coverage 96.0%, below 98%"
    assert of(found, "unparsed").unranked == "IF: 4.0% of replies unparsed, more than 2%"
    assert of(found, "absent").rank == 1 and of(found, "absent").coverage == 1
    text = leaderboard.markdown(found)
    assert "errors – not ranked: IF: coverage 96.0%, below 98%" in text
    assert "9/50" in text


def test_controls_ceilings_and_floors_stand_apart_and_are_never_ranked():
    """Whatever they score, only trained models have a rank; rows without videos say why they have no score."""
    scores = both("replay", 1.0) + both("static", 0.0) + both("a", 0.5)
    downstream = [success(name, 0.5) for name in ("true_actions", "random", "teleoperation", "a")]
    models = {"replay": {"group": "control"}, "static": {"group": "control"}, "a": {"group": "trained"}}
    found = leaderboard.rows(scores, downstream, models=models)
    kinds = {row.model: (row.group, row.mark, row.rank) for row in found}
    assert kinds["replay"] == ("control", "ceiling", None)
    assert kinds["static"] == ("control", "floor", None)
    assert kinds["true_actions"] == ("reference", "ceiling", None)
    assert kinds["random"] == kinds["teleoperation"] == ("reference", "floor", None)
    assert kinds["a"] == ("trained", "", 1)
    assert of(found, "random").executable.why == "makes no videos"
    assert "random" in leaderboard.markdown(found)


def test_overlapping_intervals_tie_without_judgments():
    """Models share the rank of the best one whose interval overlaps with theirs, and the caption says so."""
    scores = both("best", 0.9) + both("close", 0.75) + both("far", 0.4)
    found = leaderboard.rows(scores, [], models=dict.fromkeys(("best", "close", "far"), {"group": "trained"}))
    assert [(row.model, row.rank, row.leader) for row in found] == [
        ("best", 1, "best"),
        ("close", 1, "best"),
        ("far", 3, "far"),
    ]
    assert "intervals overlap" in leaderboard.caption(found)
    assert re.search(r"50 videos each: 0\.2\d ", leaderboard.caption(found))


def test_paired_tests_tell_apart_what_intervals_cannot():
    """A model that is a little better on every task gets a rank of its own when the judgments are there."""
    models = dict.fromkeys(("a", "b"), {"group": "trained"})
    scores = both("a", 0.6) + both("b", 0.5)
    judgments = [
        {
            "suite": "seen",
            "task": f"t{n}",
            "seed": 0,
            "model": m,
            "rubric": rubric,
            "value": float(n % 50 < top),
        }
        for n in range(50)
        for m, top in (("a", 30), ("b", 20))
        for rubric in RUBRICS
    ]
    assert [row.rank for row in leaderboard.rows(scores, [], models=models)] == [1, 1]
    found = leaderboard.rows(scores, [], models=models, judgments=judgments)
    assert [row.rank for row in found] == [1, 2]
    assert "paired sign-flip" in leaderboard.caption(found, judgments)


def test_success_of_another_recipe_is_not_compared():
    """A success rate whose policy was trained differently than most is absent, and the note says why."""
    downstream = [success("a", 0.5), success("b", 0.5), success("c", 0.9, policy="pi0@1")]
    models = dict.fromkeys("abc", {"group": "trained"})
    row = of(leaderboard.rows([r for m in "abc" for r in both(m)], downstream, models=models), "c")
    assert row.success.mean is None and "pi0@1" in row.success.why


def test_what_nobody_was_measured_on_is_no_column():
    """A suite that only trains policies gives a table of success alone, which says what is not there."""
    models = {"a": {"group": "trained"}}
    found = leaderboard.rows(both("a"), [success("a", 0.5, suite="train")], models=models)
    table = next(table for table in leaderboard.tables(found) if table[0].suites == ("train",))
    assert list(leaderboard.measured(table)) == ["success"]
    assert leaderboard.notes(table) == ["Bench, IF, PA, Executable: not measured here"]


def test_counts_that_do_not_add_up_are_refused():
    """A score of more or fewer videos than were planned is an error that names the row."""
    with pytest.raises(UserError, match="'a' on 'seen'.*add up"):
        leaderboard.rows([score("a") | {"n": 7}], [], models={})


def test_two_judges_are_not_mixed():
    """Two rows for one cell are refused rather than averaged or overwritten."""
    with pytest.raises(UserError, match="two rows for the IF of 'a' on 'seen'"):
        leaderboard.rows([score("a"), score("a") | {"judge": "other"}], [], models={})


def test_a_model_that_the_run_does_not_describe_is_not_ranked():
    """Without a group a row is shown, unranked, with the reason."""
    row = leaderboard.rows(both("a"), [], models={})[0]
    assert (row.group, row.rank, row.unranked) == ("unknown", None, "group unknown")


# Text


def test_absent_values_are_dashes_with_a_reason():
    """A missing score is never 0 and never vanishes from Markdown, the terminal or CSV."""
    scores = both("a") + [score("b", None, unparsed=50), score("b", 0.5, rubric="physics-alignment-v1")]
    found = leaderboard.rows(scores, [], models=dict.fromkeys("ab", {"group": "trained"}))
    text = leaderboard.markdown(found)
    assert re.search(r"\| – \| b \| trained \| – \| – \| 0\.50 \[0\.40, 0\.60\]", text)
    assert "b – Bench, IF: no answer could be had" in text
    assert "50 unparsed of 50" in text
    console = Console(file=io.StringIO(), width=140)
    console.print(leaderboard.terminal(found))
    assert "no answer could be had" in console.file.getvalue()
    lines = list(csv_module.DictReader(io.StringIO(leaderboard.csv(found))))
    absent = next(line for line in lines if line["model"] == "b" and line["value"] == "IF")
    assert (absent["mean"], absent["why"]) == ("", "no answer could be had")


def test_hostile_names_are_text_in_markdown():
    """Pipes, tags, emphasis and marks of direction neither break the table nor become markup."""
    found = leaderboard.rows(both(HOSTILE), [], models={HOSTILE: {"group": "trained"}})
    text = leaderboard.markdown(found)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", rendered)
    assert len(cells) == len(leaderboard.measured(found)) + 5
    assert html.unescape(cells[1]) == SHOWN
    assert "<script>" not in rendered and "\u202e" not in text


def test_csv_holds_names_as_they_are():
    """The machine-readable table gives back the very name, and unrounded numbers."""
    found = leaderboard.rows(both(HOSTILE, 1 / 3), [], models={HOSTILE: {"group": "trained"}})
    lines = list(csv_module.DictReader(io.StringIO(leaderboard.csv(found))))
    assert {line["model"] for line in lines} == {HOSTILE}
    assert float(lines[0]["mean"]) == 1 / 3


def test_names_are_not_markup_in_the_terminal():
    """Rich shows a name in brackets instead of taking it for a style."""
    found = leaderboard.rows(both("[red]x[/red]"), [], models={"[red]x[/red]": {"group": "trained"}})
    console = Console(file=io.StringIO(), width=140)
    console.print(leaderboard.terminal(found))
    assert "[red]x[/red]" in console.file.getvalue()


# Run folder and page


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
