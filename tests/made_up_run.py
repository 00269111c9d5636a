"""A run folder and its suites, made up: what tables and pages are tested on."""

import hashlib
import json

import numpy as np

from dreamgen_bench import correlate, report, stats
from dreamgen_bench.types import Suite, Task, Video
from dreamgen_bench.video import encode

HOSTILE = '<script>alert("1")</script>|*x*`y`\u202egnp\u200b\'$a$'
SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\u200b", "\\u200b")
MODELS = {
    "large-sft": {"group": "trained", "adaptation": "sft"},
    "small-sft": {"group": "trained", "adaptation": "sft"},
    "small-zero": {"group": "trained", "adaptation": "zero"},
    "tiny-zero": {"group": "trained", "adaptation": "zero"},
    "replay": {"group": "control", "adaptation": "none"},
    "static": {"group": "control", "adaptation": "none"},
}
QUALITY = {
    "large-sft": 0.85,
    "small-sft": 0.7,
    "small-zero": 0.4,
    "tiny-zero": 0.2,
    "replay": 0.95,
    "static": 0.1,
}
RUBRICS = ("instruction-following-v1", "physics-alignment-v1")
JUDGE = "tiny-judge@1"


def score(model, mean=0.5, *, rubric="instruction-following-v1", suite="seen", **counts):
    """One row of scores.json, of 50 videos."""
    lost = {"no_video": 0, "judge_error": 0, "unparsed": 0} | counts
    ci95 = None if mean is None else [max(mean - 0.1, 0), min(mean + 0.1, 1)]
    row = {"model": model, "suite": suite, "rubric": rubric, "judge": JUDGE, "mean": mean, "ci95": ci95}
    return row | {"n": 50 - sum(lost.values()), "planned": 50, "bounds": [0.3, 0.6]} | lost


def both(model, mean=0.5, **more):
    """A row for each rubric of the bench score."""
    return [score(model, mean, rubric=rubric, **more) for rubric in RUBRICS]


def success(model, mean, *, suite="seen", idm="cnn@1", policy="bc@1"):
    """One row of success.json."""
    recipe = {"idm": idm, "policy": policy, "episodes": 60, "seeds": 1}
    return {"model": model, "suite": suite, "mean": mean, "ci95": [mean - 0.1, mean + 0.1]} | recipe


