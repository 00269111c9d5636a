"""A web server for this machine alone: files of one folder, and answers to what pages send."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .types import UserError

Post = Callable[[str, dict[str, Any]], dict[str, Any]]
"""(path, what was sent) -> what is answered. A UserError is answered with its words."""
LARGEST = 64 * 2**10
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
}


@contextmanager
def files(folder: Path, *, port: int, post: Post | None = None) -> Iterator[str]:
    """Serve a folder on the loopback interface, and give the page's address. UserError: the port is taken."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(folder.resolve(), post))
    except (OSError, OverflowError) as error:  # taken or forbidden, or beyond 65535
        raise UserError(f"port {port} can't be used ({error}): --port 0 takes a free one") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def wait() -> None:
    """Until the user says that it is enough: Ctrl-C, or a plain kill.

    The handlers are ours, since a shell's background jobs begin with Ctrl-C ignored and Python then leaves it so.
    """
    enough = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: enough.set())
    while not enough.wait(0.5):  # a wait without an end would keep the handler from running
        pass


def _handler(folder: Path, post: Post | None) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        root, answer = folder, staticmethod(post) if post else None

    return Handler


class _Handler(BaseHTTPRequestHandler):
    root: Path
    answer: Any
    protocol_version = "HTTP/1.1"

    def _own(self) -> bool:
        """Whether the page asked for is ours: a foreign site may point its name at this machine, or post to it."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        origin = self.headers.get("Origin")
        return host in ("127.0.0.1", "localhost") and origin in (None, f"http://{self.headers.get('Host')}")

    def do_GET(self) -> None:
        """A file, or a part of it: browsers seek in a video only where they may ask for parts."""
        path = self._asked() if self._own() else None
        if path is None:
            self._send(HTTPStatus.NOT_FOUND, b"not here\n", "text/plain")
            return
        data = path.read_bytes()
        span = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", self.headers.get("Range", ""))
        if span:
            start, end = int(span[1]), min(int(span[2] or len(data) - 1), len(data) - 1)
            if start > end:
                where = {"Content-Range": f"bytes */{len(data)}"}
                self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", "text/plain", where)
                return
            extra = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            self._send(HTTPStatus.PARTIAL_CONTENT, data[start : end + 1], KINDS[path.suffix], extra)
        else:
            self._send(HTTPStatus.OK, data, KINDS[path.suffix])

    def _asked(self) -> Path | None:
        """The file that the address names, if it is one of ours; a name may be too long, or no name at all."""
        name = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
        try:
            path = (self.root / name).resolve()
            return path if path.is_relative_to(self.root) and path.suffix in KINDS and path.is_file() else None
        except (OSError, ValueError, RuntimeError):
            return None

    def do_POST(self) -> None:
        """What a page sends, as JSON; anything else is refused."""
        length = self.headers.get("Content-Length", "")
        if not self._own() or self.answer is None or not length.isdigit() or int(length) > LARGEST:
            self.close_connection = True
            self._send(HTTPStatus.FORBIDDEN, b"not here\n", "text/plain")
            return
        try:
            value = json.loads(self.rfile.read(int(length)))
            if not isinstance(value, dict):
                raise UserError("send a JSON object")
            status, found = HTTPStatus.OK, self.answer(urlsplit(self.path).path, value)
        except (UserError, ValueError, RecursionError) as error:
            status, found = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        self._send(status, json.dumps(found).encode(), "application/json")

    def _send(self, status: HTTPStatus, data: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Accept-Ranges": "bytes"}
        headers |= {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} | (extra or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the command."""
