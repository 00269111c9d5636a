"""Any scorer that gives P(yes) about a video, behind the HTTP contract that our `openai-compatible` judges speak.

    python serve.py videophy:load --checkpoint ~/videocon_physics --checkout ~/videophy --port 8200

`videophy:load` names a function in a module on sys.path (this folder is): it is given the options that this command
does not know, and returns score(frames uint8 [N, H, W, 3], prompt) -> P(yes). Needs numpy and Pillow only, so that it
runs in the scorer's own environment, however old.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import io
import json
import math
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Score = Callable[[np.ndarray, str], float]
YES, NO = "1", "0"
MAX_BYTES = 512 * 2**20


def question(body: dict[str, Any]) -> tuple[np.ndarray, str]:
    """Frames uint8 [N, H, W, 3] and prompt of a chat request."""
    parts = body["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    pictures = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB") for url in urls]
    words = " ".join(part["text"] for part in parts if part["type"] == "text")
    return np.stack([np.asarray(picture) for picture in pictures]), words


def completion(chance: float, model: str) -> dict[str, Any]:
    """P(yes) as a chat completion: the likelier answer, with the log-probabilities of both."""
    if not 0 <= chance <= 1:  # not-a-number, too
        raise ValueError(f"the scorer gave {chance}, which is no probability")
    tops = [{"token": token, "logprob": math.log(max(p, 1e-12))} for token, p in ((YES, chance), (NO, 1 - chance))]
    said = max(tops, key=lambda top: top["logprob"])
    return {
        "id": "score",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": said["token"]},
                "logprobs": {"content": [said | {"top_logprobs": tops}]},
            }
        ],
    }


def handler(score: Score) -> type[BaseHTTPRequestHandler]:
    """Answers requests with a scorer, one at a time."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", 0))
            if size > MAX_BYTES:
                return self._send(413, {"error": {"message": f"more than {MAX_BYTES} bytes"}})
            raw = self.rfile.read(size)
            try:
                body = json.loads(raw)
                frames, prompt = question(body)
            except Exception as error:
                return self._send(400, {"error": {"message": f"{type(error).__name__}: {error}"}})
            try:
                with turn:
                    chance = float(score(frames, prompt))
                self._send(200, completion(chance, str(body.get("model"))))
            except Exception as error:  # the judge records it, and asks again
                self._send(500, {"error": {"message": f"{type(error).__name__}: {error}"}})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scorer", help="module:function")
    parser.add_argument("--port", type=int, default=8200)
    arguments, rest = parser.parse_known_args()
    if len(rest) % 2 or any(not name.startswith("--") for name in rest[::2]):
        parser.error(f"the scorer's options come as --name value, not {' '.join(rest)}")
    options = {name[2:].replace("-", "_"): value for name, value in zip(rest[::2], rest[1::2], strict=True)}
    sys.path.insert(0, str(Path(__file__).parent))
    module, _, function = arguments.scorer.partition(":")
    score = getattr(importlib.import_module(module), function)(**options)
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), handler(score))
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
