"""World models: one file each, or one card (cards/*.yaml) for what diffusers already supports."""

from . import card, motion_code, retrieval, simulated
from .remote import served

__all__ = ["SPECS", "served"]

from_file = card.from_file
SPECS = [*simulated.SPECS, *retrieval.SPECS, *motion_code.SPECS, *card.cards()]
