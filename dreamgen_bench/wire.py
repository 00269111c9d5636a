"""The words of a served world model and its callers: HTTP, JSON, and frames as compressed bytes. No pickle.

    GET  /v1/model                        -> Served: what is served here, and how much at once
    POST /v1/videos            Request    -> 202 Answer; 429 with Retry-After while the queue is full
    GET  /v1/videos/ID?wait=S             -> 200 Answer, at once or within S seconds; 404 for an unknown id
    GET  /v1/videos/ID/frames             -> 200 zlib of uint8 [T, H, W, 3], of the Answer's shape and sha256

A request id is a digest of the request, so that asking twice is asking once. A version names weights, arguments and
code: the same for ever, or another version (409). Every refusal is {"error": "why"}.
The simulator's state is never sent: only controls may look at it, and they are not served.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from .types import Task

MAX_REQUEST, MAX_ANSWER, MAX_FRAMES_BYTES = 32 * 2**20, 2**18, 2**30
"""Bytes of a request's body, of a JSON answer, and of a video's frames before compression."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,99}"
"""Of a served model's name and revision."""
_Text = Annotated[str, Field(max_length=4000)]


class Request(BaseModel):
    """One video to be made. Suite and task are who it is for, from which the noise may be drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    request_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
    version: _Text
    suite: _Text
    task: _Text
    instruction: _Text
    first_frame: str  # base64 of a PNG or JPEG
    num_frames: Annotated[int, Field(ge=1, le=8192)]
    fps: Annotated[float, Field(gt=0, le=1000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]


class Answer(BaseModel):
    """What became of a request. `failed` is the model's own failure; `refused` is trouble that is nobody's score."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    request_id: str
    version: str
    state: Literal["pending", "done", "failed", "refused"]
    ahead: Annotated[int, Field(ge=0)] = 0  # requests that are made before this one
    reason: str = ""  # of failed and refused
    shape: tuple[int, int, int, int] | None = None  # of done
    fps: Annotated[float, Field(ge=0, le=1000)] = 0.0  # of done; 0: as asked for
    sha256: str = ""  # of the frames, uncompressed


class Served(BaseModel):
    """What is served. `spec` has the facts of a Spec, at least name, revision and license."""

    model_config = ConfigDict(frozen=True)
    contract: Literal[1]
    version: Annotated[str, Field(min_length=1, max_length=200)]
    spec: dict[str, Any]
    queue: Annotated[int, Field(ge=1)]  # requests that may wait at once
    timeout: Annotated[float, Field(gt=0, le=7 * 86400)]  # seconds within which a video is made, once begun


def request(task: Task, *, seed: int, version: str) -> Request:
    """The request for a task's video, with the digest of all it says as its id."""
    fields = {
        "version": version,
        "suite": task.suite,
        "task": task.id,
        "instruction": task.instruction,
        "first_frame": base64.b64encode(task.first_frame.read_bytes()).decode(),
        "num_frames": task.num_frames,
        "fps": task.fps,
        "seed": seed,
    }
    draft = Request(request_id="undecided", **fields)
    said = draft.model_dump_json(exclude={"request_id"})
    return draft.model_copy(update={"request_id": hashlib.sha256(said.encode()).hexdigest()[:32]})


def pack(frames: np.ndarray) -> bytes:
    """uint8 frames, compressed without loss; fast, since dreams are noisy."""
    return zlib.compress(np.ascontiguousarray(frames).tobytes(), 1)


def packed_bound(shape: tuple[int, ...]) -> int:
    """Bytes that frames of a shape take at most when packed by anybody."""
    size = int(np.prod(shape))
    return size + size // 256 + 1024


def unpack(data: bytes, shape: tuple[int, ...], sha256: str) -> np.ndarray:
    """The frames. Never inflates more than the shape holds. Raises ValueError where they are not what was said."""
    size = int(np.prod(shape))
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"frames can't be inflated: {error}") from error
    if len(raw) != size or hashlib.sha256(raw).hexdigest() != sha256:
        raise ValueError(f"frames are {len(raw)} bytes of other content than the answer said ({size} bytes)")
    return np.frombuffer(raw, np.uint8).reshape(shape)
