"""People's labels: blind, shuffled, kept after each answer, and nobody's overwritten by another's."""

import csv
import json
import urllib.error
import urllib.request

import pytest
from finished_run import RUBRICS, finished_run

from dreamgen_bench import annotate, rubrics, serving, suites
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import UserError, VideoRecord

SUITE = "metaworld-seen-v1"
MODELS = ("good", "poor")


def videos_of(run):
    return list(RecordFile(run / "videos.jsonl", VideoRecord).read().values())


def opened(run, out):
    """The session of a run's videos in a folder, as the command makes it."""
    tasks = {(task.suite, task.id): task for task in suites.load(SUITE).tasks}
    return annotate.prepare(videos_of(run), tasks, run=run, rubrics=[rubrics.load(name) for name in RUBRICS], out=out)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("run") / "run", suite=SUITE, tasks=4, models=MODELS)


@pytest.fixture
def session(run, tmp_path):
    return opened(run, tmp_path / "labels")


def answer(session, rater, label, secret=None):
    """Join, answer what comes first, and give the state before and after."""
    me = {"rater": rater} | ({"secret": secret} if secret else {})
    state = session.post("/join", me)
    me["secret"] = state["secret"]
    return state, session.post("/answer", me | {"clip": state["clip"]["id"], "label": label})


def test_nothing_that_is_shown_names_the_model_or_the_task(session):
    """Neither the state, nor the page's files, nor a video's bytes hold a model's name or a video's key."""
    state, _ = answer(session, "anna", 1)
    page = session.out / "page"
    shown = json.dumps(state) + " ".join(path.name for path in page.rglob("*"))
    shown += "".join(path.read_bytes().decode("latin-1") for path in page.rglob("*") if path.is_file())
    for secret in (*MODELS, *(f'{task.id}"' for task in suites.load(SUITE).tasks)):
        assert f'"{secret}' not in json.dumps(state)
    tasks = {clip.source for clip in session.clips.values()}
    assert tasks and all(source not in shown for source in tasks)
    recorded = RecordFile(session.out / "answers.jsonl", annotate.Answer).read().values()
    assert all(model not in line.model_dump_json() for line in recorded for model in MODELS)


def test_each_rater_has_an_order_of_their_own(session):
    """The same clips in another order, and the same order on the next day."""
    orders = {}
    for rater in ("anna", "bert"):
        seen, secret = [], None
        for _ in range(6):
            state, after = answer(session, rater, 0, secret)
            secret = state["secret"]
            seen.append(state["clip"]["id"])
        orders[rater] = seen
        assert after["done"] == 6 and after["planned"] == len(session.clips)
    assert orders["anna"] != orders["bert"] and len(set(orders["anna"])) == 6


def test_what_was_said_is_there_after_a_kill(run, session):
    """A new process goes on where the last one was, with the same clips, and half a line is cut off."""
    state, after = answer(session, "anna", 1)
    with (session.out / "answers.jsonl").open("a") as file:
        file.write('{"schema":1,"key":"cut')
    again = opened(run, session.out)
    assert again.clips == session.clips
    resumed = again.post("/join", {"rater": "anna", "secret": state["secret"]})
    assert resumed["done"] == 1 and resumed["clip"] == after["clip"]


def test_no_rater_touches_another_ones_answers(session):
    """A name in use needs its code; two raters' answers stand side by side."""
    first, _ = answer(session, "anna", 1)
    with pytest.raises(UserError, match="'anna' is taken"):
        session.post("/join", {"rater": "anna"})
    with pytest.raises(UserError, match="'anna' is taken"):
        session.post("/answer", {"rater": "anna", "secret": "guess", "clip": first["clip"]["id"], "label": 0})
    for name in ("bert", "cora"):
        answer(session, name, 0)
    said = [(a.rater, a.label) for a in session.answers.read().values()]
    assert sorted(said) == [("anna", 1), ("bert", 0), ("cora", 0)]


def test_an_answer_can_be_changed_and_a_clip_passed_over(session):
    """The last answer counts; a clip that was passed over comes again at the end."""
    state, after = answer(session, "anna", 1)
    me = {"rater": "anna", "secret": state["secret"]}
    assert after["before"][0]["id"] == state["clip"]["id"] and after["before"][0]["label"] == 1
    session.post("/answer", me | {"clip": state["clip"]["id"], "label": 0})
    passed = session.post("/answer", me | {"clip": after["clip"]["id"], "label": None})
    assert passed["done"] == 1 and passed["clip"]["id"] not in (state["clip"]["id"], after["clip"]["id"])
    for _ in range(len(session.clips) - 2):
        passed = session.post("/answer", me | {"clip": passed["clip"]["id"], "label": 1})
    assert passed["clip"]["id"] == after["clip"]["id"]


