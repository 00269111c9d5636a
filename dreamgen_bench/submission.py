"""A finished run folder to records: what the run knows, what only its owner knows, and every sample row.

What the run can't know stands in submission.yaml beside it, or is given by `--set KEY=VALUE`; `models.NAME.KEY` is
about one model. A record that would lack anything is not made: the error names what is lacking and how to supply it.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from . import latest, rubrics, suites
from .record import SCHEMA, Published, problem
from .standings import JSON
from .store import digest, read_json, whole_file
from .types import EpisodeRecord, Judgment, UserError, VideoRecord

OWNERS = {
    "contact": "whom to ask: --set contact=you@example.org",
    "license": "of the checkpoint: --set models.NAME.license=Apache-2.0",
    "revision": "of the checkpoint, or its hash: --set models.NAME.revision=COMMIT",
    "trained_on": "on what, separated by ';': --set 'models.NAME.trained_on=web video;your robot'",
    "adaptation": "zero, sft or none: --set models.NAME.adaptation=zero",
    "prompt": "raw, or rewritten by another model before the video model saw it: --set prompt=raw",
    "candidates": "of how many videos each was chosen, 1 unless best of N: --set candidates=1",
    "hardware": "that the videos were made on: --set 'hardware=1x H100 80GB'",
    "seconds_per_video": "to make one: --set seconds_per_video=42",
    "usd_per_video": "what one cost, 0 on your own machine: --set usd_per_video=0.05",
}
"""What a record needs and a run may lack, and how to supply it."""
_OF_MODEL = {"license", "revision", "trained_on", "adaptation", "group", "parameters", "paper", "summary"}
_REPLY = 2_000
FILE = "submission.yaml"
UNSTATED = "not stated"
"""What a draft says where its owner has not spoken."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run folder, read."""

    folder: Path
    settings: JSON
    scores: list[JSON]
    success: list[JSON]
    videos: list[VideoRecord]
    judgments: list[Judgment]
    episodes: list[EpisodeRecord]


def read(folder: Path) -> Finished:
    """Everything that a record is made of. UserError: no scores.json, no run.json, a line that is no record."""
    success = folder / "success.json"
    return Finished(
        folder=folder,
        settings=read_json(folder / "run.json"),
        scores=read_json(folder / "scores.json"),
        success=read_json(success) if success.exists() else [],
        videos=latest.videos(folder),
        judgments=latest.judgments(folder),
        episodes=latest.episodes(folder),
    )


def run(folder: Path, *, to: Path, given: Sequence[str] = (), models: Sequence[str] = ()) -> list[Path]:
    """Write one record per (model, suite, instrument): to/records/SUITE/MODEL-DIGEST.json.

    `given` are KEY=VALUE, which win over submission.yaml; `models` chooses, by default all and the references.
    UserError: an unfinished run, a lacking fact, aggregates that the sample rows do not give.
    """
    written = []
    for record in records(read(folder), supplied(folder, given), models=models):
        if why := problem(record):
            raise UserError(f"{folder}: {record.model.name} on {record.suite.name}: {why}; is the run finished?")
        written.append(write(record, to / "records"))
    if not written:
        raise UserError(f"{folder}: holds no score, so there is nothing to submit")
    return written


def place(record: Published) -> str:
    """Where a record lies under records/: a digest of what makes it another record is in its name."""
    name = re.sub(r"[^\w.-]", "_", record.model.name)
    made = (record.model.name, record.model.revision, record.model.args, record.protocol.model_dump())
    measured = (record.suite.digest, record.instrument.model_dump())
    return f"{record.suite.name}/{name}-{digest(*made, *measured)[:8]}.json"


def write(record: Published, folder: Path) -> Path:
    """Write a record, a line for each sample row, so that a change of one is a change of one line."""
    path = folder / place(record)
    with whole_file(path) as file:
        file.write(text(record).encode())
    return path


def text(record: Published) -> str:
    """The record's file."""
    whole = record.model_dump(by_alias=True, mode="json")
    rows = whole.pop("samples")

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    head = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)[:-2]
    lists = ",\n".join(
        f'    "{name}": [' + ",".join(f"\n      {line(row)}" for row in rows[name]) + ("\n    ]" if rows[name] else "]")
        for name in rows
    )
    return f'{head},\n  "samples": {{\n{lists}\n  }}\n}}\n'


