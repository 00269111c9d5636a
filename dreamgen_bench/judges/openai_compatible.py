"""Any judge behind an OpenAI-compatible server: GPT-4o, and whatever vLLM, SGLang or a server of your own offers.

Frames go as images in data URLs. Answers come as they come, at most `concurrency` asked at once and fewer while the
server says that it is too many. What can't be had is a reply with an error, never an answer. The key comes from the
environment alone, and neither it nor what looks like one gets into a reply.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from ..types import Question, Reply, Usage, UserError

REQUEST: Mapping[str, Any] = {
    "temperature": 0,
    "max_tokens": 16,
    "logprobs": True,
    "top_logprobs": 20,
}
"""What is sent besides model and messages. A server that refuses one of them is served by a card with another."""
TRIES = 6
LONGEST_WAIT = 60.0
"""Seconds between tries, however long the server asks for."""
_AGAIN = {408, 409, 425, 429}
_KEYS = re.compile(r"\b(sk|key)-[\w*.-]{6,}|Bearer [\w*.-]{6,}")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much may be asked of a server, and at what price. `requests` counts tries too; None is no budget."""

    concurrency: int = 8
    requests: int | None = None
    timeout: float = 120.0  # seconds a request
    first_wait: float = 1.0  # seconds before the second try; doubled each time
    prices: tuple[float, float] | None = None  # US dollars per million prompt tokens, per million completion tokens


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How frames are sent."""

    format: str = "png"  # or jpeg
    detail: str = ""  # OpenAI's image detail: low, high, auto; '' leaves it to the server


@dataclass
class _Gate:
    """Lets so many requests in at once: one more after a round of successes, half as many after a refusal."""

    limits: Limits
    allowed: float = 0.0
    inside: int = 0
    spent: int = 0
    not_before: float = 0.0
    lowered: float = 0.0
    free: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.allowed = float(self.limits.concurrency)

    def enter(self) -> bool:
        """Wait for a place; False where the budget is spent."""
        with self.free:
            while True:
                if self.limits.requests is not None and self.spent >= self.limits.requests:
                    return False
                wait = self.not_before - time.monotonic()
                if wait <= 0 and self.inside < max(1, int(self.allowed)):
                    self.inside += 1
                    self.spent += 1
                    return True
                self.free.wait(wait if wait > 0 else None)

    def leave(self) -> None:
        with self.free:
            self.inside -= 1
            self.free.notify_all()

    def served(self) -> None:
        with self.free:
            self.allowed = min(float(self.limits.concurrency), self.allowed + 1 / max(1.0, self.allowed))

    def refused(self, pause: float) -> None:
        """Nobody asks again before `pause` is over. Refusals of one round count once."""
        with self.free:
            now = time.monotonic()
            if now >= self.lowered:
                self.allowed = max(1.0, self.allowed / 2)
                self.lowered = now + pause
            self.not_before = max(self.not_before, now + pause)
            self.free.notify_all()


class OpenAICompatibleJudge:
    """A chat server that takes images, asked by several threads."""

    def __init__(self, client: Any, model: str, request: Mapping[str, Any], shown: Shown, limits: Limits) -> None:
        self.client, self.model, self.request, self.shown, self.limits = client, model, request, shown, limits
        self.gate = _Gate(limits)

    def ask(self, questions: Sequence[Question]) -> Iterator[Reply]:
        """One reply per question, in order."""
        there: dict[int, Reply] = {}
        following = 0
        for index, reply in self.answers(questions):
            there[index] = reply
            while following in there:
                yield there.pop(following)
                following += 1

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[int, Reply]]:
        """Each reply as soon as it is there, with the place of its question."""
        with ThreadPoolExecutor(self.limits.concurrency) as pool:
            asked = {pool.submit(self._answer, question): index for index, question in enumerate(questions)}
            try:
                for done in as_completed(asked):
                    yield asked[done], done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, question: Question) -> Reply:
        try:
            messages = [{"role": "user", "content": content(question, self.shown)}]
            return self._tried(question, messages)
        except Exception as error:  # one question that can't be asked must not take the others with it
            return Reply(text="", error=self._told(error))

    def _tried(self, question: Question, messages: list[dict[str, Any]]) -> Reply:
        why = ""
        for number in range(TRIES):
            if not self.gate.enter():
                return Reply(text="", error=f"the budget of {self.limits.requests} requests is spent{why}")
            try:
                raw = self.client.chat.completions.with_raw_response.create(
                    model=self.model, messages=messages, **self.request
                )
                self.gate.served()
                return reply_of(raw.content, question.options, self.limits.prices)
            except Exception as error:
                status = getattr(error, "status_code", None)
                if not _passing(error, status):
                    raise
                why = f"; last, {self._told(error)}"
                pause = _pause(error, self.limits.first_wait * 2**number)
                if status in (429, 503):
                    self.gate.refused(pause)
            finally:
                self.gate.leave()
            if number + 1 < TRIES:
                time.sleep(pause)
        return Reply(text="", error=f"no answer in {TRIES} tries{why}")

    def _told(self, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}".replace(str(self.client.api_key), "[key]")
        return _KEYS.sub("[key]", text)[:500]


def _passing(error: Exception, status: int | None) -> bool:
    """Whether the next try may go better: too many requests, a server's fault, a connection that was dropped."""
    import openai

    return isinstance(error, openai.APIConnectionError) or (status is not None and (status in _AGAIN or status >= 500))


