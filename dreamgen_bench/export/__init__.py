"""Neural trajectories as datasets that other policies are trained on: LeRobot v3.0 and v2.1, and GR00T's layout.

Row i of an episode is frame i with the waypoint that leads to frame i + 1, so an episode has one row less than its
video has frames. Videos are copied byte for byte. The state is zero, as the paper has it for neural trajectories
(sec. 2.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..registry import nearest
from ..types import UserError
from . import gr00t, lerobot
from .clips import Clip

FORMATS: dict[str, Callable[[Iterable[Clip], Path], dict[str, Any]]] = {
    "lerobot-v3": lerobot.write_v3,
    "lerobot-v2.1": lerobot.write_v21,
    "gr00t": gr00t.write,
}


def write(clips: Iterable[Clip], layout: str, out: Path) -> dict[str, Any]:
    """Write a dataset into `out`, which must not hold anything, and return its info.json.

    Raises UserError: an unknown layout, no clip, clips that don't fit together, a folder that is in use, no pyarrow.
    """
    if layout not in FORMATS:
        raise UserError(f"no format named {layout!r}{nearest(layout, list(FORMATS))}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: name another folder, or delete it")
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError("datasets are parquet files: pip install 'dreamgen-bench[export]'") from error
    return FORMATS[layout](clips, out)
