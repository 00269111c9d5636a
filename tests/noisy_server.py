"""A small world model served, servers that only pretend, and what tests ask of them."""

import contextlib
import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import numpy as np

from dreamgen_bench import generate, wire
from dreamgen_bench.serve import Server
from dreamgen_bench.serve import run as serve_until_interrupted
from dreamgen_bench.store import RecordFile
from dreamgen_bench.testing import Held
from dreamgen_bench.types import Spec, Video, VideoRecord
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


def posted(address, request):
    return httpx2.post(f"{address}/v1/videos", content=request.model_dump_json())


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
