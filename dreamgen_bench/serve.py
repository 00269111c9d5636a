"""A world model behind HTTP, for callers in another environment or on another machine. The contract is wire.py's.

One thread, the caller's, holds the model and makes one video after another; the others talk. Nothing is kept on disk:
a server that is killed loses nothing that its callers will not ask for again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import math
import re
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from tempfile import TemporaryDirectory
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from pydantic import ValidationError

from . import wire
from .generate import broken_contract, dream
from .store import digest
from .types import Spec, Task, UserError, Video, WorldModel
from .video import MAX_PIXELS

KEPT = 2**29
"""Bytes of finished videos that are kept for callers who have not fetched them, or lost the answer on its way."""
LONGEST_WAIT = 10.0


class RefusalError(Exception):
    """What a caller is told instead of an answer."""

    def __init__(self, code: int, reason: str, **headers: str):
        super().__init__(reason)
        self.code, self.headers = code, headers


@dataclass
class Job:
    """A request and what became of it."""

    request: wire.Request
    state: Literal["pending", "done", "failed", "refused"] = "pending"
    reason: str = ""
    shape: tuple[int, int, int, int] | None = None
    fps: float = 0.0
    sha256: str = ""
    packed: bytes = b""

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.packed) + len(self.request.first_frame) + 1024


class Desk:
    """The requests of one served model: a bounded queue, and finished ones for as long as there is room."""

    def __init__(self, version: str, *, queue: int):
        self.version, self._queue = version, queue
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changed = threading.Condition()
        self._pace = 1.0  # seconds of the last video
        self.made = 0

    def submit(self, request: wire.Request) -> wire.Answer:
        """Accept a request, or find it accepted. Raises RefusalError: another version, another request, no room."""
        with self._changed:
            if request.version != self.version:
                raise RefusalError(409, f"{self.version} is served here, not {request.version}")
            job = self._jobs.get(request.request_id)
            if job and job.request != request:
                raise RefusalError(409, "this request id was given to another request")
            if not job or job.state == "refused":  # what was refused may have been mended since
                if len(self._pending()) >= self._queue:
                    raise RefusalError(429, "the queue is full", **{"Retry-After": str(math.ceil(min(self._pace, 60)))})
                self._jobs[request.request_id] = Job(request)
                self._jobs.move_to_end(request.request_id)
                self._changed.notify_all()
            return self._answer(request.request_id)

    def answer(self, request_id: str, wait: float) -> wire.Answer:
        """What became of a request, at once if it is finished, or else after `wait` seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._known(request_id).state != "pending", min(wait, LONGEST_WAIT))
            return self._answer(request_id)

    def frames(self, request_id: str) -> bytes:
        """The packed frames of a finished video."""
        with self._changed:
            job = self._known(request_id)
            if job.state != "done":
                raise RefusalError(409, f"this video is {job.state}")
            self._jobs.move_to_end(request_id)
            return job.packed

    def next(self) -> Job:
        """The request that has waited longest; waits for one."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._pending()))
            return self._pending()[0]

    def finish(self, job: Job, outcome: Job, seconds: float) -> None:
        """Tell whoever waits; make room where finished videos take too much."""
        with self._changed:
            self._jobs[job.request.request_id] = outcome
            self._jobs.move_to_end(job.request.request_id)
            self._pace, self.made = seconds, self.made + 1
            finished = [key for key, other in self._jobs.items() if other.state != "pending"]
            kept = sum(self._jobs[key].size for key in finished)
            for key in finished[:-1]:
                if kept <= KEPT:
                    break
                kept -= self._jobs.pop(key).size
            self._changed.notify_all()

    def _pending(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state == "pending"]

    def _known(self, request_id: str) -> Job:
        if request_id not in self._jobs:
            raise RefusalError(404, "no such request (any more): submit it again")
        return self._jobs[request_id]

    def _answer(self, request_id: str) -> wire.Answer:
        job = self._known(request_id)
        ahead = self._pending().index(job) if job.state == "pending" else 0
        return wire.Answer(
            request_id=request_id,
            version=self.version,
            state=job.state,
            ahead=ahead,
            reason=job.reason,
            shape=job.shape,
            fps=job.fps,
            sha256=job.sha256,
        )


def run(spec: Spec, model: WorldModel, server: Server, *, tell: Callable[[str], None]) -> NoReturn:
    """Make what is asked for, until interrupted; `tell` gets a line per video."""
    server.server_activate()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with TemporaryDirectory(prefix="dreamgen-bench-serve-") as folder:
        while True:
            job = server.desk.next()
            started = time.perf_counter()
            outcome = _made(model, job.request, Path(folder))
            seconds = time.perf_counter() - started
            server.desk.finish(job, outcome, seconds)
            request = job.request
            said = outcome.state + (f" ({outcome.reason})" if outcome.reason else "")
            tell(f"{request.suite} {request.task} seed {request.seed}: {said}, {seconds:.2f} s")


def _made(model: WorldModel, request: wire.Request, folder: Path) -> Job:
    task = _task(request, folder)
    try:
        made = [video for _, video, _ in dream(model, [(request.request_id, task)], request.seed)][0]
        reason = made if isinstance(made, str) else broken_contract(made, task)
    except (UserError, OSError) as error:
        return Job(request, state="refused", reason=" ".join(str(error).split())[:300])
    finally:
        task.first_frame.unlink(missing_ok=True)
    if reason:
        return Job(request, state="failed", reason=reason)
    assert isinstance(made, Video)
    count, height, width, _ = made.frames.shape
    return Job(
        request,
        state="done",
        shape=(count, height, width, 3),
        fps=made.fps,
        sha256=hashlib.sha256(made.frames.tobytes()).hexdigest(),
        packed=wire.pack(made.frames),
    )


def _task(request: wire.Request, folder: Path) -> Task:
    data = base64.b64decode(request.first_frame)
    path = folder / f"{request.request_id}.png"
    path.write_bytes(data)
    return Task(
        id=request.task,
        suite=request.suite,
        instruction=request.instruction,
        first_frame=path,
        num_frames=request.num_frames,
        fps=request.fps,
    )


def _checked(body: bytes) -> wire.Request:
    """A request that can be done. Raises RefusalError for anything else, before it costs anything."""
    try:
        request = wire.Request.model_validate_json(body)
        data = base64.b64decode(request.first_frame, validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise RefusalError(413, f"the first frame is {width}x{height}: larger than we read")
            picture.verify()
    except ValidationError as error:
        first = error.errors()[0]
        raise RefusalError(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (binascii.Error, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RefusalError(400, f"first_frame: no PNG or JPEG in base64 ({error})") from error
    if width * height * 3 * request.num_frames > wire.MAX_FRAMES_BYTES:
        raise RefusalError(413, f"{request.num_frames} frames of {width}x{height} are more than we send")
    return request


class Server(ThreadingHTTPServer):
    """Has its port from the moment it is made, and answers from `run` on: no caller waits while a model is loaded."""

    daemon_threads = True

    def __init__(self, spec: Spec, address: tuple[str, int], *, queue: int = 16, timeout: float = 3600.0):
        args = json.loads(json.dumps(dict(spec.args), default=str))
        version = f"{spec.id}+{digest(args)[:12]}"
        facts = {k: v for k, v in asdict(spec).items() if k not in ("load", "fit", "needs", "address")}
        facts["args"] = args
        self.desk = Desk(version, queue=queue)
        self.served = wire.Served(contract=1, version=version, spec=facts, queue=queue, timeout=timeout)
        if not re.fullmatch(wire.NAME, spec.name):
            raise UserError(f"{spec.name!r} can't be served under that name: use letters, digits and ._/+-")
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler, bind_and_activate=False)
        try:
            TCPServer.server_bind(self)  # HTTPServer's would ask for our own name, and wait where there is no DNS
        except OSError:
            self.server_close()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who goes away is no trouble of ours; anything else is told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a small answer would wait 40 ms for its caller's acknowledgement
    timeout = 30  # of a caller who opens a connection and says nothing

    def do_GET(self) -> None:
        self._respond(self._got)

    def do_POST(self) -> None:
        self._respond(self._posted)

    def _got(self) -> tuple[int, bytes, str]:
        url = urlsplit(self.path)
        if url.path == "/v1/model":
            return 200, self.server.served.model_dump_json().encode(), "application/json"
        match url.path.split("/"):
            case ["", "v1", "videos", request_id]:
                wait = parse_qs(url.query).get("wait", ["0"])[0]
                seconds = float(wait) if re.fullmatch(r"\d{1,4}(\.\d{1,6})?", wait) else 0.0
                return 200, self.server.desk.answer(request_id, seconds).model_dump_json().encode(), "application/json"
            case ["", "v1", "videos", request_id, "frames"]:
                return 200, self.server.desk.frames(request_id), "application/octet-stream"
        raise RefusalError(404, "there are /v1/model, /v1/videos and /v1/videos/ID")

    def _posted(self) -> tuple[int, bytes, str]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > wire.MAX_REQUEST:
            self.close_connection = True  # the body is left unread
            raise RefusalError(413 if length.isdigit() else 411, f"a request is at most {wire.MAX_REQUEST} bytes long")
        body = self.rfile.read(int(length))
        if urlsplit(self.path).path != "/v1/videos":
            raise RefusalError(404, "videos are asked for at /v1/videos")
        return 202, self.server.desk.submit(_checked(body)).model_dump_json().encode(), "application/json"

    def _respond(self, decide: Callable[[], tuple[int, bytes, str]]) -> None:
        extra: dict[str, str] = {}
        try:
            code, body, kind = decide()
        except RefusalError as refused:
            code, extra, kind = refused.code, refused.headers, "application/json"
            body = json.dumps({"error": str(refused)[:300]}).encode()
        self.send_response(code)
        for key, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | extra).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line per video is told by `run`."""
