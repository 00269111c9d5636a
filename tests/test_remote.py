"""A served world model: the same records as where it is loaded, whatever happens to its server."""

import contextlib
import gzip
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from dreamgen_bench import generate, registry, suites, wire
from dreamgen_bench.serve import Desk, RefusalError, Server
from dreamgen_bench.serve import run as serve_until_interrupted
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held, check_world_model, toy_suite
from dreamgen_bench.types import Spec, UserError, Video, VideoRecord
from dreamgen_bench.world_models import remote

SPEC = Spec(name="noise", revision="1", load="x:y", license="Apache-2.0", args={"steps": (1, 2)}, group="trained")
QUICK = (0.01, 0.02, 0.04)


class Noise(Held):
    """Dreams noise, drawn from task and seed; counts, and may be told to fail or to wait."""

    def __init__(self, faults=(), wait=None):
        self.made, self.faults, self.wait = [], dict(faults), wait

    def generate(self, tasks, *, seed):
        for task, video in zip(tasks, super().generate(tasks, seed=seed), strict=True):
            self.made.append(task.id)
            if self.wait:
                self.wait.wait(10)
            if error := self.faults.get(task.id):
                raise error
            frames = video.frames.copy()
            shape = frames[1:].shape
            frames[1:] = np.random.default_rng([seed, *task.id.encode()]).integers(0, 255, shape, dtype=np.uint8)
            yield Video(frames=frames, fps=video.fps)


@contextlib.contextmanager
def serving(model, spec=SPEC, **options):
    """A server in this process; its port is free, and it goes with the test."""
    server = Server(spec, ("127.0.0.1", 0), **options)
    loop = threading.Thread(
        target=serve_until_interrupted, args=(spec, model, server), kwargs={"tell": lambda line: None}, daemon=True
    )
    loop.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield address, server
    finally:
        server.shutdown()
        server.server_close()


def connected(address, pauses=QUICK, timeout=30.0):
    connection = remote.Connection(address, pauses=pauses, timeout=timeout)
    return remote.RemoteWorldModel(connection, connection.served())


@contextlib.contextmanager
def pretending(respond):
    """A server that says whatever `respond(method, path, body)` returns: (status, body bytes, headers)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            status, body, headers = respond(self.command, self.path, self.rfile.read(length))
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def as_json(status, **fields):
    return status, json.dumps(fields).encode(), {}


MODEL = {"contract": 1, "version": "v", "queue": 4, "timeout": 5}
MODEL |= {"spec": {"name": "noise", "revision": "1", "license": "MIT"}}


def sound(frames):
    """What an honest small server of another make says, all done at once."""
    asked = {}

    def respond(method, path, body):
        if path == "/v1/model":
            return as_json(200, **MODEL)
        if method == "POST":
            request = json.loads(body)
            asked[request["request_id"]] = request
            return as_json(202, request_id=request["request_id"], version="v", state="pending")
        name = re.split(r"[/?]", path)[3]
        if path.endswith("/frames"):
            return 200, wire.pack(frames), {}
        said = wire.hashlib.sha256(frames.tobytes()).hexdigest()
        return as_json(200, request_id=name, version="v", state="done", shape=frames.shape, sha256=said)

    return respond


def plan_of(suite, spec=SPEC):
    return generate.plan(suite, suite.tasks, spec, [0])


def records_of(out):
    return RecordFile(out / "videos.jsonl", VideoRecord).read()


# The same as where it is loaded


def test_a_served_model_keeps_the_contract(tmp_path):
    """Order, count, sizes, seeds, errors: as any other."""
    with serving(Noise()) as (address, _):
        check_world_model(connected(address), toy_suite(tmp_path / "toy", tasks=5).tasks)


def test_keys_and_bytes_are_those_of_the_loaded_model(tmp_path):
    """Where a model runs is no part of what it is: not of the key, not of the frames."""
    suite = toy_suite(tmp_path / "toy")
    generate.run(plan_of(suite), Noise, out=tmp_path / "local")
    with serving(Noise()) as (address, _):
        spec = registry.find("world_models", f"noise@{address}")
        assert spec.id == SPEC.id and spec.address == address and spec.group == "trained"
        generate.run(plan_of(suite, spec), lambda: registry.load(spec), out=tmp_path / "served")
    local, served = records_of(tmp_path / "local"), records_of(tmp_path / "served")
    assert [(r.key, r.sha256) for r in local.values()] == [(r.key, r.sha256) for r in served.values()]
    assert len(served) == 8


def test_the_models_own_failure_is_its_own(tmp_path):
    """An exception and a broken video on the far side cost one video each, with the reason as it was there."""
    suite = toy_suite(tmp_path / "toy")
    model = Noise({"t2": RuntimeError("out of memory")})
    with serving(model) as (address, _):
        generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
    records = {r.task: r for r in records_of(tmp_path / "out").values()}
    assert [t for t, r in records.items() if r.status == "no_video"] == ["t2"]
    assert "RuntimeError: out of memory" in records["t2"].reason
    assert sorted(model.made) == sorted(t.id for t in suite.tasks), "what waited behind a failure was made twice"


def test_trouble_of_the_servers_machine_is_nobodys_score(tmp_path):
    """A full disk over there stops the run as one here would; mended, the same request is done."""
    suite = toy_suite(tmp_path / "toy", tasks=3)
    model = Noise({"t1": OSError("no space left")})
    with serving(model) as (address, _):
        with pytest.raises(UserError, match="'t1': no space left"):
            generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
        assert [r.task for r in records_of(tmp_path / "out").values()] == ["t0"]
        model.faults.clear()
        summary = generate.run(plan_of(suite), lambda: connected(address), out=tmp_path / "out")
    assert summary.done == 2 and not summary.failed


def test_a_state_never_leaves_this_machine(tmp_path):
    """A served model can't look at what only controls may see."""
    task = suites.limited(suites.load("metaworld-behavior-v1"), 1)[0]
    assert task.state and str(task.state["seed"]) not in wire.request(task, seed=0, version="v").model_dump_json(
        exclude={"first_frame", "request_id", "task"}
    )


