"""Servers that are gone, slow or mad: nothing is lost, nothing is believed, and it is said in words."""

import gzip
import threading
import time
import tracemalloc

import numpy as np
import pytest
from noisy_server import MODEL, Noise, as_json, connected, plan_of, pretending, records_of, serving, sound

from dreamgen_bench import generate, registry, wire
from dreamgen_bench.testing import toy_suite
from dreamgen_bench.types import Spec, UserError
from dreamgen_bench.world_models import remote


def test_nothing_there_is_said_before_any_record(tmp_path):
    """The user's mistake, with the cure; the run folder stays as it was."""
    from typer.testing import CliRunner

    from dreamgen_bench.cli import app

    for name in ("static@http://127.0.0.1:9", "static@nowhere", "static@http://me:secret@host", "static@ftp://x"):
        words = ["generate", "metaworld-seen-v1", "--models", name, "--out", str(tmp_path / "out"), "--limit", "2"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert "NAME@http://HOST:PORT" in done.output or "dreamgen-bench serve NAME" in done.output
        assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="only world models"):
        registry.find("judges", "qwen-s@http://127.0.0.1:9")


def test_another_model_than_named_is_not_taken(tmp_path):
    """Two servers whose ports were mixed up do not mix up a table."""
    with serving(Noise()) as (address, _), pytest.raises(UserError, match=f"serves 'noise'.*noise@{address}"):
        registry.find("world_models", f"wan-s@{address}")


def test_another_version_in_the_middle_of_a_run_is_an_error(tmp_path):
    """A run is of one model, not of a mix; nothing of the new one is recorded."""
    suite = toy_suite(tmp_path / "toy")
    with serving(Noise()) as (address, server):
        model = connected(address)
        videos = model.generate(suite.tasks, seed=0)
        next(videos)
        server.desk.version = "noise@2+cafe"
        with pytest.raises(UserError, match="now serves .*noise@1"):
            list(videos)
    changed = Spec(name="noise", revision="1", load="x:y", license="MIT", args={"steps": 9})
    with serving(Noise(), spec=changed) as (address, _):
        spec = remote.served("noise", address)
        before = Spec(**{**spec.__dict__, "args": {"steps": 1}})
        with pytest.raises(UserError, match="begin a new run folder"):
            registry.load(before)


def test_a_hiccup_is_retried(tmp_path):
    """500, 502, a broken connection and half an answer are asked again; 500 for ever is nobody's score."""
    suite = toy_suite(tmp_path / "toy", tasks=1)
    frames = next(iter(Noise().generate(suite.tasks, seed=0))).frames
    answers, calls = sound(frames), []

    def flaky(method, path, body):
        calls.append(path)
        status, said, headers = answers(method, path, body)
        trouble = {2: (500, b"", {}), 4: (502, b"<html>", {}), 5: (200, b"<html>", {})}
        trouble |= {
            7: (200, said[:9], {}),
            8: (200, said[:9], {"Content-Length": str(len(said)), "Connection": "close"}),
        }
        return trouble.get(len(calls), (status, said, headers))

    with pretending(flaky) as address:
        (video,) = connected(address).generate(suite.tasks, seed=0)
    assert np.array_equal(video.frames, frames) and len(calls) == 9

    with pretending(lambda m, p, b: answers(m, p, b) if p == "/v1/model" else (500, b"{}", {})) as address:
        with pytest.raises(ConnectionError, match="HTTP 500.*run the same command"):
            generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
    assert not records_of(tmp_path / "out"), "a server's trouble became the model's score"


def test_too_many_requests_are_retried_when_they_said(tmp_path):
    """Retry-After is kept, to the second."""
    suite = toy_suite(tmp_path / "toy", tasks=1)
    answers, times = sound(next(iter(Noise().generate(suite.tasks, seed=0))).frames), []

    def busy(method, path, body):
        if method == "POST":
            times.append(time.monotonic())
            if len(times) == 1:
                return 429, b"{}", {"Retry-After": "1"}
        return answers(method, path, body)

    with pretending(busy) as address:
        assert len(list(connected(address).generate(suite.tasks, seed=0))) == 1
    assert len(times) == 2 and times[1] - times[0] >= 1


