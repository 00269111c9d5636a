"""DreamGen-Bench: judges score world models, policies train on their dreams; how well does the one predict the other?

An independent re-implementation of the benchmark in DreamGen (Jang et al., CoRL 2025, arXiv 2505.12705).
"""

from .types import (
    IDM,
    LABELS,
    WAYPOINT,
    Judge,
    Judgment,
    Policy,
    Question,
    Reply,
    Rubric,
    Spec,
    Suite,
    Task,
    Trajectory,
    UserError,
    Video,
    WorldModel,
)
from .version import __version__

__all__ = [
    "IDM",
    "LABELS",
    "WAYPOINT",
    "Judge",
    "Judgment",
    "Policy",
    "Question",
    "Reply",
    "Rubric",
    "Spec",
    "Suite",
    "Task",
    "Trajectory",
    "UserError",
    "Video",
    "WorldModel",
    "__version__",
]
