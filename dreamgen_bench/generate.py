"""Suite x world model x seeds -> videos."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .store import RecordFile, Summary, digest, sharded, whole_file
from .types import Spec, Suite, Task, UserError, Video, VideoRecord, WorldModel
from .video import VideoError, encode

FIRST_FRAME = 16
"""Of 255: what a video's first frame may differ from the task's on average and still be it, compressed or softened."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The videos that one model owes to one suite."""

    suite: Suite
    spec: Spec
    owed: Mapping[str, tuple[Task, int]]  # key -> task and seed


def plan(suite: Suite, tasks: Sequence[Task], spec: Spec, seeds: Sequence[int]) -> Plan:
    """One video per task and seed."""
    rows = (
        (digest(suite.digest, task.id, spec.id, dict(spec.args), seed), (task, seed))
        for task in tasks
        for seed in seeds
    )
    return Plan(suite=suite, spec=spec, owed=dict(rows))


def run(
    plan: Plan,
    load: Callable[[], WorldModel],
    *,
    out: Path,
    shard: tuple[int, int] = (1, 1),
) -> Summary:
    """Dream every owed video that `out` has no record of.

    A video that breaks the contract, and a model that raises, give a `no_video` record with the reason: the video is
    the model's to make. A disk that can't be written stops the run, since that is nobody's score.
    """
    records = RecordFile(out / "videos.jsonl", VideoRecord)
    there = records.read()
    mine = sharded(plan.owed.items(), shard)
    missing = [(key, task, seed) for key, (task, seed) in mine if key not in there]
    summary = Summary(planned=len(mine), skipped=len(mine) - len(missing))
    if not missing:
        return summary
    model = load()
    for seed in dict.fromkeys(seed for _, _, seed in missing):
        rows = [(key, task) for key, task, s in missing if s == seed]
        for (key, _), video, seconds in dream(model, rows, seed):
            record = _keep(plan, key, video, out=out)
            records.append(record.model_copy(update={"seconds": round(seconds, 4)}))
            if record.status == "ok":
                summary.done += 1
            else:
                summary.failed["no_video"] += 1
    return summary


Row = tuple[str, Task]


def dream(model: WorldModel, rows: list[Row], seed: int) -> Iterator[tuple[Row, Video | str, float]]:
    """Each row with its video or the reason why there is none; goes on behind a task at which the model failed."""
    done = 0
    stumbled = False
    while done < len(rows):
        started = time.perf_counter()
        produced = 0
        try:
            for video in model.generate([task for _, task in rows[done:]], seed=seed):
                if done + produced == len(rows):
                    break  # more videos than tasks: the surplus belongs to none
                yield rows[done + produced], video, time.perf_counter() - started
                produced += 1
                started = time.perf_counter()
            reason = f"the model made {produced} videos of {len(rows) - done} asked for"
        except (UserError, OSError):
            raise
        except Exception as error:  # whatever an adapter raises is the model's failure, and is recorded as such
            reason = f"{type(error).__name__}: {error}"[:300]
        done += produced
        if done == len(rows):
            return
        hopeless = stumbled and not produced
        for row in rows[done:] if hopeless else rows[done : done + 1]:
            yield row, reason, time.perf_counter() - started
        done = len(rows) if hopeless else done + 1
        stumbled = not produced


def _keep(plan: Plan, key: str, video: Video | str, *, out: Path) -> VideoRecord:
    task, seed = plan.owed[key]
    base: dict[str, Any] = {
        "key": key,
        "suite": plan.suite.name,
        "suite_digest": plan.suite.digest,
        "task": task.id,
        "model": plan.spec.name,
        "revision": plan.spec.revision,
        "seed": seed,
    }
    reason = video if isinstance(video, str) else broken_contract(video, task)
    if reason:
        return VideoRecord(**base, status="no_video", reason=reason)
    assert isinstance(video, Video)
    try:
        data = encode(video)
    except VideoError as error:
        return VideoRecord(**base, status="no_video", reason=str(error)[:300])
    path = Path("videos") / f"{key}.mp4"
    with whole_file(out / path) as file:
        file.write(data)
    base["begins"] = away(video, task) < FIRST_FRAME
    return VideoRecord(**base, status="ok", file=path.as_posix(), sha256=hashlib.sha256(data).hexdigest())


def away(video: Video, task: Task) -> float:
    """How far the first frame is from the one that the task gave: mean absolute difference, of 255."""
    with Image.open(task.first_frame) as picture:
        given = np.asarray(picture.convert("RGB")).astype(int)
    return float(np.abs(video.frames[0] - given).mean())


def broken_contract(video: Video, task: Task) -> str:
    """Why a video is not what the task asked for; '' where it is."""
    frames = video.frames
    if not isinstance(frames, np.ndarray) or frames.ndim != 4 or frames.shape[-1] != 3:
        return f"frames are no [T, H, W, 3] array but {getattr(frames, 'shape', type(frames).__name__)}"
    if frames.dtype != np.uint8:
        finite = bool(np.isfinite(frames).all()) if np.issubdtype(frames.dtype, np.floating) else True
        return f"frames are {frames.dtype}{'' if finite else ' with NaN'}, not uint8"
    if len(frames) != task.num_frames:
        return f"{len(frames)} frames, where the task asks for {task.num_frames}"
    with Image.open(task.first_frame) as picture:
        width, height = picture.size
    if frames.shape[1:3] != (height, width):
        return f"frames are {frames.shape[2]}x{frames.shape[1]}, the first frame is {width}x{height}"
    return ""
