"""Videos x IDM -> neural trajectories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .store import RecordFile, Summary, digest, sharded, whole_file
from .types import IDM, LABELS, Spec, TrajectoryRecord, UserError, Video, VideoRecord
from .video import VideoError, read

BATCH = 32


def label_key(video: VideoRecord, spec: Spec) -> str:
    """What determines a trajectory: the video, and the IDM with its revision."""
    return digest(video.key, video.sha256, spec.id, dict(spec.args))


def run(
    videos: Iterable[VideoRecord],
    spec: Spec,
    load: Callable[[], IDM],
    *,
    out: Path,
    shard: tuple[int, int] = (1, 1),
) -> Summary:
    """Label every video that `out` has no trajectory of: float32 [T - 1, columns], as trajectories/KEY.npy.

    columns: len(LABELS), or of a latent action model its own. A video that it refuses is recorded as its error.
    """
    records = RecordFile(out / "trajectories.jsonl", TrajectoryRecord)
    there = records.read()
    mine = sharded(videos, shard)
    missing = [video for video in mine if label_key(video, spec) not in there]
    summary = Summary(planned=len(mine), skipped=len(mine) - len(missing))
    model: IDM | None = None
    for start in range(0, len(missing), BATCH):
        usable: list[tuple[VideoRecord, Video]] = []
        for record in missing[start : start + BATCH]:
            video, reason = _read(record, out)
            if video is None:
                records.append(_record(record, spec, status="no_video", reason=reason))
                summary.failed["no_video"] += 1
            else:
                usable.append((record, video))
        if usable:
            model = model or load()
            wide = len(getattr(model, "columns", LABELS)) if spec.latent else len(LABELS)
            for (record, video), labels in zip(usable, _labeled(model, [video for _, video in usable]), strict=True):
                done = _keep(record, labels, (len(video.frames) - 1, wide), spec=spec, out=out)
                records.append(done)
                summary.done += done.status == "ok"
                summary.failed["idm_error"] += done.status != "ok"
    summary.failed = +summary.failed
    return summary


def _labeled(model: IDM, videos: Sequence[Video]) -> Iterator[np.ndarray | UserError]:
    """What the model says of each video: labels, or why it can't. One that is refused costs the others nothing."""
    given = 0
    try:
        for labels in model.label(videos):
            yield labels
            given += 1
    except UserError as error:
        yield error
        yield from _labeled(model, videos[given + 1 :])


def _keep(
    record: VideoRecord, labels: np.ndarray | UserError, wanted: tuple[int, int], *, spec: Spec, out: Path
) -> TrajectoryRecord:
    if isinstance(labels, UserError):
        return _record(record, spec, status="idm_error", reason=str(labels))
    if labels.shape != wanted or not np.isfinite(labels).all():
        reason = f"labels are {list(labels.shape)}, not finite {list(wanted)}"
        return _record(record, spec, status="idm_error", reason=reason)
    path = Path("trajectories") / f"{label_key(record, spec)}.npy"
    with whole_file(out / path) as file:
        np.save(file, labels.astype(np.float32), allow_pickle=False)
    return _record(record, spec, status="ok", file=path.as_posix())


def _read(record: VideoRecord, out: Path) -> tuple[Video | None, str]:
    if record.file is None:
        return None, record.reason or "no video"
    try:
        return read(out / record.file), ""
    except VideoError as error:
        return None, str(error)


def _record(video: VideoRecord, spec: Spec, **fields) -> TrajectoryRecord:  # type: ignore[no-untyped-def]
    return TrajectoryRecord(
        key=label_key(video, spec),
        video=video.key,
        suite=video.suite,
        task=video.task,
        model=video.model,
        seed=video.seed,
        idm=spec.id,
        latent=spec.latent,
        **fields,
    )
