"""A served world model: the same records as where it is loaded."""

import http.client
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest
from noisy_server import SPEC, Noise, connected, plan_of, posted, pretending, process, records_of, serving
from PIL import Image

from dreamgen_bench import generate, registry, suites, wire
from dreamgen_bench.serve import Desk, RefusalError
from dreamgen_bench.testing import check_world_model, toy_suite
from dreamgen_bench.types import UserError

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