def archive(folder: Path, path: Path, *, out: Path) -> Path:
    """A zip of a record and its videos, which raises its tier to 'videos provided'."""
    from .archive import load

    record = load(path)
    evidence = record.evidence.model_copy(update={"tier": "videos provided"})
    record = record.model_copy(update={"evidence": evidence})
    files = {video.key: video.file for video in read(folder).videos if video.file}
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr("record.json", text(record))
        for row in record.samples.videos:
            if row.sha256:
                source = folder / files[row.key]
                zipped.write(source, f"videos/{row.key}{source.suffix}")
    return out


# What the owner says


def supplied(folder: Path, given: Sequence[str]) -> JSON:
    """submission.yaml and KEY=VALUE pairs as one mapping. UserError for a key that no record has."""
    found: JSON = {"models": {}}
    path = folder / FILE
    if path.is_file():
        loaded = yaml.safe_load(path.read_text("utf-8")) or {}
        if not isinstance(loaded, dict) or not isinstance(loaded.get("models", {}), dict):
            raise UserError(f"{path}: must hold keys, and under `models` a mapping for each name")
        found |= loaded
        found["models"] = {str(name): dict(of or {}) for name, of in found["models"].items()}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair!r}: write KEY=VALUE, as in --set contact=you@example.org")
        if key.startswith("models.") and key.count(".") >= 2:
            name, _, field = key.removeprefix("models.").rpartition(".")
            found["models"].setdefault(name, {})[field] = value
        else:
            found[key] = value
    known = {*OWNERS, *_OF_MODEL}
    for key in [key for key in found if key != "models"] + [k for of in found["models"].values() for k in of]:
        if key not in known:
            raise UserError(f"nothing in a record is called {key!r}; known: {', '.join(sorted(known))}")
    return found


def records(finished: Finished, said: JSON, *, models: Sequence[str] = ()) -> Iterator[Published]:
    """The records of a run. UserError for all that is lacking, in one line."""
    chosen = list(models) or list(finished.settings["models"])
    if unknown := sorted(set(models) - set(finished.settings["models"])):
        raise UserError(f"{finished.folder}: holds no model {unknown[0]!r}: {', '.join(finished.settings['models'])}")
    made = [
        record
        for suite in sorted({row["suite"] for row in finished.scores})
        for name in chosen
        for record in _of(finished, name, suite, said)
    ]
    made += [] if models else [_reference(finished, name, said) for name in _references(finished)]
    if lacking := sorted({key for record in made for key in record["lacking"]}):
        ways = "; ".join(f"{key} ({OWNERS[key.split('.')[-1]].replace('NAME', _named(key))})" for key in lacking)
        raise UserError(f"{finished.folder}: a record lacks {ways}; or write them into {finished.folder / FILE}")
    for record in made:
        yield _parsed({key: value for key, value in record.items() if key != "lacking"}, finished.folder)


def drafts(finished: Finished) -> Iterator[Published]:
    """The records of a run to look at, not to publish: what its owner has not said is said not to be stated."""
    stated: JSON = {"contact": UNSTATED, "prompt": "raw", "candidates": 1, "usd_per_video": 0}
    said = stated | supplied(finished.folder, ())
    if not finished.settings.get("phases"):
        said = {"seconds_per_video": 0, "hardware": UNSTATED} | said
    for suite in {video.suite for video in finished.videos if not video.suite_digest}:
        hashes = sorted(video.sha256 or "" for video in finished.videos if video.suite == suite)
        finished.settings.setdefault("suites", {})[suite] = hashlib.sha256("".join(hashes).encode()).hexdigest()
    for name, about in finished.settings["models"].items():
        own = said["models"].setdefault(name, {})
        for key, value in (("license", UNSTATED), ("revision", UNSTATED), ("trained_on", UNSTATED)):
            if not about.get(key) or about[key] == "manifest":
                own.setdefault(key, value)
        if not about.get("adaptation"):
            own.setdefault("adaptation", "none")
    yield from records(finished, said)


def _named(key: str) -> str:
    return key.removeprefix("models.").rpartition(".")[0] or "NAME"


