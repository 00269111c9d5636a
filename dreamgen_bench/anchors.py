"""Anchors: the same few clips put to a hosted judge with every run, to notice when its answers drift.

A server may change the model behind a name. What it said of the anchors at first is kept on this machine for each
judge, revision, arguments and rubric; each run asks again, keeps the answers in its folder (anchors.jsonl), and tells
which have moved. Only judges whose Spec says that they may drift are asked: of weights on disk a digest says as much.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from . import judge
from .store import digest, read_json, write_json
from .types import Judge, Rubric, Spec, Task, Video

MOVED = 0.15
"""Change of a P(yes) from which it is told; another answer always is."""
RECORDS = "anchors.jsonl"
FRAMES, SIDE, FPS = 9, 96, 10.0


def clips() -> dict[str, tuple[str, Video]]:
    """Name -> instruction and video: a disc that is pushed, one that is left, one that jumps, one that vanishes.

    They are drawn here, so that no codec and no driver can change them.
    """
    t = np.linspace(0, 1, FRAMES)
    ways: dict[str, list[float | None]] = {
        "pushed": [20 + 50 * x for x in t],
        "left alone": [20.0] * FRAMES,
        "jumping": [20.0 if x < 0.5 else 75.0 for x in t],
        "vanishing": [20 + 50 * x if x < 0.5 else None for x in t],
    }
    return {name: ("push the disc to the right", _drawn(way)) for name, way in ways.items()}


def _drawn(way: Sequence[float | None]) -> Video:
    rows, columns = np.indices((SIDE, SIDE))
    table = np.where(rows[..., None] > 30, (150, 110, 80), (200, 205, 210))
    frames = []
    for x in way:
        frame = table.copy()
        if x is not None:
            frame[(rows > 52) & (rows < 58) & (columns < x - 9)] = (170, 30, 30)  # the rod that pushes it
            frame[(rows - 55) ** 2 + (columns - x) ** 2 < 80] = (20, 40, 200)
        frames.append(frame)
    return Video(frames=np.stack(frames).astype(np.uint8), fps=FPS)


def watched(spec: Spec, load: Callable[[], Judge], *, rubrics: Sequence[Rubric], out: Path) -> Callable[[], Judge]:
    """`load`, and with it the anchors asked: so a run that has nothing left to ask asks for no anchor either."""
    if not spec.drifts:
        return load

    def loaded() -> Judge:
        model = load()
        check(spec, model, rubrics=rubrics, out=out)
        return model

    return loaded


def check(spec: Spec, model: Judge, *, rubrics: Sequence[Rubric], out: Path) -> list[str]:
    """Ask, add the answers to out/anchors.jsonl, and say which moved.

    An anchor that could not be had (an outage) has not moved, nor is it a first answer.
    """
    args = {name: value for name, value in spec.args.items() if name not in spec.unkeyed}
    known = _memory() / f"{digest(spec.id, args, [(r.name, r.digest) for r in rubrics], _fingerprint())}.json"
    first = read_json(known) if known.exists() else {}
    now = _answers(model, rubrics)
    moved = [f"anchor {key}: {_told(first[key])} at first, {_told(now[key])} now" for key in now
             if key in first and _moved(first[key], now[key])]  # fmt: skip
    write_json(known, now | first)
    out.mkdir(parents=True, exist_ok=True)
    row = {"schema": 1, "date": datetime.now(UTC).isoformat(timespec="seconds"), "judge": spec.id}
    with (out / RECORDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | {"answers": now, "moved": moved}) + "\n")
    return moved


def moved_in(out: Path) -> list[str]:
    """What the last asking in a run folder found; nothing where no judge that drifts was asked."""
    path = out / RECORDS
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return list(json.loads(lines[-1])["moved"]) if lines else []


def _told(answer: dict[str, Any]) -> str:
    chance = answer["probability"]
    return f"{answer['value']}" + ("" if chance is None else f" (P {chance:.2f})")


def _answers(model: Judge, rubrics: Sequence[Rubric]) -> dict[str, dict[str, Any]]:
    """ "RUBRIC/ANCHOR" -> value and probability, of what the judge gave an answer to."""
    asked, keys = [], []
    for name, (instruction, video) in clips().items():
        task = Task(id=name, suite="anchors", instruction=instruction, first_frame=Path(), num_frames=FRAMES, fps=FPS)
        for rubric, questions in zip(rubrics, judge.questions(video, task, rubrics), strict=True):
            asked.append(questions[0])  # of a checklist its first: drift shows in any
            keys.append((rubric, name))
    found = {}
    for (rubric, name), reply in zip(keys, model.ask(asked), strict=False):
        if not reply.error:
            answer = judge.read_answer(reply.text, rubric.options), judge.probability(reply, rubric.options)
            found[f"{rubric.name}/{name}"] = {"value": answer[0], "probability": answer[1]}
    return found


def _moved(was: dict[str, Any], now: dict[str, Any]) -> bool:
    if was["value"] != now["value"]:
        return True
    chances = was["probability"], now["probability"]
    return None not in chances and abs(chances[0] - chances[1]) > MOVED


def _fingerprint() -> str:
    return digest({name: [text, video.frames.tobytes().hex()] for name, (text, video) in clips().items()})


def _memory() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "dreamgen-bench" / "anchors"
