"""The page of a run: one file with tables, figure and sample videos, which asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import leaderboard
from .leaderboard import tables
from .standings import ABSENT, COLUMNS, JSON, RUBRICS, Row, agreement_text, leaning_text, rubric_name, visible
from .types import Suite, Task
from .video import VideoError, encode, read

SAMPLES = 6
LONGEST_REPLY = 2_000  # characters of a judge's reply
Key = tuple[str, str, str, int]  # suite, task, model, seed


def page(
    found: Sequence[Row],
    *,
    judgments: Sequence[JSON],
    samples: Sequence[JSON],
    plot: str,
    records: Mapping[str, Any],
) -> str:
    """The HTML of report/index.html. `plot` is the figure as SVG, or why there is none.

    `records` holds what is in run.json, scores.json, success.json and correlation.json, each under its name
    (`run`, ...), None where it is absent. Every text in them is shown as text.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    start = plot.find("<svg")
    return environment.get_template("report.html.jinja").render(
        {name: getattr(leaderboard, name) for name in ("covered", "lost", "measured", "place", "title")},
        tables=[(table, leaderboard.caption(table, judgments), leaderboard.notes(table)) for table in tables(found)],
        samples=samples,
        plot=Markup(plot[start:]) if start >= 0 else None,  # our own file; names in it are outlines or escaped
        why_no_plot=plot,
        headline=_headline(found, judgments, records),
        agreement=_agreement(records["correlation"]),
        facts=list(facts(records["run"] or {})),
        heading_of=lambda rubric: COLUMNS.get(RUBRICS.get(rubric_name(rubric), ""), rubric),
        sha256=lambda text: base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode("ascii"),
    )


def _headline(found: Sequence[Row], judgments: Sequence[JSON], records: Mapping[str, Any]) -> JSON:
    table = tables(found)[0] if found else []
    scores = records["scores"]
    settings = records["run"] or {}
    return {
        "suites": list(dict.fromkeys(suite for row in found for suite in row.suites)),
        "groups": {name: sum(row.group == name for row in table) for name in ("trained", "control", "reference")},
        "videos": len({(j["suite"], j["task"], j["model"], j["seed"]) for j in judgments}),
        "judges": sorted({row["judge"] for row in scores if rubric_name(row["rubric"]) != "executable"}),
        "others": sorted({row["rubric"] for row in scores if rubric_name(row["rubric"]) not in RUBRICS}),
        "success": bool(records["success"]),
        "date": settings.get("date"),
        "best": [row for row in table if row.rank == 1],
    }


def _agreement(correlation: JSON | None) -> list[tuple[str, str, str]]:
    """Group, coefficient, and what else is to be said of it."""
    if correlation is None:
        return []
    names = {"all": "All models", "trained": "Trained models only", "controls": "Controls only"}
    groups = correlation["groups"]
    found = [(who, groups.get(n)) for n, who in names.items()]
    return [(who, agreement_text(own) + leaning_text(own), (own or {}).get("note") or "") for who, own in found]


def facts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of run.json with the path to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from facts(item, f"{name} · {key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value, 1):
            yield from facts(item, f"{name} · {number}")
    elif value not in ("", [], None):
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    else:
        yield name, ABSENT


# Samples


def samples(
    out: Path,
    found: Sequence[Row],
    *,
    judgments: Sequence[JSON],
    suites: Sequence[Suite],
    records: tuple[Sequence[JSON], Sequence[JSON]],
) -> list[JSON]:
    """The same few tasks for every model: what was asked, dreamed, answered, and reached when replayed.

    `records` are the lines of videos.jsonl and of the replays in episodes.jsonl. Suites that were judged go first.
    """
    videos, replays = ({_key(line): line for line in lines} for lines in records)
    answers: dict[Key, list[JSON]] = {}
    for line in sorted(judgments, key=lambda line: (line["rubric"], line["judge"])):
        answers.setdefault(_key(line), []).append(line | {"reply": shortened(line["reply"])})
    tasks = {(task.suite, task.id): task for suite in suites for task in suite.tasks}
    rows = [row for row in tables(found)[0] if row.group != "reference"] if found else []
    shown = []
    for suite, name, seed in chosen(answers or videos):
        cards = []
        for row in rows:
            key = (suite, name, row.model, seed)
            src, first, why = embedded(out, videos.get(key))
            own = {"src": src, "why": why, "answers": answers.get(key, []), "replay": replays.get(key)}
            cards.append({"row": row, "first": first} | own)
        shown.append(_asked(suite, name, tasks.get((suite, name)), cards) | {"seed": seed, "cards": cards})
    return shown


def _key(line: Mapping[str, Any]) -> Key:
    return line["suite"], line["task"], line["model"], line["seed"]


def _asked(suite: str, name: str, task: Task | None, cards: Sequence[JSON]) -> JSON:
    given = _image(task.first_frame.read_bytes()) if task and task.first_frame.is_file() else None
    made = next(((card["first"], card["row"].model) for card in cards if card["first"]), (None, None))
    frame, source = (given, None) if given else made
    instruction = task.instruction if task else None
    return {"suite": suite, "task": name, "instruction": instruction, "frame": frame, "frame_of": source}


def chosen(videos: Iterable[Key], count: int = SAMPLES) -> list[tuple[str, str, int]]:
    """(suite, task, seed) to show: as many of each suite, evenly spaced among its tasks, under the first seed."""
    seeds: dict[str, dict[str, int]] = {}
    for suite, task, _, seed in videos:
        own = seeds.setdefault(suite, {})
        own[task] = min(seed, own.get(task, seed))
    found = []
    for at, suite in enumerate(sorted(seeds)):
        tasks = sorted(seeds[suite])
        share = min(len(tasks), count // len(seeds) + (at < count % len(seeds)))
        picked = [tasks[(2 * i + 1) * len(tasks) // (2 * share)] for i in range(share)]
        found += [(suite, task, seeds[suite][task]) for task in picked]
    return found


def embedded(out: Path, video: JSON | None) -> tuple[str | None, str | None, str]:
    """A video that every browser plays and its first frame, as data URIs; or why there is none."""
    if video is None:
        return None, None, "none recorded"
    if video["file"] is None:
        return None, None, video["reason"] or "no reason recorded"
    path = (out / video["file"]).resolve()
    if not path.is_relative_to(out.resolve()):
        return None, None, f"{video['file']} is outside the run folder"
    try:
        content = read(path)
        web = base64.b64encode(encode(content, web=True)).decode("ascii")
    except VideoError as error:
        return None, None, str(error).replace(str(path), video["file"])
    return f"data:video/mp4;base64,{web}", _image(_png(content.frames[0])), ""


def _png(frame: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(frame).save(out, "PNG")
    return out.getvalue()


def _image(data: bytes) -> str:
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def shortened(reply: str) -> str:
    """A reply of bearable length, and how much was cut off."""
    more = len(reply) - LONGEST_REPLY
    return reply if more <= 0 else f"{reply[:LONGEST_REPLY]} … ({more} more characters)"
