"""A trained policy behind a websocket, for environments elsewhere; the contract is in policies/exchange.py."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import registry
from .policies.exchange import LARGEST, pack, unpack
from .store import read_json
from .types import Policy, Spec, UserError

if TYPE_CHECKING:
    from websockets.sync.server import Server, ServerConnection


def found(checkpoint: Path) -> tuple[Spec, dict[str, Any]]:
    """The recipe of a folder RUN/policies/KEY, and what its server says of it. UserError: no finished policy there."""
    facts = read_json(checkpoint / "policy.json")
    name, _, revision = str(facts.get("policy", "")).partition("@")
    spec = registry.find("policies", name)
    if revision.partition("+")[0] != spec.revision:
        raise UserError(f"{checkpoint} is of {name}@{revision}, and this version knows {spec.id}: train it again")
    about = {"contract": 1, "name": name, "revision": revision, "checkpoint": facts["key"], "trained_on": facts["name"]}
    return spec, about


def server(checkpoint: Path, address: tuple[str, int], *, tell: Callable[[str], None]) -> Server:
    """Listens from now on; serve_forever() answers. Every connection has a policy of its own. OSError: port taken."""
    from websockets.sync.server import serve

    spec, about = found(checkpoint)
    registry.load(spec, checkpoint=checkpoint)  # what can't be loaded is told now, and not to a caller

    def answer(connection: ServerConnection) -> None:
        policy = registry.load(spec, checkpoint=checkpoint)
        connection.send(pack(about))
        with suppress(OSError):
            for message in connection:
                try:
                    connection.send(pack({"actions": _acted(policy, unpack(message))}))
                except Exception as error:  # whatever it is: this caller is told, and the others are served
                    tell(f"{connection.remote_address}: {error}")
                    connection.send(f"{type(error).__name__}: {error}"[:300])
                    return

    return serve(answer, *address, compression=None, max_size=LARGEST)


def _acted(policy: Policy, asked: dict[str, Any]) -> np.ndarray:
    image, prompt, state = asked.get("image"), asked.get("prompt"), asked.get("state")
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError("image is uint8 [H, W, 3]")
    if not isinstance(prompt, str):
        raise ValueError("prompt is the instruction, a text")
    if asked.get("first"):
        policy.reset()
        if hasattr(policy, "seed"):
            policy.seed(int(asked.get("seed", 0)))
    seen = np.zeros(4, np.float32) if state is None else np.asarray(state)
    return policy.act({"image": image, "instruction": prompt, "state": seen})
