"""A world model that is served elsewhere (dreamgen-bench serve), called NAME@http://HOST:PORT.

What is served keeps its name, revision and arguments, so its videos have the keys that they have where it is loaded:
where a model runs is no part of what it is. A server is hostile until proven sound: sizes, shapes, digests and times
are bounded, nothing is unpickled, no redirect is followed.

The model's own failure on a task is the model's. A server that is gone, slow, or talks nonsense is nobody's score: an
OSError stops the run, and the same command goes on from there.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from .. import wire
from ..types import Spec, Task, UserError, Video

if TYPE_CHECKING:
    import httpx2

PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between tries: a server that was restarted meanwhile is not noticed."""
IN_FLIGHT = 16
"""Requests that wait at the server at most, so that it is never idle and nobody else is kept out."""
ADDRESS = r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w./~-]*)?"
"""No user and no password: addresses are written to run.json."""
WAIT = 2.0
"""Seconds that a server may hold a question for an answer. Short, so that Ctrl-C is."""
SLOWEST = 2**16
"""Bytes a second below which an answer counts as none."""

T = TypeVar("T")


class ServedModelError(Exception):
    """The served model's own failure on a task, as it said it."""


class _NonsenseError(Exception):
    """An answer that is none; asked again, like one that never came."""


class _StatusError(Exception):
    """An HTTP status that is no success."""

    def __init__(self, code: int, reason: str, retry_after: float):
        super().__init__(f"HTTP {code}{': ' if reason else ''}{reason}")
        self.code, self.retry_after = code, retry_after


class Connection:
    """An open line to one server: asks, waits, tries again, and bounds what it is told."""

    def __init__(self, address: str, *, pauses: Sequence[float] = PAUSES, timeout: float = 30.0):
        import httpx2

        self.address, self._pauses, self._timeout = address.rstrip("/"), tuple(pauses), timeout
        # Not compressed: a small answer must not unfold into a large one.
        headers = {"Accept-Encoding": "identity", "User-Agent": "dreamgen-bench"}
        limits = httpx2.Timeout(timeout, connect=min(5.0, timeout))
        self._client = httpx2.Client(base_url=self.address, headers=headers, timeout=limits, follow_redirects=False)

    def ask(self, method: str, path: str, read: Callable[[bytes], T], *, body: str = "", limit: int = 0) -> T:
        """What `read` makes of the answer. Raises _StatusError for 4xx, ConnectionError once all tries have failed."""
        import httpx2

        for pause in (*self._pauses, None):
            try:
                return read(self._once(method, path, body, limit or wire.MAX_ANSWER))
            except _StatusError as status:
                if status.code < 500:
                    raise
                trouble: Exception = status
            except (httpx2.RequestError, httpx2.InvalidURL, _NonsenseError, ValueError) as error:
                trouble = error
            if pause is not None:
                time.sleep(pause)
        raise ConnectionError(
            f"{self.address} does not answer ({type(trouble).__name__.strip('_')}: {_line(str(trouble))}); "
            f"tried {len(self._pauses) + 1} times. Nothing is lost: start it again and run the same command"
        )

    def _once(self, method: str, path: str, body: str, limit: int) -> bytes:
        late = time.monotonic() + self._timeout + limit / SLOWEST
        content = body.encode() or None
        with self._client.stream(method, path, content=content, headers={"Content-Type": "application/json"}) as answer:
            data = bytearray()
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > limit:
                    raise _NonsenseError(f"an answer of more than {limit} bytes")
                if time.monotonic() > late:
                    raise _NonsenseError(f"an answer slower than {SLOWEST // 1024} KiB/s")
            if not 200 <= answer.status_code < 300:
                raise _StatusError(answer.status_code, _reason(bytes(data)), _seconds(answer))
            return bytes(data)

    def served(self) -> wire.Served:
        """What the server says that it serves."""
        return self.ask("GET", "/v1/model", wire.Served.model_validate_json)


def _reason(data: bytes) -> str:
    try:
        return _line(str(TypeAdapter(dict[str, Any]).validate_json(data).get("error", "")))
    except ValidationError:
        return ""


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def _seconds(answer: httpx2.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), 60.0) if re.fullmatch(r"\d{1,6}", said) else 1.0


def served(name: str, address: str) -> Spec:
    """The Spec of what is served. Raises UserError with the cure where nothing or something else is."""
    if not re.fullmatch(ADDRESS, address):
        raise UserError(f"{address!r} is no address of a served model: write NAME@http://HOST:PORT, without a password")
    spec = _spec(_introduced(Connection(address, pauses=PAUSES[:2])), address)
    if spec.name != name:
        raise UserError(f"{address} serves {spec.name!r}, not {name!r}: write {spec.name}@{address}")
    return spec


def _introduced(connection: Connection) -> wire.Served:
    try:
        return connection.served()
    except (ConnectionError, _StatusError) as error:
        raise UserError(
            f"no world model answers at {connection.address}: start it there with "
            f"`dreamgen-bench serve NAME --host HOST --port PORT`, and wait until it says that it serves ({error})"
        ) from error


def _spec(said: wire.Served, address: str) -> Spec:
    known = {field.name for field in fields(Spec)} - {"load", "fit", "needs", "address"}
    facts = {key: value for key, value in said.spec.items() if key in known}
    try:
        load = "dreamgen_bench.world_models.remote:connect"
        spec = TypeAdapter(Spec).validate_python(facts | {"load": load, "address": address})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{address} tells nonsense of its model: {first['loc']}: {_line(first['msg'])}") from error
    if not re.fullmatch(wire.NAME, spec.name) or not re.fullmatch(wire.NAME, spec.revision):
        raise UserError(f"{address} tells nonsense of its model: {_line(spec.id)!r} is no name and revision")
    return spec