def drawn(*words):
    """A number in [0, 1) that these words determine."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:4], "big") / 2**32


def write_lines(path, lines):
    """Records as a stage writes them."""
    path.write_text("".join(json.dumps({"schema": 1} | line) + "\n" for line in lines), encoding="utf-8")


def dreamed(model, task, size=32):
    """A made-up video: a square that moves; differently for each model and task."""
    frames = np.full((8, size, size, 3), 90, np.uint8)
    frames[:, size * 2 // 3 :] = (150, 120, 90)
    at = int(drawn(task) * size * 0.6)
    for number, frame in enumerate(frames):
        left = at + (0 if model == "static" else int(number * size / 40 * QUALITY.get(model, 0.5)))
        frame[size // 2 : size // 2 + size // 8, left : left + size // 8] = (200, 40, 40)
    return Video(frames=frames, fps=5.0)


def made_up_run(out, *, models=MODELS, suites=("seen", "new-look"), tasks=8, size=32):
    """A run folder that no model made, as the stages would have left it; gives the suites too."""
    (out / "videos").mkdir(parents=True)
    videos, judgments, replays = [], [], []
    places = [(suite, f"{suite}-{n:02d}", model) for suite in suites for n in range(tasks) for model in models]
    for suite, task, model in places:
        key = hashlib.sha256(f"{task}{model}".encode()).hexdigest()[:24]
        base = {"suite": suite, "task": task, "model": model, "seed": 0}
        absent = drawn("absent", task, model) < 0.04
        file = None if absent else f"videos/{key}.mp4"
        kept = {
            "file": file,
            "sha256": file and "0" * 64,
            "reason": "ValueError: NaN frames" if absent else None,
        }
        if not absent:
            (out / file).write_bytes(encode(dreamed(model, task, size)))
        video = base | {
            "key": key,
            "suite_digest": "d" * 8,
            "revision": "1",
            "status": "no_video" if absent else "ok",
        }
        videos.append(video | kept)
        for rubric in RUBRICS:
            chance = round((QUALITY.get(model, 0.5) + drawn(rubric, task, model)) / 2, 4)
            value = 0.0 if absent else float(chance > 0.5)
            answer = {
                "status": "no_video" if absent else "ok",
                "value": value,
                "judge": JUDGE,
                "rubric": rubric,
            }
            words = {"reply": f"ANSWER: {value:.0f}", "probability": None if absent else chance}
            judgments.append(base | {"key": key + rubric, "video": key} | answer | words)
        reached = bool(drawn("replay", task, model) < QUALITY.get(model, 0.5) ** 2)
        replay = {"kind": "replay", "behavior": "push", "idm": "cnn@1", "success": reached and not absent}
        replays.append(base | {"key": "replay" + key, "reason": "no video" if absent else None} | replay)
    write_lines(out / "videos.jsonl", videos)
    write_lines(out / "judgments.jsonl", judgments)
    write_lines(out / "episodes.jsonl", replays)
    write_aggregates(out, judgments, replays, models)
    return [made_up_suite(out, suite, tasks, size) for suite in suites]


def write_aggregates(out, judgments, replays, models):
    """scores.json, success.json, correlation.json and run.json, from sample rows."""
    groups = {}
    for row in judgments + [row | {"rubric": "executable", "value": float(row["success"])} for row in replays]:
        groups.setdefault((row["model"], row["suite"], row["rubric"]), []).append(row)
    scores = []
    for (model, suite, rubric), rows in groups.items():
        values = [row["value"] for row in rows]
        found = stats.mean_interval(values, tasks=[row["task"] for row in rows])
        lost = {
            "no_video": sum(row.get("status") == "no_video" for row in rows),
            "judge_error": 0,
            "unparsed": 0,
        }
        row = {"model": model, "suite": suite, "rubric": rubric, "judge": rows[0].get("judge", "cnn@1")}
        row |= {"mean": found.mean, "ci95": stats.plain(found.ci95), "bounds": [found.mean, found.mean]}
        scores.append(row | {"n": len(rows) - lost["no_video"], "planned": len(rows)} | lost)
    downstream = [success(model, round(0.8 * QUALITY.get(model, 0.5) ** 1.5 + 0.1, 3)) for model in models]
    floors = [success(name, mean, idm="", policy="bc@1") for name, mean in (("random", 0.1), ("true_actions", 0.8))]
    bench = [row | {"rubric": row["rubric"].removesuffix("-v1")} for row in scores]
    labels = {model: about["group"] for model, about in models.items()}
    (out / "scores.json").write_text(json.dumps(scores))
    (out / "success.json").write_text(json.dumps(downstream + floors))
    (out / "correlation.json").write_text(json.dumps(correlate.run(bench, downstream, groups=labels)))
    config = {"suites": sorted({row["suite"] for row in judgments}), "judge": JUDGE, "limit": None}
    code, machine = {"commit": "0123abc", "dirty": False}, {"cores": 2, "memory_gib": 8.0}
    phases = {"generate": {"seconds": 12.3, "summary": "96 planned, 96 done"}}
    facts = {"schema": 1, "date": "2026-01-01T00:00:00+00:00", "config": config, "models": models}
    facts |= {
        "versions": {"python": "3.11", "torch": "2.8"},
        "code": code,
        "hardware": machine,
        "phases": phases,
    }
    (out / "run.json").write_text(json.dumps(facts))


def made_up_suite(out, name, tasks, size):
    """The suite behind the made-up run, with a PNG for each first frame."""
    found = []
    for number in range(tasks):
        task = f"{name}-{number:02d}"
        (out / "frames").mkdir(exist_ok=True)
        path = out / "frames" / f"{task}.png"
        path.write_bytes(report._png(dreamed("static", task, size).frames[0]))
        text = f"push the red block to the right, {number} cm"
        found.append(Task(id=task, suite=name, instruction=text, first_frame=path, num_frames=8, fps=5.0))
    return Suite(name=name, digest="d", track="sim", description="", license="CC0-1.0", tasks=tuple(found))
