"""World models: one file each, or one card (cards/*.yaml) for what diffusers already supports."""

from . import simulated

SPECS = [*simulated.SPECS]
