"""A finished run folder that no model made: real suites, videos of a few frames, and aggregates of its own rows."""

import hashlib
import json

import numpy as np

from dreamgen_bench import scores, suites
from dreamgen_bench.types import EpisodeRecord, Judgment, Video, VideoRecord
from dreamgen_bench.video import encode

RUBRICS = ("instruction-following-v1", "physics-alignment-v1")
QUALITY = {"good": 0.9, "fair-2b": 0.6, "fair-1b": 0.5, "poor": 0.2, "replay": 0.95, "static": 0.1}
CONTROLS = ("replay", "static")
SUPPLIED = ("contact=a@b.c", "prompt=raw", "candidates=1", "usd_per_video=0.5")


def drawn(*words):
    """A number in [0, 1) that these words determine."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:4], "big") / 2**32


def key(*words):
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:24]


def clip(hue, frames=12, size=32):
    """A square that moves, of a color."""
    made = np.full((frames, size, size, 3), 90, np.uint8)
    for number, frame in enumerate(made):
        frame[8:16, number : number + 8] = (200, hue, 40)
    return encode(Video(frames=made, fps=10.0))


def about(name):
    """A model as run.json describes it."""
    found = {"name": name, "id": f"{name}@1", "revision": "1", "license": "MIT", "args": {}, "paper": "", "summary": ""}
    trained = {"group": "trained", "adaptation": "zero", "trained_on": ["web video"], "parameters": None}
    control = {"group": "control", "adaptation": "none", "trained_on": [], "parameters": None}
    size = {"fair-2b": 2_000_000_000, "fair-1b": 1_000_000_000}.get(name)
    return found | (control if name in CONTROLS else trained | {"parameters": size})


def write(path, records):
    path.write_text("".join(record.model_dump_json(by_alias=True) + "\n" for record in records), encoding="utf-8")


def finished_run(out, *, models=tuple(QUALITY), suite="metaworld-behavior-v1", tasks=None, judges=("j@1",), reply="1"):
    """Fill a run folder; `judges` beyond the first have only judgments."""
    (out / "videos").mkdir(parents=True)
    loaded = suites.load(suite)
    videos, judged, episodes = [], [], []
    for name in models:
        data = clip(int(drawn(name) * 255))
        for task in suites.limited(loaded, tasks):
            place = {"suite": suite, "task": task.id, "model": name, "seed": 0}
            one, lost = key(name, task.id), drawn("lost", name, task.id) < 0.02
            file = {"file": f"videos/{one}.mp4", "sha256": hashlib.sha256(data).hexdigest(), "status": "ok"}
            file = {"status": "no_video", "reason": "NaN frames"} if lost else file
            videos.append(VideoRecord(key=one, suite_digest=loaded.digest, revision="1", seconds=0.5, **place, **file))
            if not lost:
                (out / f"videos/{one}.mp4").write_bytes(data)
            for judge in judges:
                for rubric in RUBRICS:
                    chance = round((QUALITY.get(name, 0.5) + drawn(judge, rubric, name, task.id)) / 2, 4)
                    said = {"status": "ok", "value": float(chance > 0.5), "probability": chance, "reply": reply}
                    said = {"status": "no_video", "value": 0.0} if lost else said
                    judged.append(
                        Judgment(key=key(judge, rubric, one), video=one, judge=judge, rubric=rubric, **place, **said)
                    )
            replay = {"kind": "replay", "behavior": task.behavior, "idm": "cnn@1", "key": key("replay", one)}
            success = not lost and drawn("replay", name, task.id) < QUALITY.get(name, 0.5) ** 2
            episodes.append(EpisodeRecord(**place, **replay, success=success, reason="no video" if lost else None))
    for name in (*models, "random", "true_actions"):
        recipe = "random@1" if name == "random" else f"bc@1:{key(name)}"
        for number in range(12):
            what = {"kind": "policy", "suite": "metaworld-policy-v1", "model": name, "seed": number, "policy": recipe}
            what |= {"task": f"push-{number}", "behavior": "push", "key": key("policy", name, number)}
            episodes.append(EpisodeRecord(**what, success=drawn(name, number) < QUALITY.get(name, 0.5)))
    write(out / "videos.jsonl", videos)
    write(out / "judgments.jsonl", judged)
    write(out / "episodes.jsonl", episodes)
    table = scores.scores([j for j in judged if j.judge == judges[0]], [e for e in episodes if e.kind == "replay"])
    success = scores.success([e for e in episodes if e.kind == "policy"], dict.fromkeys(models, "cnn"))
    config = {"suites": [suite], "judge": judges[0].split("@")[0], "rubrics": list(RUBRICS), "seeds": 1}
    run = {"schema": 1, "date": "2026-01-01", "config": config, "phases": {"x": 1}}
    run |= {"suites": {name: suites.load(name).digest for name in (suite, "metaworld-policy-v1")}}
    run |= {"models": {name: about(name) for name in models}, "code": {"commit": "0123abc"}, "versions": {"numpy": "2"}}
    run |= {"hardware": {"cores": 2}}
    for name, value in (("run", run), ("scores", table), ("success", success)):
        (out / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return out
