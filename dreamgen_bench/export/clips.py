"""What is exported: clips with their waypoints, as rows and statistics that every layout shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..types import WAYPOINT, UserError

CAMERA = "observation.images.main"
NAMES = ["x", "y", "z", "grip"]
"""Of an action: hand in metres, and grip effort in [-1 open, 1 closed]."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One neural trajectory: its video as a file's bytes, and what they show."""

    name: str
    mp4: bytes
    frames: np.ndarray  # uint8 [T, H, W, 3]
    fps: float
    labels: np.ndarray  # float32 [T - 1, LABELS]
    instruction: str


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One clip's rows: everything but its pictures."""

    index: int
    first: int  # place of its first row in the dataset
    task: int
    instruction: str
    frames: int  # of its video
    actions: np.ndarray  # float32 [rows, 4]
    fps: float
    shape: tuple[int, int, int]
    stats: dict[str, dict[str, Any]]

    @property
    def rows(self) -> int:
        """Frames that have an action: all but the last."""
        return len(self.actions)


def taken(clips: Iterable[Clip]) -> Iterator[tuple[Clip, Episode]]:
    """Clips with the rows made of them, in order. UserError: none, or one that does not fit with the first."""
    first: Clip | None = None
    tasks: dict[str, int] = {}
    index = total = 0
    for clip in clips:
        first = first or clip
        like = (first.fps, first.frames.shape[1:])
        if (
            (clip.fps, clip.frames.shape[1:]) != like
            or len(clip.labels) != len(clip.frames) - 1
            or not len(clip.labels)
        ):
            raise UserError(f"{clip.name}: a dataset has one rate and one size of picture, and a label between frames")
        task = tasks.setdefault(clip.instruction, len(tasks))
        actions = np.ascontiguousarray(clip.labels[:, WAYPOINT], np.float32)
        yield (
            clip,
            Episode(
                index=index,
                first=total,
                task=task,
                instruction=clip.instruction,
                frames=len(clip.frames),
                actions=actions,
                fps=clip.fps,
                shape=clip.frames.shape[1:],
                stats=_stats(clip.frames[:-1], actions),
            ),
        )
        index, total = index + 1, total + len(actions)
    if first is None:
        raise UserError("no trajectory to export: its videos could not be made or labeled")


def table(episodes: Iterable[Episode]) -> Any:
    """The rows of episodes as a pyarrow table, in LeRobot's columns."""
    import pyarrow as pa

    parts = []
    vector = pa.list_(pa.float32(), len(NAMES))
    for one in episodes:
        steps = np.arange(one.rows)
        columns = {
            "action": pa.FixedSizeListArray.from_arrays(pa.array(one.actions.ravel()), type=vector),
            "observation.state": pa.FixedSizeListArray.from_arrays(
                pa.array(np.zeros(one.actions.size, np.float32)), type=vector
            ),
            "timestamp": pa.array((steps / one.fps).astype(np.float32)),
            "frame_index": pa.array(steps),
            "episode_index": pa.array(np.full(one.rows, one.index)),
            "index": pa.array(one.first + steps),
            "task_index": pa.array(np.full(one.rows, one.task)),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def features(one: Episode) -> dict[str, Any]:
    """The columns as info.json describes them."""
    height, width, channels = one.shape
    scalar = {"shape": [1], "names": None}
    vector = {"dtype": "float32", "shape": [len(NAMES)], "names": NAMES}
    return {
        "action": vector,
        "observation.state": vector,
        CAMERA: {
            "dtype": "video",
            "shape": [height, width, channels],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": "gbrp",
                "video.is_depth_map": False,
                "video.fps": rate(one.fps),
                "video.channels": channels,
                "has_audio": False,
            },
        },
        "timestamp": {"dtype": "float32", **scalar},
        **{name: {"dtype": "int64", **scalar} for name in ("frame_index", "episode_index", "index", "task_index")},
    }


def rate(fps: float) -> float | int:
    """As readers expect it: whole where it is whole."""
    return int(fps) if float(fps).is_integer() else fps


def together(episodes: list[Episode]) -> dict[str, dict[str, Any]]:
    """The statistics of all rows: exact for every figure but an image's spread, which pools those of the episodes."""
    found = {CAMERA: _pooled([one.stats[CAMERA] for one in episodes])}
    actions = np.concatenate([one.actions for one in episodes])
    return _of_rows(actions) | found


def _stats(frames: np.ndarray, actions: np.ndarray) -> dict[str, dict[str, Any]]:
    pixels = frames.reshape(-1, 3) / 255.0
    of = {"min": pixels.min(0), "max": pixels.max(0), "mean": pixels.mean(0), "std": pixels.std(0)}
    picture = {name: value.reshape(3, 1, 1).tolist() for name, value in of.items()} | {"count": [len(frames)]}
    return _of_rows(actions) | {CAMERA: picture}


def _of_rows(actions: np.ndarray) -> dict[str, dict[str, Any]]:
    found = {}
    for name, rows in (("action", actions), ("observation.state", np.zeros_like(actions))):
        figures = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
        figures |= {f"q{percent:02d}": np.quantile(rows, percent / 100, axis=0) for percent in (1, 10, 50, 90, 99)}
        found[name] = {key: np.asarray(value, float).tolist() for key, value in figures.items()} | {
            "count": [len(rows)]
        }
    return found


def _pooled(parts: list[dict[str, Any]]) -> dict[str, Any]:
    count = np.array([part["count"][0] for part in parts])[:, None, None, None]
    mean, std = (np.array([part[key] for part in parts]) for key in ("mean", "std"))
    middle = (mean * count).sum(0) / count.sum()
    spread = np.sqrt(((std**2 + (mean - middle) ** 2) * count).sum(0) / count.sum())
    return {
        "min": np.min([part["min"] for part in parts], 0).tolist(),
        "max": np.max([part["max"] for part in parts], 0).tolist(),
        "mean": middle.tolist(),
        "std": spread.tolist(),
        "count": [int(count.sum())],
    }


def write_table(found: Any, path: Path) -> None:
    """A parquet file."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(found, path)