def test_a_video_crosses_without_loss():
    """Every byte arrives, whatever the frames are."""
    frames = np.random.default_rng(0).integers(0, 255, (5, 7, 9, 3), dtype=np.uint8)
    data, said = wire.pack(frames), wire.hashlib.sha256(frames.tobytes()).hexdigest()
    assert np.array_equal(wire.unpack(data, frames.shape, said), frames)
    assert len(data) <= wire.packed_bound(frames.shape)
    for wrong in (data[:-9], b"no zlib", wire.pack(frames[:-1]), wire.pack(np.zeros((10**4, 99), np.uint8))):
        with pytest.raises(ValueError, match="frames"):
            wire.unpack(wrong, frames.shape, said)


# One request, one video


def posted(address, request):
    return httpx2.post(f"{address}/v1/videos", content=request.model_dump_json())


def test_the_same_request_twice_is_one_generation(tmp_path):
    """An answer lost on its way costs nothing; the same id with other words is refused."""
    task = toy_suite(tmp_path / "toy").tasks[0]
    model = Noise()
    with serving(model) as (address, server):
        request = wire.request(task, seed=3, version=server.desk.version)
        for _ in range(3):
            assert posted(address, request).status_code == 202
            assert httpx2.get(f"{address}/v1/videos/{request.request_id}?wait=5").json()["state"] == "done"
        assert model.made == ["t0"]
        other = request.model_copy(update={"seed": 4})
        assert posted(address, other).status_code == 409
        assert wire.request(task, seed=4, version=server.desk.version).request_id != request.request_id


def test_a_full_queue_says_when_to_come_back(tmp_path):
    """429 with Retry-After; what was accepted is done, and a client that waits gets all its videos in order."""
    suite, gate = toy_suite(tmp_path / "toy"), threading.Event()
    with serving(Noise(wait=gate), queue=2) as (address, server):
        codes = [posted(address, wire.request(t, seed=0, version=server.desk.version)) for t in suite.tasks[:3]]
        assert [c.status_code for c in codes] == [202, 202, 429] and int(codes[2].headers["Retry-After"]) >= 1
        gate.set()
        videos = list(connected(address).generate(suite.tasks, seed=0))
    expected = list(Noise().generate(suite.tasks, seed=0))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(videos, expected, strict=True))


def test_many_callers_at_once_get_their_own(tmp_path):
    """Four callers on a queue of two: every video goes to who asked, none is made twice."""
    suite, model, got = toy_suite(tmp_path / "toy", tasks=4), Noise(), {}
    with serving(model, queue=2) as (address, _):

        def call(seed):
            got[seed] = [v.frames for v in connected(address).generate(suite.tasks, seed=seed)]

        callers = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
    for seed in range(4):
        expected = [v.frames for v in Noise().generate(suite.tasks, seed=seed)]
        assert all(np.array_equal(a, b) for a, b in zip(got[seed], expected, strict=True))
    assert len(model.made) == 16


def test_finished_videos_make_room_and_are_made_again(tmp_path, monkeypatch):
    """A server's memory is bounded; a caller who comes late only waits again."""
    monkeypatch.setattr("dreamgen_bench.serve.KEPT", 1)
    suite = toy_suite(tmp_path / "toy", tasks=3)
    with serving(Noise()) as (address, server):
        assert len(list(connected(address).generate(suite.tasks, seed=0))) == 3
        assert len(server.desk._jobs) == 1


def test_a_server_that_was_restarted_is_asked_again(tmp_path):
    """It knows nothing of what it was asked; the run does not even notice."""
    suite = toy_suite(tmp_path / "toy", tasks=4)
    with serving(Noise()) as (address, server):
        videos = connected(address).generate(suite.tasks, seed=0)
        got = [next(videos)]
        while server.desk.made < 4:
            time.sleep(0.01)
        server.desk._jobs.clear()
        got += list(videos)
    expected = Noise().generate(suite.tasks, seed=0)
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(got, expected, strict=True))


