"""Clips whose actions are known: what inverse dynamics models are trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def labeled(folder: Path, sets: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each set its frames, uint8 [N, T, 64, 64, 3], and labels, float32 [N, T - 1, 8] in the order of LABELS."""
    return {what: _read(sorted(folder.glob(f"{what}-*.npz"))) for what in sets}


def _read(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    frames, labels = [], []
    for path in paths:
        with np.load(path) as data:
            frames.append(data["frames"])
            labels.append(np.concatenate([data["states"][:, 1:], data["actions"]], 2))
    return np.concatenate(frames), np.concatenate(labels).astype(np.float32)


def parted(
    sets: dict[str, tuple[np.ndarray, np.ndarray]], held: int
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
    """The first `held` clips of each set; and of all sets together the frames and labels of the others."""
    first = {what: (frames[:held], labels[:held]) for what, (frames, labels) in sets.items()}
    frames, labels = (np.concatenate([both[i][held:] for both in sets.values()]) for i in (0, 1))
    return first, frames, labels