def replaced(answers, part, said):
    """Answers, but `said` where the path has `part`."""
    return lambda method, path, body: said if part in path and method == "GET" else answers(method, path, body)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"<html>log in to the network</html>",
        b"{}",
        b'{"request_id": "another", "version": "v", "state": "done"}',
        b'{"request_id": "x", "version": "v", "state": "dreaming"}',
        b"[" * 100_000,
        b" " * 2**20,
    ],
    ids=["page", "empty", "another", "state", "deep", "large"],
)
def test_nonsense_stops_the_run_and_is_no_score(tmp_path, nonsense):
    """What is no answer is asked again, then ends the run with no record."""
    suite = toy_suite(tmp_path / "toy", tasks=1)
    frames = next(iter(Noise().generate(suite.tasks, seed=0))).frames
    with pretending(replaced(sound(frames), "/v1/videos", (200, nonsense, {}))) as address:
        with pytest.raises(ConnectionError, match="more than" if len(nonsense) == 2**20 else "does not answer"):
            generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
    assert not records_of(tmp_path / "out")


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        ("inflates", "of other content"),
        ("endless", "more than"),
        ("other", "of other content"),
        ("gzip", "can't be inflated"),
    ],
)
def test_frames_are_bounded_and_compared(tmp_path, bomb, reason):
    """A small answer that unfolds into gigabytes, one without end, other frames than announced: refused."""
    suite = toy_suite(tmp_path / "toy", tasks=1)
    frames = next(iter(Noise().generate(suite.tasks, seed=0))).frames
    said = {
        "inflates": (200, wire.zlib.compress(bytes(2**16)), {}),
        "endless": (200, bytes(2**22), {}),
        "other": (200, wire.pack(255 - frames), {}),
        "gzip": (200, gzip.compress(bytes(2**20)), {"Content-Encoding": "gzip"}),
    }[bomb]
    with pretending(replaced(sound(frames), "/frames", said)) as address:
        with pytest.raises(ConnectionError, match=reason):
            list(connected(address).generate(suite.tasks, seed=0))


def test_a_bomb_is_not_even_unfolded():
    """Sixty-four kilobytes that would be sixty-four megabytes take no more memory than the frames would."""
    bomb = wire.zlib.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(ValueError, match="of other content"):
        wire.unpack(bomb, (5, 16, 16, 3), "")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_frames_of_another_shape_are_the_models_failure(tmp_path):
    """They are not even fetched."""
    suite = toy_suite(tmp_path / "toy", tasks=1)
    frames = next(iter(Noise().generate(suite.tasks, seed=0))).frames[:-1]
    with pretending(sound(frames)) as address:
        generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
    (record,) = records_of(tmp_path / "out").values()
    assert record.status == "no_video" and "(4, 16, 16, 3)" in record.reason


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "noise", "revision": "1"},
        {"name": "noise", "revision": "1\n\x1b[2J", "license": "MIT"},
        {"name": "noise", "revision": "1", "license": "MIT", "group": "best"},
        {"name": ["noise"], "revision": "1", "license": "MIT"},
    ],
)
def test_a_server_that_tells_nonsense_of_its_model_is_refused(spec):
    """Before anything is written, since it would be written under that name."""
    with pretending(lambda m, p, b: as_json(200, **MODEL | {"spec": spec})) as address:
        with pytest.raises(UserError, match="nonsense|serves"):
            remote.served("noise", address)
    with pretending(lambda m, p, b: (302, b"", {"Location": "http://127.0.0.1:9/"})) as address:
        with pytest.raises(UserError, match="HTTP 302"):
            remote.served("noise", address)


def test_a_slow_server_is_given_up(tmp_path):
    """A model that hangs, and a server that hangs, end the run with no record."""
    suite, gate = toy_suite(tmp_path / "toy", tasks=2), threading.Event()
    with serving(Noise(wait=gate), timeout=0.3, queue=2) as (address, _):
        with pytest.raises(TimeoutError, match="makes no progress in 0.3 s"):
            generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
        gate.set()
    assert not records_of(tmp_path / "out")

    def hangs(method, path, body):
        time.sleep(0.5 if path != "/v1/model" else 0)
        return as_json(200, **MODEL)

    with pretending(hangs) as address, pytest.raises(ConnectionError, match="Timeout"):
        list(connected(address, pauses=(0.01,), timeout=0.2).generate(suite.tasks, seed=0))