def _pause(error: Exception, otherwise: float) -> float:
    said = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
    try:
        wait = float(said)
    except ValueError:  # a date, or nothing: our own back-off is as good
        wait = otherwise
    return min(max(wait if math.isfinite(wait) else otherwise, 0.0), LONGEST_WAIT)


def content(question: Question, shown: Shown) -> list[dict[str, Any]]:
    """The parts of a chat message: words, and frames as images."""
    frames = question.frames
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames must be uint8 [N, H, W, 3] with N > 0, not {frames.dtype} {list(frames.shape)}")
    images = [{"type": "image_url", "image_url": _image(frame, shown)} for frame in frames]
    words = {"type": "text", "text": question.prompt}
    return [*images, words] if question.frames_stand == "before" else [words, *images]


def _image(frame: np.ndarray, shown: Shown) -> dict[str, str]:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, shown.format, **({"quality": 95} if shown.format == "jpeg" else {}))
    url = f"data:image/{shown.format};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"url": url} | ({"detail": shown.detail} if shown.detail else {})


def reply_of(raw: bytes, options: Sequence[str], prices: tuple[float, float] | None) -> Reply:
    """What a server's answer says. No text is an error; a refusal is text, and stays unparsed."""
    try:
        answer = json.loads(raw)
        choice = answer["choices"][0]
        message = choice["message"]
        said = message.get("content")
        said = message.get("refusal") if said is None else said
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Reply(text="", error=f"the server answered with no chat completion: {raw[:80]!r}")
    usage = _usage(answer.get("usage"), prices)
    if not isinstance(said, str):
        reason = str(choice.get("finish_reason"))[:40]
        return Reply(text="", error=f"the server sent no text (finish_reason {reason})", usage=usage)
    return Reply(text=said, logprobs=option_logprobs(choice.get("logprobs"), options), usage=usage)


def option_logprobs(given: Any, options: Sequence[str]) -> dict[str, float] | None:
    """Log-probabilities of the options where the answer stands: at the last token that is one of them.

    Spellings of one option ("1", " 1") are added up. An option outside the listed ones gets the least that is listed:
    it can have no more. None where nothing usable is given.
    """
    try:
        tokens = [entry for entry in given["content"] if entry["token"].strip() in options]
        listed = [(row["token"].strip(), float(row["logprob"])) for row in tokens[-1]["top_logprobs"]]
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        return None
    listed = [(token, max(value, -1e4)) for token, value in listed if value <= 1e-6]
    if not listed or not {token for token, _ in listed} & set(options):
        return None
    least = min(value for _, value in listed)
    found = {option: [value for token, value in listed if token == option] for option in options}
    return {option: float(np.logaddexp.reduce(values)) if values else least for option, values in found.items()}


def _usage(given: Any, prices: tuple[float, float] | None) -> Usage | None:
    try:
        used = int(given["prompt_tokens"]), int(given["completion_tokens"])
    except (TypeError, KeyError, ValueError):
        return None
    cost = None if prices is None else (used[0] * prices[0] + used[1] * prices[1]) / 1e6
    return Usage(prompt_tokens=used[0], completion_tokens=used[1], cost=cost)


def load(
    model: str,
    *,
    server: Mapping[str, str] | None = None,
    request: Mapping[str, Any] = REQUEST,
    shown: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> OpenAICompatibleJudge:
    """A judge behind a server.

    server: {"url": ..., "key": name of the environment variable with the key}; without a url OpenAI's own, with
    OPENAI_API_KEY. request: what is sent besides model and messages. shown, limits: fields of `Shown` and `Limits`.
    """
    import openai

    server = dict(server or {})
    url, variable = server.get("url"), server.get("key", "" if server.get("url") else "OPENAI_API_KEY")
    address = urlsplit(url or "")
    if address.username or address.password or address.query:
        raise UserError(
            "a judge's url carries no credentials, as it is recorded: put them into an environment variable"
        )
    key = os.environ.get(variable, "") if variable else "none"
    if not key:
        raise UserError(f"judge {model!r} needs a key: set the environment variable {variable}")
    try:
        chosen, view = Limits(**(limits or {})), Shown(**(shown or {}))
    except TypeError as error:
        raise UserError(f"judge {model!r}: {error}") from error
    # Our own tries: only so can refusals lower the concurrency, and every one of them count against the budget.
    client = openai.OpenAI(api_key=key, base_url=url, max_retries=0, timeout=chosen.timeout)
    return OpenAICompatibleJudge(client, model, request, view, chosen)
