"""LeRobot's layouts, written without it: v3.0 (lerobot 0.4 and later) and v2.1 (before, and what others read).

Sources: lerobot 0.4.4, lerobot/datasets/{utils,lerobot_dataset}.py and v30/convert_dataset_v21_to_v30.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..store import write_json
from .clips import CAMERA, Clip, Episode, features, rate, table, taken, together, write_table

FILES = 1000
"""At most so many in a folder: a chunk, as LeRobot calls it."""


def write_v3(clips: Iterable[Clip], out: Path) -> dict[str, Any]:
    """LeRobot v3.0: one table for each thousand episodes; each video is a file of its own, which v3.0 allows."""
    import pandas as pd
    import pyarrow as pa

    episodes = []
    for clip, one in taken(clips):
        path = out / "videos" / CAMERA / f"chunk-{one.index // FILES:03d}" / f"file-{one.index % FILES:03d}.mp4"
        _copy(clip, path)
        episodes.append(one)
    for start in range(0, len(episodes), FILES):
        write_table(table(episodes[start : start + FILES]), out / f"data/chunk-{start // FILES:03d}/file-000.parquet")
    tasks = _tasks(episodes)
    (out / "meta").mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"task_index": range(len(tasks))}, index=pd.Index(tasks, name="task")).to_parquet(
        out / "meta/tasks.parquet"
    )
    rows = pa.Table.from_pylist([_episode_v3(one) for one in episodes])
    write_table(rows, out / "meta/episodes/chunk-000/file-000.parquet")
    write_json(out / "meta/stats.json", together(episodes))
    info = _info(episodes, "v3.0") | {
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    write_json(out / "meta/info.json", info)
    return info


def write_v21(clips: Iterable[Clip], out: Path) -> dict[str, Any]:
    """LeRobot v2.1: one table and one video for each episode, and what is known of them as JSON lines."""
    episodes = []
    for clip, one in taken(clips):
        chunk = f"chunk-{one.index // FILES:03d}"
        _copy(clip, out / "videos" / chunk / CAMERA / f"episode_{one.index:06d}.mp4")
        write_table(table([one]), out / "data" / chunk / f"episode_{one.index:06d}.parquet")
        episodes.append(one)
    (out / "meta").mkdir(parents=True, exist_ok=True)
    rows = [{"episode_index": one.index, "tasks": [one.instruction], "length": one.rows} for one in episodes]
    _lines(rows, out / "meta/episodes.jsonl")
    _lines([{"task_index": n, "task": task} for n, task in enumerate(_tasks(episodes))], out / "meta/tasks.jsonl")
    _lines([{"episode_index": one.index, "stats": one.stats} for one in episodes], out / "meta/episodes_stats.jsonl")
    info = _info(episodes, "v2.1") | {
        "total_videos": len(episodes),
        "total_chunks": -(-len(episodes) // FILES),
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    write_json(out / "meta/info.json", info)
    write_json(out / "meta/stats.json", together(episodes))
    return info


def _info(episodes: list[Episode], version: str) -> dict[str, Any]:
    return {
        "codebase_version": version,
        "robot_type": "sawyer",
        "total_episodes": len(episodes),
        "total_frames": sum(one.rows for one in episodes),
        "total_tasks": len(_tasks(episodes)),
        "chunks_size": FILES,
        "fps": rate(episodes[0].fps),
        "splits": {"train": f"0:{len(episodes)}"},
        "features": features(episodes[0]),
    }


def _tasks(episodes: list[Episode]) -> list[str]:
    return list(dict.fromkeys(one.instruction for one in episodes))


def _episode_v3(one: Episode) -> dict[str, Any]:
    video = f"videos/{CAMERA}"
    return {
        "episode_index": one.index,
        "tasks": [one.instruction],
        "length": one.rows,
        "data/chunk_index": one.index // FILES,
        "data/file_index": 0,
        "dataset_from_index": one.first,
        "dataset_to_index": one.first + one.rows,
        f"{video}/chunk_index": one.index // FILES,
        f"{video}/file_index": one.index % FILES,
        f"{video}/from_timestamp": 0.0,
        f"{video}/to_timestamp": one.frames / one.fps,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        **{f"stats/{name}/{key}": value for name, of in one.stats.items() for key, value in of.items()},
    }


def _copy(clip: Clip, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(clip.mp4)


def _lines(rows: list[dict[str, Any]], path: Path) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
