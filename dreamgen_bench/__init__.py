"""DreamGen-Bench: world models scored by judges, policies trained on their dreams, and how well the one predicts the other.

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