def _parsed(value: JSON, folder: Path) -> Published:
    try:
        return Published.model_validate_json(json.dumps(value, allow_nan=False))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        cure = OWNERS.get(where.split(".")[-1], "the run does not know it")
        raise UserError(f"{folder}: {where}: {first['msg']} ({cure})") from None


def _references(finished: Finished) -> list[str]:
    return sorted({row["model"] for row in finished.success} - set(finished.settings["models"]))


def _of(finished: Finished, name: str, suite: str, said: JSON) -> Iterator[JSON]:
    """One raw record per judge that judged this model on this suite."""
    scores = [row for row in finished.scores if (row["model"], row["suite"]) == (name, suite)]
    executable = [row for row in scores if row["rubric"] == "executable"]
    success = [row for row in finished.success if row["model"] == name]
    for judge in sorted({row["judge"] for row in scores if row["rubric"] != "executable"}):
        mine = [row for row in scores if row["judge"] == judge and row["rubric"] != "executable"]
        names = sorted(row["rubric"] for row in mine)
        judged = [
            j for j in finished.judgments if (j.model, j.suite, j.judge) == (name, suite, judge) and j.rubric in names
        ]
        videos = [v for v in finished.videos if v.key in {j.video for j in judged}]
        fields = {"video", "rubric", "status", "value", "probability"}
        asked = [
            row.model_dump(include=fields) | {"reply": row.reply[:_REPLY]}
            for row in sorted(judged, key=lambda j: (j.task, j.seed, j.rubric))
        ]
        idm = executable[0]["judge"] if executable else ""
        samples = {
            "videos": [_video(video) for video in sorted(videos, key=lambda v: (v.task, v.seed))],
            "judgments": asked,
            "replays": _episodes(finished, "replay", name, suite, idm),
            "episodes": _policy_episodes(finished, success),
        }
        instrument = {
            "judge": judge,
            "rubrics": {rubric: _rubric_digest(finished, rubric) for rubric in names},
            "idm": idm,
            "policy": success[0]["policy"] if success else "",
        }
        yield _whole(finished, name, suite, said) | {
            "policy_suite": success[0]["suite"] if success else "",
            "instrument": instrument,
            "scores": [*mine, *executable[:1]],
            "success": success[:1],
            "samples": samples,
        }


def _reference(finished: Finished, name: str, said: JSON) -> JSON:
    """What has a success rate and makes no videos: true actions, teleoperation only, a random policy."""
    success = [row for row in finished.success if row["model"] == name][:1]
    whole = _whole(finished, name, success[0]["suite"], said)
    return whole | {
        "policy_suite": success[0]["suite"],
        "instrument": {"judge": "", "rubrics": {}, "idm": "", "policy": success[0]["policy"]},
        "scores": [],
        "success": success,
        "samples": {"videos": [], "judgments": [], "replays": [], "episodes": _policy_episodes(finished, success)},
    }


def _whole(finished: Finished, name: str, suite: str, said: JSON) -> JSON:
    """What all records have, and under `lacking` what this one has not."""
    settings = finished.settings
    reference = name not in settings["models"]
    about = settings["models"].get(name, {"name": name, "revision": "1", "group": "reference", "license": "Apache-2.0"})
    about = dict(about) | said["models"].get(name, {})
    model, lacking = _model(name, about, said)
    own = [v for v in finished.videos if (v.model, v.suite) == (name, suite)]
    timed = sum(v.seconds for v in own) / len(own) if own else 0.0
    facts: JSON = {"contact": said.get("contact")}
    facts["prompt"] = "raw" if reference or model["group"] == "control" else said.get("prompt")
    facts["candidates"] = 1 if reference or model["group"] == "control" else said.get("candidates")
    machine = settings.get("hardware") or {}
    made_here = bool(settings.get("phases"))  # finished videos came from some other machine
    words = {"cores": "{} cores", "memory_gib": "{} GiB"}
    known = ", ".join(words.get(key, "{}").format(value) for key, value in machine.items()) if made_here else ""
    facts["hardware"] = said.get("hardware") or known
    measured = round(timed, 4) if timed or made_here or reference else None
    facts["seconds_per_video"] = said.get("seconds_per_video", measured)
    facts["usd_per_video"] = 0.0 if reference else said.get("usd_per_video")
    lacking += [key for key, value in facts.items() if value in (None, "")]
    seeds = len({video.seed for video in own}) or 1
    return {
        "schema": SCHEMA,
        "suite": _suite(finished, suite, own),
        "model": model,
        "protocol": {"seeds": seeds, "candidates": _number(facts["candidates"], int), "prompt": facts["prompt"]},
        "cost": {
            "hardware": facts["hardware"],
            "seconds_per_video": _number(facts["seconds_per_video"], float),
            "usd_per_video": _number(facts["usd_per_video"], float),
        },
        "contact": facts["contact"],
        "date": settings.get("date", ""),
        "code": settings.get("code", {}),
        "versions": settings.get("versions", {}),
        "evidence": {"tier": "self-reported", "by": "", "note": ""},
        "withdrawn": None,
        "lacking": lacking,
    }


