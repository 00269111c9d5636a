"""GR00T's layout: LeRobot v2.1, and meta/modality.json, which says what the columns of state and action are.

Source: Isaac-GR00T, getting_started/LeRobot_compatible_data_schema.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..store import write_json
from .clips import CAMERA, Clip
from .lerobot import write_v21

MODALITY = {
    "state": {"hand": {"start": 0, "end": 3}, "gripper": {"start": 3, "end": 4}},
    "action": {"hand": {"start": 0, "end": 3, "absolute": True}, "gripper": {"start": 3, "end": 4, "absolute": True}},
    "video": {"main": {"original_key": CAMERA}},
    "annotation": {"human.task_description": {"original_key": "task_index"}},
}


def write(clips: Iterable[Clip], out: Path) -> dict[str, Any]:
    """The files of v2.1 with meta/modality.json; the instruction is the annotation human.task_description."""
    info = write_v21(clips, out)
    write_json(out / "meta/modality.json", MODALITY)
    return info
