"""Clips with labels, and a judge that sees what they show."""

import json

import numpy as np

from dreamgen_bench import labels, rubrics, validation
from dreamgen_bench.testing import ScriptedJudge
from dreamgen_bench.types import Reply, Spec, Video
from dreamgen_bench.video import encode

SIGHTED = Spec(name="sighted", revision="1", load="x:y", license="x")


def sight(question):
    """Says 1 of bright videos."""
    bright = question.frames.mean() / 255
    return Reply(text=str(int(bright > 0.5)), logprobs={"1": float(np.log(bright)), "0": float(np.log1p(-bright))})


def clips(base):
    """Forty clips, half of them bright, which is what sound means here; of two models and two looks."""
    rows = []
    for number in range(40):
        good = number % 2
        frames = np.full((3, 16, 16, 3), (230 if good else 25) + number % 5, np.uint8)
        (base / f"{number}.mp4").write_bytes(encode(Video(frames=frames, fps=4)))
        about = {"model": "ab"[number % 4 // 2], "behavior": "push", "look": ["lab", "barn"][number % 8 // 4]}
        row = {"video": f"{number}.mp4", "instruction": 'do, "it"\n🤖', "rubric": "IF", "rater": "sim", "label": good}
        rows.append(row | about)
    (base / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return base


def written(folder, name, rows):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def rows_of(folder):
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text("utf-8").splitlines()]


def validate(folder, out, reply=sight):
    return validation.run(
        SIGHTED, lambda: ScriptedJudge(reply), labels.read(str(folder)), rubric_of=rubrics.load, out=out
    )
