"""A published record: one (model, suite, instrument) with every sample row behind its numbers.

Whoever reads a record can make its aggregates again, and `problem` does. A record says what a table needs to be read
rightly: which checkpoint, tuned on what, raw or rewritten prompts, the one video that was made or the best of several,
on which hardware, at which cost, and whom to ask.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from . import scores as aggregates
from .types import EpisodeRecord, Judgment

SCHEMA = 2
TIERS = ("self-reported", "videos provided", "reproduced", "policy-validated")
"""What stands behind a record, from the submitter's word upwards."""
TIER_WORDS = {
    "self-reported": "the submitter's word, and sample rows that give the aggregates",
    "videos provided": "the videos came along and hash to what the rows say",
    "reproduced": "somebody else made the videos again from the checkpoint and got these scores within their intervals",
    "policy-validated": "reproduced, and policies trained on the videos were evaluated here",
}
Tier = Literal["self-reported", "videos provided", "reproduced", "policy-validated"]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Line = Annotated[str, Field(max_length=4_000)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Part(BaseModel):
    """A piece of a record; an unknown or a missing key is refused where it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SuiteNamed(Part):
    """A suite's frozen version."""

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")]
    digest: Hash
    tasks: Annotated[int, Field(ge=1)]  # in all, whether or not this record has them


class Model(Part):
    """A world model, or a reference that makes no videos."""

    name: Text
    revision: Text  # of the checkpoint, or its hash
    group: Literal["trained", "control", "reference"]
    adaptation: Literal["zero", "sft", "none"]
    trained_on: tuple[Line, ...]
    license: Text
    parameters: int | None
    paper: Line
    summary: Line
    args: dict[str, Line]


class Instrument(Part):
    """What measured: two scores are comparable where these are the same."""

    judge: Line
    rubrics: dict[str, Line]  # name -> digest
    idm: Line
    policy: Line


class Protocol(Part):
    """How the videos came about."""

    seeds: Annotated[int, Field(ge=1)]  # videos a task; their mean counts
    candidates: Annotated[int, Field(ge=1)]  # videos of which each one was chosen: 1 unless best of N
    prompt: Literal["raw", "rewritten"]


class Cost(Part):
    """What a video costs."""

    hardware: Text
    seconds_per_video: Amount
    usd_per_video: Amount


class VideoRow(Part):
    """What became of one (task, seed)."""

    key: Key
    task: Text
    seed: int
    status: Literal["ok", "no_video"]
    sha256: Hash | None
    reason: Line | None
    begins: bool | None = None


class JudgmentRow(Part):
    """One answer about one video."""

    video: Key
    rubric: Text
    status: Literal["ok", "no_video", "judge_error", "unparsed"]
    value: Share | None
    probability: Share | None
    reply: Line


class EpisodeRow(Part):
    """One run in the simulator: labels replayed, or of a policy (then `policy` is its recipe and training)."""

    task: Text
    seed: int
    behavior: Line
    policy: Line
    success: bool | None
    progress: Share | None = None
    planned: int | None = None
    precision: Share | None = None
    reason: Line | None


class Samples(Part):
    """Every row that an aggregate is made of."""

    videos: tuple[VideoRow, ...]
    judgments: tuple[JudgmentRow, ...]
    replays: tuple[EpisodeRow, ...]
    episodes: tuple[EpisodeRow, ...]


class Evidence(Part):
    """The tier, and who vouches for it."""

    tier: Tier
    by: Line
    note: Line


class Withdrawn(Part):
    """Why a record no longer counts. It is never deleted."""

    reason: Text
    date: Text


class Published(Part):
    """One file under records/."""

    schema_: Literal[2] = Field(alias="schema")
    suite: SuiteNamed
    policy_suite: Line  # whose videos trained the policy; '' where none was
    model: Model
    instrument: Instrument
    protocol: Protocol
    cost: Cost
    contact: Text
    date: Text
    code: dict[str, Any]
    versions: dict[str, str | None]
    scores: tuple[dict[str, Any], ...]
    success: tuple[dict[str, Any], ...]
    evidence: Evidence
    withdrawn: Withdrawn | None
    samples: Samples


# What the sample rows say


def judgments(record: Published) -> Iterator[Judgment]:
    """The judgments as a run folder holds them."""
    videos = {video.key: video for video in record.samples.videos}
    for number, row in enumerate(record.samples.judgments):
        video = videos[row.video]
        yield Judgment(
            key=str(number),
            suite=record.suite.name,
            task=video.task,
            model=record.model.name,
            seed=video.seed,
            judge=record.instrument.judge,
            **row.model_dump(),
        )


def episodes(record: Published, kind: Literal["policy", "replay"]) -> Iterator[EpisodeRecord]:
    """The episodes of a kind as a run folder holds them."""
    replayed = kind == "replay"
    for number, row in enumerate(record.samples.replays if replayed else record.samples.episodes):
        yield EpisodeRecord(
            key=str(number),
            kind=kind,
            suite=record.suite.name if replayed else record.policy_suite,
            model=record.model.name,
            idm=record.instrument.idm if replayed else "",
            **row.model_dump(),
        )


def derived(record: Published) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scores and success rates made from the sample rows alone."""
    idm = {row["model"]: row.get("idm", "") for row in record.success}
    return (
        aggregates.scores(judgments(record), episodes(record, "replay")),
        aggregates.success(episodes(record, "policy"), idm),
    )


def problem(record: Published) -> str:
    """The first thing about a record that its own rows belie, or nothing."""
    return _rows_belie(record) or _aggregates_differ(record) or _claims_too_much(record)


def _rows_belie(record: Published) -> str:
    videos = {video.key: video for video in record.samples.videos}
    if len(videos) < len(record.samples.videos):
        return "samples.videos: a key is there twice"
    places = Counter((video.task, video.seed) for video in videos.values())
    if twice := [place for place, count in places.items() if count > 1]:
        return f"samples.videos: {len(twice)} (task, seed) are there twice, the first {twice[0]!r}"
    if over := [task for task, count in Counter(v.task for v in videos.values()).items() if count != seeds(record)]:
        return f"samples.videos: task {over[0]!r} has not the {seeds(record)} videos that protocol.seeds says"
    if wrong := [v.key for v in videos.values() if (v.status == "ok") != (v.sha256 is not None)]:
        return f"samples.videos: {wrong[0]}: a video that is there has a sha256, and no other has"
    asked = Counter((row.video, row.rubric) for row in record.samples.judgments)
    if unknown := [video for video, _ in asked if video not in videos]:
        return f"samples.judgments: {unknown[0]} is no key of samples.videos"
    if twice_asked := [pair for pair, count in asked.items() if count > 1]:
        return f"samples.judgments: {twice_asked[0]} is judged twice"
    for rubric in record.instrument.rubrics:
        if missing := [key for key in videos if (key, rubric) not in asked]:
            return f"samples.judgments: {len(missing)} videos were not asked {rubric!r}, the first {missing[0]}"
    for row in record.samples.judgments:
        if row.rubric not in record.instrument.rubrics:
            return f"samples.judgments: rubric {row.rubric!r} is not in instrument.rubrics"
        fits = {"ok": row.value is not None, "no_video": row.value == 0}.get(row.status, row.value is None)
        if not fits:
            return f"samples.judgments: {row.video}: status {row.status!r} does not go with value {row.value}"
        if videos[row.video].status == "no_video" and row.status != "no_video":
            return f"samples.judgments: {row.video}: there is no video, and yet a judgment"
    return _episodes_belie(record, set(places))


def _episodes_belie(record: Published, places: set[tuple[str, int]]) -> str:
    replayed = [(row.task, row.seed) for row in record.samples.replays]
    if strange := sorted(set(replayed) - places):
        return f"samples.replays: {strange[0]!r} is no video of this record"
    if len(set(replayed)) < len(replayed):
        return "samples.replays: a video is replayed twice"
    ran = [(row.task, row.policy) for row in record.samples.episodes]
    return "samples.episodes: a policy ran the same task twice" if len(set(ran)) < len(ran) else ""


def seeds(record: Published) -> int:
    """Videos a task."""
    return record.protocol.seeds


LATER = {"interval", "ci95_behaviors"}
"""Keys of success rows that records of before do not have; one that is stated is held to the sample rows."""


def _aggregates_differ(record: Published) -> str:
    for name, stated, found in zip(
        ("scores", "success"), (record.scores, record.success), derived(record), strict=True
    ):
        if len(stated) != len(found):
            return f"{name}: {len(stated)} rows are stated, the sample rows give {len(found)}"
        for row in found:
            known = ("suite", "rubric", "judge", "policy", "model")
            same = [other for other in stated if all(other.get(key) == row.get(key) for key in known)]
            if len(same) != 1:
                return f"{name}: the sample rows give a row that is not stated: {_short(row, known)}"
            if wrong := _difference(same[0], row):
                return f"{name}: {_short(row, known)}: {wrong}"
    return ""


def _short(row: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return ", ".join(str(row[key]) for key in keys if key in row)


def _difference(stated: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if odd := sorted((set(stated) ^ set(found)) - (LATER - set(stated))):
        return f"unknown or missing key {odd[0]!r}"
    for key in stated:
        value = found[key]
        if not same(stated[key], value, 1e-3 if key.startswith("ci95") else 1e-6):
            return f"{key} is stated as {stated[key]!r}, the sample rows give {value!r}"
    return ""


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Two values of JSON, numbers up to a tolerance: another machine's sums may differ in their last digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool) or isinstance(one, str) or isinstance(other, str):
        return one is other or (type(one) is type(other) and one == other)
    if one is None or other is None or not (isinstance(one, int | float) and isinstance(other, int | float)):
        return one is other
    return math.isclose(one, other, abs_tol=tolerance, rel_tol=0)


def _claims_too_much(record: Published) -> str:
    evidence = record.evidence
    if evidence.tier in ("reproduced", "policy-validated") and not evidence.by.strip():
        return f"evidence: {evidence.tier!r} needs `by`: who made it again"
    if evidence.tier == "policy-validated" and not record.success:
        return "evidence: 'policy-validated' needs success rates with their episodes"
    if record.model.group == "trained" and not record.model.trained_on:
        return "model: trained_on is empty: a trained model was trained on something"
    return ""
