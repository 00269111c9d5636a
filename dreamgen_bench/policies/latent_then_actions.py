"""Learn to name latent actions, then what they do: behavior cloning that starts from videos without actions.

First the network of `bc_chunk` learns to say the latent action of each frame; then it gets a fresh last layer and is
fitted to waypoints, of teleoperation. Source: Ye et al., LAPA (ICLR 2025), sec. 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Trajectory, UserError
from ..video import resized
from . import imitation
from .bc_chunk import loss, network
from .imitation import STEPS, Examples


def fit(trajectories: Sequence[Trajectory], *, seed: int, out: Path, steps: int = STEPS) -> Path:
    """Train on latent trajectories, if there are any, then as long on the others; what `bc_chunk.load` loads.

    The same trajectories in the same order, seed and thread count give the same weights. Raises UserError where all are
    latent: nothing then says what the robot has to do for a latent action.
    """
    latent, real = ([t for t in trajectories if t.latent is kind] for kind in (True, False))
    if not real:
        raise UserError("all trajectories are latent: latent actions are fitted to real ones, of which there are none")
    known = _named(latent, seed=seed, steps=steps) if latent else {}

    def make() -> Any:
        net = network()
        net.load_state_dict(known, strict=False)
        return net

    found = imitation.examples(real)
    net = imitation.train(make, loss, found, seed=seed, steps=steps)
    return imitation.save(net, found, out, steps=steps, seed=seed, latent=len(latent))


def _named(latent: Sequence[Trajectory], *, seed: int, steps: int) -> dict[str, Any]:
    """The weights of a network that says the latent action of a frame under an instruction, without its last layer."""
    from torch import nn

    found = _latent_examples(latent)

    def make() -> Any:
        net = network()
        net.act[-1] = nn.Linear(net.act[-1].in_features, found.chunks.shape[1])
        return net

    def distance(net: Any, pictures: Any, words: Any, labels: Any, rng: Any) -> Any:
        return (net.act(imitation.looked((net.words, net.see), pictures, words)) - labels).abs().mean()

    net = imitation.train(make, distance, found, seed=seed, steps=steps)
    last = f"act.{len(net.act) - 1}."
    return {name: value for name, value in net.state_dict().items() if not name.startswith(last)}


def _latent_examples(latent: Sequence[Trajectory]) -> Examples:
    """One example of every frame but the last; `chunks` are normalized latent actions [N, columns]."""
    if len({t.labels.shape[1] for t in latent}) > 1:
        raise UserError("trajectories hold latent actions of several widths: label all videos with the same IDM")
    labels = np.concatenate([t.labels for t in latent]).astype(np.float32)
    mean, std = labels.mean(0), labels.std(0) + 1e-3
    return Examples(
        pictures=np.concatenate([resized(t.frames[:-1], imitation.SIDE, imitation.SIDE) for t in latent]),
        words=np.concatenate([np.repeat(imitation.bag(t.instruction)[None], len(t.labels), 0) for t in latent]),
        chunks=(labels - mean) / std,
        mean=mean,
        std=std,
    )