def connect(spec: Spec) -> RemoteWorldModel:
    """The model behind a Spec with an address. Raises UserError where it is not there, or not the same any more."""
    connection = Connection(spec.address)
    said = _introduced(connection)
    now = _spec(said, spec.address)
    if (now.id, dict(now.args)) != (spec.id, dict(spec.args)):
        raise UserError(_changed(spec.address, now=now.id, before=spec.id))
    return RemoteWorldModel(connection, said)


def _changed(address: str, *, now: str, before: str) -> str:
    return (
        f"{address} now serves {now}, and these records are of {before} with other arguments or revision: serve that "
        f"one again, or begin a new run folder"
    )


class RemoteWorldModel:
    """A connection to one version of one served model."""

    def __init__(self, connection: Connection, served: wire.Served):
        self._connection, self._served = connection, served

    def generate(self, tasks: Sequence[Task], *, seed: int) -> Iterator[Video]:
        """One video per task, in order, while later ones are made or wait at the server."""
        todo, asked = deque(tasks), deque[tuple[Task, wire.Request]]()
        while todo or asked:
            while todo and len(asked) < min(self._served.queue, IN_FLIGHT):
                try:
                    request = self._request(todo[0], seed)
                    self._submit(request, patient=not asked)
                except (UserError, OSError, _BusyError):
                    if not asked:
                        raise
                    break  # in its turn: the videos before it are whole
                asked.append((todo.popleft(), request))
            yield self._video(*asked.popleft())

    def _request(self, task: Task, seed: int) -> wire.Request:
        try:
            return wire.request(task, seed=seed, version=self._served.version)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"task {task.id!r} can't be sent: {first['loc']}: {first['msg']}") from error

    def _submit(self, request: wire.Request, *, patient: bool) -> wire.Answer:
        late = time.monotonic() + self._served.timeout * self._served.queue
        read, body = partial(self._answer, request), request.model_dump_json()
        while True:
            try:
                return self._connection.ask("POST", "/v1/videos", read, body=body)
            except _StatusError as status:
                if status.code != 429:
                    raise self._refusal(status) from status
                if not patient:
                    raise _BusyError from status
                if time.monotonic() > late:
                    raise self._too_late("has no room in its queue") from status
                time.sleep(status.retry_after)

    def _answer(self, request: wire.Request, data: bytes) -> wire.Answer:
        answer = wire.Answer.model_validate_json(data)
        if answer.version != self._served.version:
            raise self._changed(_line(answer.version))
        if answer.request_id != request.request_id:
            raise _NonsenseError("the answer to another request")
        return answer

    def _video(self, task: Task, request: wire.Request) -> Video:
        for _ in range(4):  # a server that was restarted, or had to make room, knows nothing of it, and is asked anew
            answer = self._outcome(request)
            if answer is None:
                continue
            if answer.state == "refused":
                raise UserError(f"{self._address} could not do task {task.id!r}: {_line(answer.reason)}")
            if answer.state == "failed":
                raise ServedModelError(_line(answer.reason))
            frames = self._frames(request, answer, _expected(task))
            if frames is not None:
                return Video(frames=frames, fps=answer.fps or task.fps)
        raise ConnectionError(f"{self._address} forgets what it is asked (request {request.request_id})")

    def _outcome(self, request: wire.Request) -> wire.Answer | None:
        """The answer that is not pending; None where the server has forgotten, and was asked again."""
        path, read = f"/v1/videos/{request.request_id}?wait={WAIT:g}", partial(self._answer, request)
        pause, ahead, since = 0.02, -1, time.monotonic()
        while True:
            asked = time.monotonic()
            try:
                answer = self._connection.ask("GET", path, read)
            except _StatusError as status:
                if status.code != 404:
                    raise self._refusal(status) from status
                self._submit(request, patient=True)
                return None
            if answer.state != "pending":
                return answer
            if answer.ahead != ahead:
                ahead, since = answer.ahead, asked
            if time.monotonic() - since > self._served.timeout:
                raise self._too_late("makes no progress")
            if time.monotonic() - asked < WAIT / 2:  # a server that does not hold the question is not hammered
                time.sleep(pause)
                pause = min(2 * pause, WAIT)

    def _frames(self, request: wire.Request, answer: wire.Answer, expected: tuple[int, ...]) -> np.ndarray | None:
        """None where the server has made room meanwhile."""
        if answer.shape != expected:
            raise ServedModelError(f"frames are {answer.shape}, where the task asks for {expected}")
        read = partial(wire.unpack, shape=expected, sha256=answer.sha256)
        path = f"/v1/videos/{request.request_id}/frames"
        try:
            return self._connection.ask("GET", path, read, limit=wire.packed_bound(expected))
        except _StatusError as status:
            if status.code == 404:
                return None
            raise self._refusal(status) from status

    @property
    def _address(self) -> str:
        return self._connection.address

    def _refusal(self, status: _StatusError) -> UserError:
        if status.code == 409:
            return self._changed(f"another ({status})")
        return UserError(f"{self._address} refuses: {status}")

    def _changed(self, now: str) -> UserError:
        return UserError(_changed(self._address, now=now, before=self._served.version))

    def _too_late(self, what: str) -> TimeoutError:
        return TimeoutError(
            f"{self._address} {what} in {self._served.timeout:g} s. Nothing is lost: mend it, or serve with a longer "
            f"--timeout, and run the same command"
        )


class _BusyError(Exception):
    """The queue is full, and there is something else to wait for."""


def _expected(task: Task) -> tuple[int, int, int, int]:
    with Image.open(task.first_frame) as picture:
        return task.num_frames, picture.height, picture.width, 3
