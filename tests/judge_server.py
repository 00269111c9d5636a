"""A chat server as bad as they come, as a process of its own. What it does stands in the prompt between [[ and ]].

    ok                answers 1, with logprobs       slow       after a second
    429 N, 500 N      refuses N times, then answers  drop N     closes the connection N times, then answers
    null, refuse      content is null / a refusal    garbage    HTML with status 200
    long, escape      megabytes / terminal escapes   401        echoes the key that it was sent
    half              one half of a surrogate pair   down       refuses always

GET /stats gives what it has seen; ?reset then forgets how many were inside at once. Run by tests/test_openai_judge.py;
prints its port.
"""

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN = {"requests": 0, "inside": 0, "most_inside": 0, "images": [], "prompts": [], "bodies": [], "served": 0}
TIMES: Counter = Counter()
LOCK = threading.Lock()
ANSWER = {"1": -0.105, " 1": -9.0, "0": -2.303, "yes": -12.0}


def completion(text, **message):
    tops = [{"token": token, "logprob": value} for token, value in ANSWER.items()]
    chosen = {"token": "1", "logprob": -0.105, "top_logprobs": tops}
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text} | message,
                     "logprobs": {"content": [{"token": "Answer", "logprob": -1, "top_logprobs": []}, chosen]}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 2, "total_tokens": 1002},
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        with LOCK:
            self._send(200, json.dumps(SEEN).encode())
            if self.path == "/stats?reset":
                SEEN["most_inside"] = 0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        parts = body["messages"][0]["content"]
        prompt = next(part["text"] for part in parts if part["type"] == "text")
        with LOCK:
            SEEN["requests"] += 1
            SEEN["inside"] += 1
            SEEN["most_inside"] = max(SEEN["most_inside"], SEEN["inside"])
            SEEN["images"].append([part["image_url"]["url"][:22] for part in parts if part["type"] == "image_url"])
            SEEN["prompts"].append(prompt)
            SEEN["bodies"].append({key: value for key, value in body.items() if key != "messages"})
            TIMES[prompt] += 1
            time_of_this = TIMES[prompt]
        try:
            self._behave(prompt, time_of_this)
        finally:
            with LOCK:
                SEEN["inside"] -= 1

    def _behave(self, prompt, number):
        what, _, count = re.search(r"\[\[(.*?)\]\]", prompt)[1].partition(" ")
        if what in ("429", "500", "drop") and number <= int(count):
            if what == "drop":
                self.close_connection = True
                self.connection.close()
                return
            self._send(int(what), b'{"error": {"message": "later"}}', {"Retry-After": "0.05"} if what == "429" else {})
            return
        if what == "slow":
            time.sleep(1)
        if what == "down":
            self._send(503, b"{}", {"Retry-After": "0.01"})
        elif what == "401":
            key = self.headers["authorization"].removeprefix("Bearer ")
            self._send(401, json.dumps({"error": {"message": f"Incorrect API key provided: {key}"}}).encode())
        elif what == "garbage":
            self._send(200, b"<html>\x1b[2J<h1>welcome to the hotel</h1>")
        else:
            self._send(200, json.dumps(self._said(what)).encode())

    def _said(self, what):
        with LOCK:
            SEEN["served"] += 1
        if what == "null":
            return completion(None)
        if what == "refuse":
            return completion(None, refusal="I can't help with that.") | {"usage": None}
        texts = {
            "long": "la " * 1_000_000 + "1",
            "escape": "\x1b[2J\x07<script>alert(1)</script>\r\n1",
            "half": "\ud83d 1",
        }
        return completion(texts.get(what, "Answer: 1"))

    def _send(self, status, body, headers=None):
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
