"""From a run to records, from records to boards: what is refused, what is made again, and what is never mixed."""

import json
import re
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from finished_run import SUPPLIED, finished_run
from typer.testing import CliRunner

from dreamgen_bench import archive, latex, leaderboard, publish, submission
from dreamgen_bench.cli import app
from dreamgen_bench.store import digest
from dreamgen_bench.types import UserError

RUNNER = CliRunner()
SUITE = "metaworld-seen-v1"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run over the whole of a suite."""
    return finished_run(tmp_path_factory.mktemp("run") / "run", suite=SUITE)


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    """Its records."""
    folder = tmp_path_factory.mktemp("board")
    submission.run(run, to=folder, given=SUPPLIED)
    return folder


@pytest.fixture
def board(published, tmp_path):
    """A copy of the records, to change."""
    return shutil.copytree(published, tmp_path / "board")


def record_of(board, model="good", suite=SUITE):
    (path,) = (board / "records" / suite).glob(f"{model}-????????.json")
    return path


def changed(path, change):
    """The record with something else in it."""
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_record_that_lacks_something_is_not_made_and_says_how_to_supply_it(run, tmp_path):
    """Everything that is lacking is named at once, with the flag that supplies it."""
    with pytest.raises(UserError) as error:
        submission.run(run, to=tmp_path)
    for wanted in ("contact", "prompt", "candidates", "usd_per_video"):
        assert f"--set {wanted}=" in str(error.value)
    assert "submission.yaml" in str(error.value) and not list(tmp_path.rglob("*.json"))


def test_submission_yaml_supplies_what_flags_do(run, tmp_path):
    """The file beside the run, with facts about single models."""
    copy = shutil.copytree(run, tmp_path / "run")
    lines = "contact: a@b.c\nprompt: rewritten\ncandidates: 4\nusd_per_video: 0\n"
    (copy / "submission.yaml").write_text(lines + "models:\n  good:\n    license: OpenRAIL\n")
    (path, *_) = submission.run(copy, to=tmp_path / "board", models=["good"])
    record = archive.load(path)
    assert (record.model.license, record.protocol.prompt, record.protocol.candidates) == ("OpenRAIL", "rewritten", 4)
    with pytest.raises(UserError, match="nothing in a record is called 'contcat'"):
        submission.run(copy, to=tmp_path / "board", given=["contcat=x"])


def test_what_earlier_weights_left_in_the_folder_is_in_no_record(tmp_path):
    """A folder goes on under the same names with other weights: their videos, replays and policies are told alone."""
    out = finished_run(tmp_path / "run", models=("fair-2b",), tasks=4)
    submission.run(out, to=tmp_path / "before", given=SUPPLIED)
    leaderboard.run(out, suites=[])
    page = (out / "report/index.html").read_bytes()
    rows = {
        name: (out / f"{name}.jsonl").read_text("utf-8").splitlines() for name in ("videos", "judgments", "episodes")
    }
    olds, labels = {name: [json.loads(line) for line in lines] for name, lines in rows.items()}, []
    for video in olds["videos"]:
        video.update(key="old" + video["key"], revision="0")
        label = {"key": "l" + video["key"], "video": video["key"], "idm": "cnn@1", "status": "ok"}
        labels.append(label | {name: video[name] for name in ("suite", "task", "model", "seed")})
    for judgment in olds["judgments"]:
        judgment.update(key="old" + judgment["key"], video="old" + judgment["video"], value=0.0)
    for number, episode in enumerate(olds["episodes"]):
        if episode["kind"] == "replay":
            key = digest("replay", labels[number]["key"])
            episode.update(key=key, success=not episode["success"])
        else:
            episode.update(key="old" + episode["key"], policy=episode["policy"] + "0", success=True)
    for name in rows:
        lines = [json.dumps(old) for old in olds[name]] + rows[name]
        (out / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (out / "trajectories.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels), "utf-8")
    for policy in {e["policy"] for e in olds["episodes"] if ":" in e["policy"]}:
        for key in (policy.partition(":")[2], policy.partition(":")[2][:-1]):
            (out / "policies" / key).mkdir(parents=True)
            (out / "policies" / key / "policy.json").write_text('{"seed": 0}', "utf-8")
    submission.run(out, to=tmp_path / "after", given=SUPPLIED)
    written = {
        path.relative_to(tmp_path / "before"): path.read_text() for path in (tmp_path / "before").rglob("*.json")
    }
    assert len(written) == 3
    for path, text in written.items():
        assert (tmp_path / "after" / path).read_text() == text, path
    leaderboard.run(out, suites=[])
    assert (out / "report/index.html").read_bytes() == page


@pytest.mark.parametrize("key", ["license", "revision", "trained_on"])
def test_a_model_of_unknown_origin_is_refused(run, tmp_path, key):
    """Licence, checkpoint and training data are asked for by name."""
    copy = shutil.copytree(run, tmp_path / "run")
    changed(copy / "run.json", lambda value: value["models"]["good"].update({key: "" if key != "trained_on" else []}))
    with pytest.raises(UserError, match=rf"models\.good\.{key}"):
        submission.run(copy, to=tmp_path / "board", given=SUPPLIED)


def test_check_makes_every_aggregate_again(board):
    """A sound record passes, and says what was verified."""
    record, told = archive.check(record_of(board))
    assert record.evidence.tier == "self-reported" and "follow from" in told[0]
    reference = record_of(board, "random", "metaworld-policy-v1")
    assert archive.check(reference)[0].model.group == "reference"


def test_records_of_before_stay_good(board):
    """Success rows have said more since: a record that lacks it is sound, one that states it wrongly is not."""
    older = changed(record_of(board), lambda v: [v["success"][0].pop(key) for key in ("interval", "ci95_behaviors")])
    assert "follow from" in archive.check(older)[1][0]
    forged = changed(older, lambda v: v["success"][0].update(ci95_behaviors=[0.9, 1.0]))
    with pytest.raises(UserError, match="ci95_behaviors is stated"):
        archive.check(forged)
    shipped = Path(__file__).parents[1] / "leaderboards/records/metaworld-behavior-v1"
    assert archive.check(sorted(shipped.glob("replay-*.json"))[-1])[1]


FORGED = {
    "a score": (lambda v: v["scores"][0].update(mean=0.999), "mean is stated as 0.999"),
    "an interval": (lambda v: v["scores"][0].update(ci95=[0.9, 1.0]), "ci95 is stated"),
    "a success rate": (lambda v: v["success"][0].update(mean=1.0), "mean is stated as 1.0"),
    "a count": (lambda v: v["scores"][0].update(planned=9), "planned is stated as 9"),
    "rows left out": (lambda v: v["samples"]["judgments"].pop(), "were not asked"),
    "a video twice": (lambda v: v["samples"]["videos"].append(v["samples"]["videos"][0]), "twice"),
    "an unknown task": (lambda v: v["samples"]["videos"][0].update(task="mine"), "replays|no task"),
    "another suite": (lambda v: v["suite"].update(digest="0" * 64), "has here the digest"),
    "an unknown key": (lambda v: v.update(extra=1), "extra"),
    "a missing key": (lambda v: v.pop("contact"), "contact"),
    "a number as text": (lambda v: v["cost"].update(usd_per_video="0"), "usd_per_video"),
    "a tier without proof": (lambda v: v["evidence"].update(tier="videos provided"), "brings none"),
    "a tier without a name": (lambda v: v["evidence"].update(tier="reproduced"), "needs `by`"),
    "an answer for no video": (
        lambda v: v["samples"]["videos"][0].update(status="no_video", sha256=None),
        "there is no video",
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_record_is_refused_with_one_line(board, what):
    """Nothing that the rows do not give gets onto a board."""
    change, words = FORGED[what]
    path = changed(record_of(board), change)
    with pytest.raises(UserError, match=words) as error:
        archive.check(path)
    assert "\n" not in str(error.value)


HOSTILE = {
    "a pickle": (b"\x80\x04\x95\x00\x00", "is a pickle"),
    "a tar": (b"record.json\0" * 50, "no JSON object"),
    "depth": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion|nested|Recursion"),
    "a key twice": (b'{"schema": 2, "schema": 2}', "twice"),
    "infinity": (b'{"schema": Infinity}', "Infinity"),
    "no text": (b'{"\xff": 1}', "decode"),
    "a broken zip": (b"PK\x03\x04 and nothing", "no sound zip"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_with_one_line(tmp_path, what):
    """No crash, no traceback, exit status 2."""
    data, words = HOSTILE[what]
    path = tmp_path / "sent"
    path.write_bytes(data)
    with pytest.raises(UserError, match=words):
        archive.check(path)
    done = RUNNER.invoke(app, ["submit", "--check", str(path)])
    assert done.exit_code == 2


def test_a_link_and_a_giant_are_refused_unread(tmp_path):
    """A link may point anywhere, and 10 GB are not read to find out what they are."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="no regular file"):
        archive.check(tmp_path / "link")
    with (tmp_path / "giant").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(UserError, match=r"10\.0 GiB"):
        archive.check(tmp_path / "giant")


