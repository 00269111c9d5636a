"""What a policy and its caller say to each other over a websocket: msgpack with arrays, and never a pickle.

The shape is openpi's (packages/openpi-client): the server speaks first and says which policy it serves; then each
observation is answered by `{"actions": [chunk, action]}`, or by a text where something went wrong. Arrays are packed as
there, so its clients and servers understand the bytes. An observation here is {"image": uint8 [H, W, 3], "state":
float32 [4], "prompt": str, "first": whether an episode begins, "seed": of that episode}.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..types import UserError

LARGEST = 16 * 2**20
"""Bytes of a message."""
NAME = r"[\w.+/-]{1,80}"
"""What names and revisions may be made of: records quote them."""


class PacketError(Exception):
    """Bytes that are no message of ours."""


def pack(message: dict[str, Any]) -> bytes:
    """A message as bytes; arrays of numbers keep type and shape."""
    import msgpack

    return msgpack.packb(message, default=_packed)


def unpack(data: bytes | str) -> dict[str, Any]:
    """The message in bytes from somebody else. Raises PacketError for anything else."""
    import msgpack

    if isinstance(data, str):
        raise PacketError(f"a text instead of an answer: {' '.join(data.split())[-200:]}")
    if len(data) > LARGEST:
        raise PacketError(f"{len(data)} bytes are more than we read")
    try:
        message = msgpack.unpackb(data, object_hook=_array, strict_map_key=False)
    except (ValueError, TypeError, KeyError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise PacketError(f"no message: {type(error).__name__}: {str(error)[:100]}") from error
    if not isinstance(message, dict):
        raise PacketError(f"a {type(message).__name__} instead of a message")
    return message


def about(message: dict[str, Any]) -> dict[str, str]:
    """Name, revision and checkpoint of the policy that a server's first message is about.

    Raises UserError where it does not say: an unnamed policy's episodes could not be told from another's.
    """
    found = {key: str(message.get(key, "")) for key in ("name", "revision", "checkpoint")}
    for key in ("name", "revision"):
        if not re.fullmatch(NAME, found[key]):
            raise UserError(
                f"the server does not say which policy it serves: its first message needs {key!r}, "
                f"of letters, digits and ._+/- (found {found[key][:80]!r})"
            )
    return found | {"checkpoint": found["checkpoint"][:80]}


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be sent")


def _array(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in value:
        return value
    dtype, shape = np.dtype(value[b"dtype"]), tuple(value[b"shape"])
    if dtype.kind not in "fiub" or len(shape) > 8 or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of {dtype} {list(shape)[:8]}")
    if math.prod(shape) * dtype.itemsize != len(value[b"data"]):
        raise ValueError(f"{len(value[b'data'])} bytes for {dtype} {list(shape)}")
    return np.frombuffer(value[b"data"], dtype).reshape(shape).copy()
