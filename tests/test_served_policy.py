"""Policies over a websocket: ours served and asked again, and servers that die, lie, or say nothing."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from test_evaluate import SUITE, make
from test_policies import observation, toy
from typer.testing import CliRunner

from dreamgen_bench import downstream, evaluate, loop, registry, serve_policy
from dreamgen_bench.cli import app
from dreamgen_bench.policies.exchange import LARGEST, PacketError, pack, unpack
from dreamgen_bench.policies.websocket import PolicyError, WebsocketPolicy
from dreamgen_bench.store import RecordFile, write_json
from dreamgen_bench.types import EpisodeRecord, UserError

SERVER = Path(__file__).with_name("policy_server.py")


@contextmanager
def outside(way, port=0):
    """A server in a process of its own; gives the process and its port."""
    process = subprocess.Popen([sys.executable, SERVER, str(port), way], stdout=subprocess.PIPE, text=True)
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def tried(out, address, *, per=2, patience=20.0, answering=5.0):
    spec = registry.find("policies", address)
    load = lambda: WebsocketPolicy(address, patience=patience, answering=answering)  # noqa: E731
    summary = evaluate.run("m", (spec, "k", load), evaluate.starts(SUITE, per), make, out=out)
    return summary, list(RecordFile(out / "episodes.jsonl", EpisodeRecord).read().values())


def test_arrays_and_words_cross_and_nothing_else_does():
    """The bytes are openpi's; an object array, a wrong size and what is no message are refused."""
    message = {"actions": np.arange(8, dtype=np.float32).reshape(2, 4), "n": np.int64(3), "prompt": "open é"}
    found = unpack(pack(message))
    np.testing.assert_array_equal(found["actions"], message["actions"])
    assert found["n"] == 3 and found["prompt"] == "open é"
    with pytest.raises(TypeError):
        pack({"x": np.array([object()])})
    with pytest.raises(PacketError, match="more than we read"):
        unpack(bytes(LARGEST + 1))
    ours = pack({"a": np.zeros(2, np.float32)})
    for bad in (b"", b"\xc1", ours[:-1], ours.replace(b"<f4", b"|O8"), pack({"a": 1})[1:], b"\x91\x01"):
        with pytest.raises(PacketError):
            unpack(bad)
    lying = pack({"a": np.zeros(2, np.float32)}).replace(b"shape\x91\x02", b"shape\x91\x7f")
    with pytest.raises(PacketError, match="8 bytes"):
        unpack(lying)


def test_our_own_policy_answers_the_same_over_the_wire(tmp_path):
    """Every connection has a policy of its own, wound back and seeded as in this process."""
    spec = registry.find("policies", "diffusion")
    folder = registry.fitter(spec)(toy(2), seed=0, out=tmp_path / "policies" / "abc", steps=2)
    facts = {"schema": 1, "key": "abc", "name": "wan-s", "policy": spec.id, "seed": 0, "trajectories": 2}
    write_json(folder / "policy.json", facts)
    with serve_policy.server(folder, ("127.0.0.1", 0), tell=lambda line: None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        found = registry.find("policies", address)
        assert (found.name, found.revision, found.address) == ("diffusion", "1", address)
        assert found.args == {"checkpoint": "abc"}
        assert registry.find("policies", f"diffusion@{address}").id == "diffusion@1"
        with pytest.raises(UserError, match="serves 'diffusion', not 'act'"):
            registry.find("policies", f"act@{address}")
        near, far = registry.load(spec, checkpoint=folder), registry.load(found)
        for seed in (1, 2):
            for policy in (near, far):
                policy.reset()
                policy.seed(seed)
            for word in ("go left", "go right"):
                np.testing.assert_array_equal(near.act(observation(word)), far.act(observation(word)))
        with pytest.raises(PolicyError, match="image is uint8"):
            far.act(observation("go left") | {"image": np.zeros((4, 4), np.uint8)})
        far.reset()
        assert far.act(observation("go left")).shape == (3, 4)
        far.close()
        server.shutdown()


def test_a_server_that_dies_in_an_episode_costs_that_episode(tmp_path):
    """One is lost and counted as crashed; the others wait for it to be back, and are tried."""
    with outside("dies") as (process, port):
        back = []

        def again():
            process.wait()
            back.append(subprocess.Popen([sys.executable, SERVER, str(port), "nothing"], stdout=subprocess.DEVNULL))

        threading.Thread(target=again, daemon=True).start()
        try:
            summary, episodes = tried(tmp_path, f"ws://127.0.0.1:{port}")
        finally:
            for other in back:
                other.kill()
                other.wait()
    assert summary.failed["crashed"] == 1 and summary.done == 11 and summary.planned == 12
    lost = [number for number, e in enumerate(episodes) if e.success is None]
    assert lost == [6] and "PolicyError" in episodes[6].reason and str(port) in episodes[6].reason
    assert {e.policy for e in episodes} == {"act-outside@7:k"}


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("nan", "not finite"),
        ("shape", "[2, 3]"),
        ("text", "out of memory"),
        ("huge", "PolicyError"),
        ("garbage", "no message"),
        ("object", "no message"),
        ("silent", "TimeoutError"),
    ],
)
def test_nonsense_costs_its_episode_and_says_what_it_was(tmp_path, way, says):
    """Each of these would otherwise be a crash of the run, a hang, or a simulator full of NaN."""
    with outside(way) as (_, port):
        where = evaluate.starts(SUITE, 1)[:2]
        load = lambda: WebsocketPolicy(f"ws://127.0.0.1:{port}", patience=5, answering=0.5)  # noqa: E731
        spec = registry.find("policies", f"ws://127.0.0.1:{port}")
        evaluate.run("m", (spec, "k", load), where, make, out=tmp_path)
    episodes = list(RecordFile(tmp_path / "episodes.jsonl", EpisodeRecord).read().values())
    assert len(episodes) == 2 and all(e.success is None and says in e.reason for e in episodes)