def _number(value: Any, kind: type) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError):
        return value


def _model(name: str, about: Mapping[str, Any], said: JSON) -> tuple[JSON, list[str]]:
    trained = about.get("trained_on") or ()
    found: JSON = {
        "name": name,
        "revision": str(about.get("revision") or ""),
        "group": "reference" if about.get("group") == "reference" else _group(about),
        "adaptation": about.get("adaptation") or "",
        "trained_on": [part.strip() for part in trained.split(";")] if isinstance(trained, str) else list(trained),
        "license": str(about.get("license") or said.get("license") or ""),
        "parameters": _number(about.get("parameters"), int) if about.get("parameters") is not None else None,
        "paper": str(about.get("paper") or ""),
        "summary": str(about.get("summary") or ""),
        "args": {str(key): str(value) for key, value in (about.get("args") or {}).items()},
    }
    if found["group"] == "reference":
        found["adaptation"] = "none"
    if found["revision"] == "manifest":
        found["revision"] = ""
    wanted = ["revision", "license", "adaptation"] + (["trained_on"] if found["group"] == "trained" else [])
    return found, [f"models.{name}.{key}" for key in wanted if not found[key]]


def _group(about: Mapping[str, Any]) -> str:
    return "control" if about.get("group") == "control" else "trained"


def _suite(finished: Finished, name: str, videos: Sequence[VideoRecord]) -> JSON:
    known = finished.settings.get("suites", {}).get(name) or next((v.suite_digest for v in videos), "")
    if not known:
        raise UserError(
            f"{finished.folder}: {name!r} is no published suite, so its scores have no board; name in each row of the "
            f'manifest the "suite" and "task" that it answers: {", ".join(suites.names())}'
        )
    tasks = len(suites.load(name).tasks) if name in suites.names() else len({v.task for v in videos}) or 1
    return {"name": name, "digest": known, "tasks": tasks}


def _rubric_digest(finished: Finished, name: str) -> str:
    """As the run noted it; runs of earlier versions noted none, and could only mean our rubric of that name."""
    noted = finished.settings.get("rubrics", {}).get(name)
    return str(noted or (rubrics.load(name).digest if name in rubrics.names() else ""))


def _video(video: VideoRecord) -> JSON:
    return video.model_dump(include={"key", "task", "seed", "status", "sha256", "reason", "begins"})


def _episodes(finished: Finished, kind: str, model: str, suite: str, maker: str) -> list[JSON]:
    """Rows of one kind; `maker` is the IDM of a replay, or the policy recipe."""
    found = []
    for row in finished.episodes:
        made_by = row.idm if kind == "replay" else row.policy.split(":")[0]
        if (row.kind, row.model, row.suite, made_by) == (kind, model, suite, maker):
            found.append(row)
    fields = {"task", "seed", "behavior", "policy", "success", "progress", "planned", "precision", "reason"}
    return [row.model_dump(include=fields) for row in sorted(found, key=lambda e: (e.task, e.seed, e.policy))]


def _policy_episodes(finished: Finished, success: Sequence[JSON]) -> list[JSON]:
    return [
        episode
        for row in success[:1]
        for episode in _episodes(finished, "policy", row["model"], row["suite"], row["policy"])
    ]