@pytest.mark.parametrize(
    "wrong", [{"label": 2}, {"label": True}, {"label": "1"}, {"clip": "x"}, {"clip": ["x"]}, {"rater": "<b>"}]
)
def test_what_is_no_answer_is_refused(session, wrong):
    """Labels are 0, 1 or null about a clip there is, by a name that is one."""
    state = session.post("/join", {"rater": "anna"})
    sent = {"rater": "anna", "secret": state["secret"], "clip": state["clip"]["id"], "label": 1} | wrong
    with pytest.raises(UserError):
        session.post("/answer", sent)
    assert session.answers.read() == {}


def test_the_label_file_has_what_validate_judge_reads(session):
    """Its columns, a video inside the folder for each row, and both questions about one video under one id."""
    for rater in ("anna", "bert"):
        secret = None
        for _ in range(len(session.clips)):
            state, _ = answer(session, rater, 1, secret)
            secret = state["secret"]
    path = annotate.write_labels(session)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 2 * len(session.clips) and tuple(rows[0]) == annotate.COLUMNS
    assert {row["label"] for row in rows} == {"1"} and {row["model"] for row in rows} == set(MODELS)
    assert all((session.out / row["video"]).is_file() and row["behavior"] and row["look"] for row in rows)
    assert len({row["id"] for row in rows}) == len({clip.source for clip in session.clips.values()})
    labels = pytest.importorskip("dreamgen_bench.labels", reason="validate-judge is not in this checkout")
    found = labels.read(str(path))
    assert not found.problems and len(found.clips) == len(session.clips)


def test_agreement_between_raters_is_told(session):
    """By question, over shared clips; undefined where all said the same."""
    secrets = {}
    for number in range(len(session.clips)):
        for rater in ("anna", "bert"):
            state = session.post("/join", {"rater": rater} | secrets.get(rater, {}))
            secrets[rater] = {"secret": state["secret"]}
            clip = sorted(session.clips)[number]
            sent = {"rater": rater, **secrets[rater], "clip": clip, "label": number % 2}
            session.post("/answer", sent)
    told = annotate.agreement(session)
    assert len(told) == 2 and all("100% of pairs equal" in line for line in told)
    assert any("alpha 1.00" in line or "undefined" in line for line in told)


def test_other_videos_are_not_mixed_into_a_folder(run, session, tmp_path):
    """Labels of one set of clips stay so."""
    other = finished_run(tmp_path / "other", suite=SUITE, tasks=2, models=("good",))
    with pytest.raises(UserError, match="other videos or questions"):
        opened(other, session.out)


def get(address, **headers):
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_server_serves_one_folder_to_this_machine(tmp_path):
    """Parts of files, for seeking; no way out of the folder, no listing, no foreign name or origin."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "index.html").write_text("hello")
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "in" / "link.html").symlink_to(tmp_path / "secret.html")
    with serving.files(tmp_path / "in", port=0, post=lambda path, sent: sent) as address:
        assert get(address) == (200, b"hello")
        assert get(address, Range="bytes=1-2") == (206, b"el")
        assert get(address, Range="bytes=9-")[0] == get(address, Range="bytes=3-1")[0] == 416
        assert get(address + "%00")[0] == get(address + "a" * 300 + ".html")[0] == 404
        for path in ("../secret.html", "%2e%2e/secret.html", "link.html", "nothing.html", "/etc/passwd"):
            assert get(address + path)[0] == 404
        assert get(address, Host="evil.example:80")[0] == 404
        body = urllib.request.Request(address, data=b"{}", headers={"Origin": "http://evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(body)
        for data in (b"[]", b"not json", b"[" * 50_000):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(address, data=data)
        with pytest.raises(UserError, match="--port 0"):
            with serving.files(tmp_path, port=99_999):
                pass
        with pytest.raises(UserError, match="--port 0"):
            with serving.files(tmp_path, port=int(address.rsplit(":", 1)[1].strip("/"))):
                pass