def test_a_server_that_stays_away_stops_the_evaluation(tmp_path):
    """Its episodes are not failures, they were not tried: the same command goes on when it is back."""
    with outside("nothing") as (process, port):
        policy = WebsocketPolicy(f"ws://127.0.0.1:{port}", patience=0.5)
        process.kill()
        process.wait()
        with pytest.raises(PolicyError):
            policy.act(observation("go"))
        with pytest.raises(UserError, match="start its server"):
            policy.reset()


def test_another_policy_at_the_same_address_is_not_taken_for_it():
    """Two policies' episodes would be in one row."""
    with outside("dies") as (process, port):
        policy = WebsocketPolicy(f"ws://127.0.0.1:{port}")
        process.kill()
        process.wait()
        with outside("other", port), pytest.raises(UserError, match="now serves"):
            policy.close()
            policy.reset()


def test_a_server_must_say_what_it_serves_and_an_address_be_one(tmp_path):
    """Before anything is tried."""
    with outside("nameless") as (_, port), pytest.raises(UserError, match="needs 'name'"):
        registry.find("policies", f"ws://127.0.0.1:{port}")
    with pytest.raises(UserError, match="no address"):
        registry.find("policies", "ws://")
    with pytest.raises(UserError, match="start its server"):
        registry.find("policies", "ws://127.0.0.1:9")


def test_a_run_with_a_served_policy_trains_nothing_and_has_one_row(tmp_path):
    """It is of the one model whose trajectories it was trained on; its name and checkpoint are in its key."""
    with outside("nothing") as (_, port):
        address = f"ws://127.0.0.1:{port}"
        run = loop.Run(suites=("metaworld-behavior-v1",), models=("wan-s",), out=tmp_path, policy=address)
        loop.check(run)
        assert [(suite.name, name) for suite, name, _ in downstream.jobs(run)] == [("metaworld-policy-v1", "wan-s")]
        one = downstream.recipe(run, run.dreamed[0], "wan-s", 0)
        assert one.inputs == () and one.spec.id == "act-outside@7"
        two = loop.Run(suites=run.suites, models=("wan-s", "retrieval"), out=tmp_path, policy=address)
        with pytest.raises(UserError, match="one model"):
            loop.check(two)


def test_serving_what_is_no_policy_is_the_users_to_mend(tmp_path):
    """One line, and no traceback."""
    for text in (None, json.dumps({"policy": "nobody@1", "key": "k", "name": "m"})):
        if text:
            (tmp_path / "policy.json").write_text(text)
        done = CliRunner().invoke(app, ["serve-policy", str(tmp_path)])
        assert done.exit_code == 2