@pytest.fixture(scope="module")
def sent(run, published, tmp_path_factory):
    """An archive with its videos."""
    return submission.archive(run, record_of(published), out=tmp_path_factory.mktemp("sent") / "good.zip")


def repacked(sent, path, change):
    """The archive with other members: change(name, data) -> [(name or ZipInfo, data)]."""
    with zipfile.ZipFile(sent) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            for to, data in change(name, old.read(name)):
                new.writestr(to, data)
    return path


def test_an_archive_proves_its_videos(sent, tmp_path):
    """Videos are hashed again; one that is another, or missing, or too many, is seen."""
    record, told = archive.check(sent)
    assert record.evidence.tier == "videos provided" and "hash to what the rows say" in told[-1]
    touched = repacked(sent, tmp_path / "a.zip", lambda n, d: [(n, d + (b"x" if n.endswith("mp4") else b""))])
    with pytest.raises(UserError, match="hashes to"):
        archive.check(touched)
    only = repacked(sent, tmp_path / "b.zip", lambda n, d: [(n, d)] if n == "record.json" else [])
    with pytest.raises(UserError, match="videos are missing"):
        archive.check(only)


def _link():
    info = zipfile.ZipInfo("videos/" + "a" * 24 + ".mp4")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("../../evil.mp4", r"holds '\.\./\.\./evil\.mp4'"),
        ("/etc/passwd", "only record.json"),
        ("videos\\..\\evil.mp4", "only record.json"),
        ("weights.pkl", "only record.json"),
        (_link(), "is a link"),
        ("record.json", "twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_holds_a_record_and_videos_and_nothing_else(sent, tmp_path, member, words):
    """Paths that lead out, links and other files are refused before anything is read; nothing is written."""
    path = repacked(sent, tmp_path / "x.zip", lambda n, d: [(n, d)])
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, b"../../etc/passwd")
    with pytest.raises(UserError, match=words):
        archive.check(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_an_archive_that_claims_10_gb_is_refused(sent, tmp_path):
    """By the size it claims; and one that claims less than it holds is cut off at its claim."""
    data = bytearray(sent.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (4_000_000_000).to_bytes(4, "little")
    (tmp_path / "claims.zip").write_bytes(data)
    with pytest.raises(UserError, match="claims 3,815 MiB"):
        archive.check(tmp_path / "claims.zip")


# Boards


def test_tables_are_what_the_records_give(board):
    """Markdown, CSV and LaTeX; a touched table and a stale one are found by --check."""
    assert publish.regenerate(board, check=True) and publish.regenerate(board)
    assert publish.regenerate(board, check=True) == []
    page = (board / SUITE / "README.md").read_text()
    assert "| 1" in page and "Rescaled" in page and "ceiling" in page and "Smallest detectable difference" in page
    assert "| – | true\\_actions |" in page or "| – | true_actions |" in page
    (csv_file,) = (board / SUITE).glob("*.csv")
    (board / SUITE / "README.md").write_text("by hand")
    (board / SUITE / "old.csv").write_text("stale")
    (board / "studies").mkdir()
    (board / "studies/README.md").write_text("# by hand")
    csv_file.unlink()
    assert len(publish.regenerate(board, check=True)) == 3
    done = RUNNER.invoke(app, ["leaderboard", "--check", "--folder", str(board)])
    assert done.exit_code == 2
    publish.regenerate(board)
    assert not (board / SUITE / "old.csv").exists() and csv_file.exists() and (board / "studies/README.md").exists()


def test_two_judges_two_suites_or_best_of_n_are_never_one_ranking(board):
    """Each makes a board of its own; a control stands on the boards of all ways to choose."""
    before = publish.boards(publish.load(board))
    assert len(before) == 1

    def other(name, change):
        text = record_of(board).read_text()
        path = record_of(board).with_name(f"other-{name}.json")
        path.write_text(text)
        changed(path, change)

    other("judge", lambda v: v["instrument"].update(judge="k@2"))
    other("suite", lambda v: v["suite"].update(digest="0" * 64))
    other("best", lambda v: v["protocol"].update(candidates=5))
    found = publish.boards(publish.load(board))
    assert len(found) == 4
    (best,) = [one for one in found if one.candidates == 5]
    assert {r.model.name for r in best.records} == {"good", "replay", "static"} and "best of 5" in best.title


def test_a_record_that_was_withdrawn_stays_with_its_reason(board):
    """It leaves the ranking, and the board says why; without a reason it can't."""
    path = record_of(board)
    with pytest.raises(UserError, match="for a reason"):
        publish.withdraw(path, reason=" ")
    done = RUNNER.invoke(app, ["withdraw", str(path), "--reason", "trained on | the suite"])
    assert done.exit_code == 0 and path.is_file()
    publish.regenerate(board)
    (row,) = [line for line in (board / "README.md").read_text().splitlines() if "trained on \\| the suite" in line]
    assert "| good@" in row
    assert "| good |" not in (board / SUITE / "README.md").read_text()


def test_evidence_is_raised_by_name(board):
    """Tiers are from the known list, and the higher ones name who vouches."""
    path = record_of(board)
    with pytest.raises(UserError, match="no tier"):
        publish.confirm(path, tier="proven", by="x")
    with pytest.raises(UserError, match="needs `by`"):
        publish.confirm(path, tier="reproduced", by="")
    publish.confirm(path, tier="policy-validated", by="A. Lab")
    publish.regenerate(board)
    assert "policy-validated by A. Lab" in (board / SUITE / "README.md").read_text()


def test_a_model_on_part_of_a_suite_is_shown_and_not_ranked(tmp_path):
    """Half a suite is another suite."""
    run = finished_run(tmp_path / "run", suite=SUITE, tasks=4, models=("good", "static"))
    submission.run(run, to=tmp_path / "board", given=SUPPLIED)
    (only,) = publish.boards(publish.load(tmp_path / "board"))
    rows, _ = publish.table(only)
    assert all(row.rank is None for row in rows) and "4 of the suite's" in rows[0].unranked


def test_two_records_of_one_row_are_an_error_and_two_revisions_two_rows(board):
    """Which of two counts is a person's decision."""
    text = record_of(board).read_text()
    twin = record_of(board).with_name("twin.json")
    twin.write_text(text)
    (one,) = publish.boards(publish.load(board))
    with pytest.raises(UserError, match="two records of 'good@1'"):
        publish.labels(one)
    changed(twin, lambda v: v["model"].update(revision="2"))
    (one,) = publish.boards(publish.load(board))
    assert {"good@1", "good@2", "poor"} <= set(publish.labels(one))


# LaTeX


def test_latex_of_hostile_names_stays_balanced():
    """Every special character is escaped, a bracket after a row's end is no length, other scripts are named."""
    text = latex.escaped("a_b&c%d$e#f{g}h~i^j\\k[l]–模\u202e")
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"a\_b\&c\%d\$e\#f\{g\}h" in text and "{[}" in text and r"\texttt{U+6A21}" in text
    assert text.isascii()


def test_the_latex_table_is_whole(board):
    """As many cells a row as columns, booktabs' rules, the caption with the detectable difference."""
    (one,) = publish.boards(publish.load(board))
    rows, answers = publish.table(one)
    text = latex.tabular(rows, judgments=answers, about=one.title)
    columns = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", text)[1]
    body = text.split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
    lines = [line for line in body.splitlines() if line != "\\midrule"]
    assert len(lines) == len(rows) and all(line.endswith(r" \\") for line in lines)
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(columns)}
    assert "detectable" in text and text.count("\\begin") == text.count("\\end")
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