def test_a_request_is_checked_before_it_costs_anything(tmp_path):
    """Unknown keys, no picture, too many frames, no length, another path: refused in words."""
    task = toy_suite(tmp_path / "toy").tasks[0]
    model = Noise()
    with serving(model) as (address, server):
        good = wire.request(task, seed=0, version=server.desk.version).model_dump()
        bad = {
            400: [good | {"sead": 1}, good | {"first_frame": "AAAA"}, good | {"num_frames": 0}, good | {"seed": -1}],
            409: [good | {"version": "noise@0"}],
        }
        for code, requests in bad.items():
            for request in requests:
                answer = httpx2.post(f"{address}/v1/videos", json=request)
                assert answer.status_code == code and answer.json()["error"]
        huge = Image.new("RGB", (4000, 2000))
        huge.save(tmp_path / "huge.png")
        large = good | {"first_frame": wire.base64.b64encode((tmp_path / "huge.png").read_bytes()).decode()}
        assert httpx2.post(f"{address}/v1/videos", json=large | {"num_frames": 100}).status_code == 413
        assert httpx2.get(f"{address}/v1/videos/neverasked").status_code == 404
        assert httpx2.get(f"{address}/etc/passwd").status_code == 404
        line = http.client.HTTPConnection(address.removeprefix("http://"))
        line.putrequest("POST", "/v1/videos")
        line.putheader("Content-Length", str(2**40))
        line.endheaders()
        assert line.getresponse().status == 413
        assert model.made == []


def test_a_desk_refuses_frames_that_are_not_there_yet(tmp_path):
    """Frames come after done."""
    desk = Desk("v", queue=1)
    request = wire.request(toy_suite(tmp_path / "toy").tasks[0], seed=0, version="v")
    assert desk.submit(request).state == "pending"
    with pytest.raises(RefusalError, match="pending"):
        desk.frames(request.request_id)


# Servers that are gone, slow, or mad


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


# Real processes


@contextlib.contextmanager
def process(model, port=0, *more):
    """`dreamgen-bench serve` as a user starts it; yields the process and the name to call it by."""
    command = [sys.executable, "-m", "dreamgen_bench", "serve", model, "--port", str(port), *more]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    environment["OMP_NUM_THREADS"] = "1"
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        said = []
        for line in server.stdout:  # libraries may have something to say before
            said.append(line)
            if found := re.search(r"--models (\S+)", line):
                break
        else:
            raise AssertionError("".join(said))
        yield server, found[1]
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()


def test_a_killed_server_and_a_resumed_run_leave_the_loaded_models_records(tmp_path):
    """SIGKILL in the middle of a request: no record is the model's zero, and going on ends with the same bytes."""
    suite = suites.load("metaworld-behavior-v1")
    some = suites.limited(suite, 12)
    static = registry.find("world_models", "static")
    plan = generate.plan(suite, some, static, [0])
    generate.run(plan, lambda: registry.load(static), out=tmp_path / "local")
    with process("static", 0) as (server, name):
        port = int(name.rsplit(":", 1)[1])
        spec = registry.find("world_models", name)
        model = connected(spec.address)

        class Killer:
            def generate(self, tasks, *, seed):
                for number, video in enumerate(model.generate(tasks, seed=seed)):
                    if number == 5:
                        server.send_signal(signal.SIGSTOP)  # the next request is under way when it dies
                        threading.Timer(0.3, server.kill).start()
                    yield video

        served = generate.plan(suite, some, spec, [0])
        with pytest.raises(ConnectionError, match="Nothing is lost"):
            generate.run(served, Killer, out=tmp_path / "out")
        assert {r.status for r in records_of(tmp_path / "out").values()} == {"ok"}
        assert 6 <= len(records_of(tmp_path / "out")) < 12
    with process("static", port) as (_, again):
        assert again == name
        generate.run(served, lambda: registry.load(spec), out=tmp_path / "out")
    local, out = records_of(tmp_path / "local"), records_of(tmp_path / "out")
    assert {k: r.sha256 for k, r in local.items()} == {k: r.sha256 for k, r in out.items()} and len(out) == 12


def test_a_port_in_use_is_the_users_mistake():
    """Found before the model is loaded."""
    with pretending(lambda m, p, b: (200, b"", {})) as address:
        with pytest.raises(AssertionError, match="choose another --port"), process("static", address.rsplit(":")[-1]):
            pass


DREAMED = """
import hashlib, sys
from dreamgen_bench import generate, registry, suites
suite = suites.load("metaworld-behavior-v1")
tasks = suites.limited(suite, 3)
spec = registry.find("world_models", sys.argv[1])
videos = registry.load(spec).generate(tasks, seed=0)
for key, video in zip(generate.plan(suite, tasks, spec, [0]).owed, videos, strict=True):
    print(key, video.fps, hashlib.sha256(video.frames.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_wan_s_served_gives_the_bytes_of_wan_s_loaded():
    """With weights and noise: the same keys, the same rate, every byte of the frames. (An mp4 of them may differ.)"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    said = []
    with process("wan-s") as (_, name):
        for model in ("wan-s", name):
            command = [sys.executable, "-c", DREAMED, model]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)
    assert said[0] == said[1] and len(said[0].splitlines()) == 3
