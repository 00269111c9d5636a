"""A policy that lives elsewhere: ACT, SmolVLA, pi0, GR00T or anything, trained outside and asked over a websocket.

A connection that breaks costs the episode in which it broke; the next episode waits for the server to be back. Only a
server that stays away, or that now serves another policy, stops the evaluation.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Spec, UserError
from .exchange import LARGEST, PacketError, about, pack, unpack

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

OPENING, ANSWERING, RETURNING = 10.0, 120.0, 60.0
"""Seconds to wait for a connection, for an answer, and for a server that went away to be back."""


class PolicyError(Exception):
    """An episode that the server's silence or nonsense ended: no OSError, which would stop the evaluation."""


def spec(name: str, address: str) -> Spec:
    """What is served at ws://HOST:PORT, as it says itself; `name` is '' or what the user expects there."""
    policy = WebsocketPolicy(address, patience=0.0)
    facts = policy.about
    policy.close()
    if name and name != facts["name"]:
        raise UserError(f"{address} serves {facts['name']!r}, not {name!r}")
    return Spec(
        name=facts["name"],
        revision=facts["revision"],
        load="dreamgen_bench.policies.websocket:connect",
        license="of its server",
        args={"checkpoint": facts["checkpoint"]},
        summary=f"served at {address}",
        address=address,
    )


def connect(spec: Spec) -> WebsocketPolicy:
    """The policy that a spec made by `spec` is about."""
    return WebsocketPolicy(spec.address)


class WebsocketPolicy:
    """A connection to a policy. Raises UserError where nothing answers at the address within `patience` seconds."""

    def __init__(self, address: str, *, patience: float = RETURNING, answering: float = ANSWERING):
        if not re.fullmatch(r"wss?://[^\s/@]+(/\S*)?", address):
            raise UserError(f"{address!r} is no address of a policy: write ws://HOST:PORT")
        self._address, self._patience, self._answering = address, patience, answering
        self._first, self._seed = True, 0
        self.about: dict[str, str] = {}
        self._line = ExitStack()
        self._open: ClientConnection | None = None
        self._connect()

    def reset(self) -> None:
        """An episode begins: connect again, if the last one ended the connection."""
        self._first = True
        if self._open is None:
            self._connect()

    def seed(self, number: int) -> None:
        """What the server is to draw from in the episode that begins."""
        self._seed = number

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """What the server answers, as it is: float [chunk, action]. Raises PolicyError."""
        asked = {"image": observation["image"], "state": observation["state"], "prompt": observation["instruction"]}
        try:
            answer = self._ask(pack(asked | {"first": self._first, "seed": self._seed}))
        except Exception as error:  # closed, timed out, reset, or nonsense: whatever comes later would be out of step
            self.close()
            raise PolicyError(f"{self._address}: {type(error).__name__}: {error}"[:250]) from error
        self._first = False
        if not isinstance(answer.get("actions"), np.ndarray):
            raise PolicyError(f"{self._address}: an answer without an array of actions")
        return answer["actions"]

    def close(self) -> None:
        """Hang up."""
        self._line.close()
        self._open = None

    def _ask(self, message: bytes) -> dict[str, Any]:
        if self._open is None:
            raise ConnectionError("the connection broke earlier in this episode")
        self._open.send(message)
        return unpack(self._open.recv(timeout=self._answering))

    def _connect(self) -> None:
        until = time.monotonic() + self._patience
        while True:
            try:
                self._greet()
                return
            except (OSError, PacketError, _websocket_error()) as error:
                self.close()
                if time.monotonic() >= until:
                    raise UserError(
                        f"no policy answers at {self._address} ({type(error).__name__}: {str(error)[:100]}): "
                        "start its server, and run the same command again"
                    ) from error
            time.sleep(0.2)

    def _greet(self) -> None:
        from websockets.sync.client import connect as open_

        limits: dict[str, Any] = {"max_size": LARGEST, "open_timeout": OPENING, "close_timeout": 1}
        self._open = self._line.enter_context(open_(self._address, compression=None, proxy=None, **limits))
        facts = about(unpack(self._open.recv(timeout=OPENING)))
        if self.about and facts != self.about:
            raise UserError(f"{self._address} now serves {facts}, not {self.about}: its episodes would be mixed up")
        self.about = facts


def _websocket_error() -> type[Exception]:
    from websockets.exceptions import WebSocketException

    return WebSocketException
