"""New environments: the same question in rooms that no teleoperation and no fine-tuning ever saw.

13 behaviors, one of them teleoperated in the lab (the paper: 13 in ten places, 0 -> 28.5 %).
"""

from __future__ import annotations

from types import MappingProxyType

from .new_behaviors import Preset, run

__all__ = ["PRESETS", "Preset", "run"]

SUITE = "metaworld-policy-environment-v1"
PRESETS = MappingProxyType(
    {
        "small": Preset(suite=SUITE, limit=52, seeds=1, policy_seeds=1, episodes=2),
        "full": Preset(suite=SUITE, limit=None, seeds=4, policy_seeds=3, episodes=12),
    }
)
