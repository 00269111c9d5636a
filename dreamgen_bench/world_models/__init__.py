"""World models: one file each, or one card (cards/*.yaml) for what diffusers already supports."""

from . import card, retrieval, simulated
from .remote import served

__all__ = ["SPECS", "served"]

SPECS = [*simulated.SPECS, *retrieval.SPECS, *card.cards()]
