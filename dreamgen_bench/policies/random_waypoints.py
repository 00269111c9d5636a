"""Uniform waypoints over the arm's reach: what success is worth that nothing was learned for."""

from __future__ import annotations

from typing import Any

import numpy as np

LOW = np.array([-0.4, 0.4, 0.05, -1.0], np.float32)
HIGH = np.array([0.4, 0.9, 0.4, 1.0], np.float32)


class RandomWaypoints:
    """One uniform waypoint at a time; `seed` fixes those of the next episode."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def seed(self, number: int) -> None:
        """The same number gives the same episode."""
        self._rng = np.random.default_rng(number)

    def reset(self) -> None:
        """Nothing to forget."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """float32 [1, 4]."""
        return self._rng.uniform(LOW, HIGH).astype(np.float32)[None]


def load() -> RandomWaypoints:
    """The only one there is."""
    return RandomWaypoints()
