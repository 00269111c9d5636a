"""Where teleoperation takes the hand, and how often to look there."""

import numpy as np
from numpy.typing import ArrayLike

PLACE, EVEN = 0.05, 0.7
"""Hands within 5 cm are in one place; a place is drawn as often as hands are there to the power 1 - EVEN."""


def rarity(hands: ArrayLike) -> np.ndarray:
    """How often each hand of [..., 3], in metres, is to be drawn; float, flat, 1 in all.

    Pick-and-place is nearly always over the table's middle; other behaviors reach for what stands at its ends.
    """
    places = np.floor(np.asarray(hands).reshape(-1, 3) / PLACE).astype(int)
    _, place, count = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    often = np.maximum(count[place.reshape(-1)], 8).astype(float) ** -EVEN
    return often / often.sum()
