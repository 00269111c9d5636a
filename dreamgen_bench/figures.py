"""What each figure of a board shows, out of its records; `plots` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import publish, suites
from .publish import Board
from .standings import JSON, RUBRICS, Row, rubric_name

Array = NDArray[np.float64]
Drawn = list[list[str]]  # [file without suffix, relative to the page; what it shows]
RESAMPLES = 2_000
MOST_ROWS = 48
Answers = dict[str, dict[str, dict[tuple[str, int], float]]]  # model -> IF or PA -> (task, seed) -> value


def draw(board: Board, found: Sequence[Row], correlation: JSON | None, *, out: Path) -> Drawn:
    """Every figure of one board that its records allow, under out/figures/."""
    from . import plots

    drawn: Drawn = []

    def paths(name: str, words: str) -> dict[str, Any]:
        drawn.append([f"figures/{board.id}-{name}", words])
        base = out / f"figures/{board.id}-{name}"
        base.parent.mkdir(parents=True, exist_ok=True)
        return {"path_png": base.with_suffix(".png"), "path_svg": base.with_suffix(".svg")}

    if correlation is not None:
        known = [row for row in found if row.group == "reference" and row.success.mean is not None]
        lines = {f"{row.model} ({row.mark})" if row.mark else row.model: float(row.success.mean or 0) for row in known}
        plots.score_vs_success(correlation, references=lines, **paths("success", "Bench score against policy success"))
    if sizes := families(board, found):
        words = "Bench score over size"
        plots.scaling(sizes, x="parameters", y="Bench score [95 % interval]", **paths("scaling", words))
    answers = answers_of(board)
    for column, heading in (("instruction", "IF"), ("physics", "PA")):
        values, models, behaviors = by_behavior(board, answers, column)
        if len(behaviors) > 1:
            into = paths(f"behavior-{heading.lower()}", f"{heading} by behavior")
            plots.behavior_map(values, models=models, behaviors=behaviors, what=heading, **into)
    shares, models = place_shares(answers)
    if len(models) > 1:
        words = "How often each model takes each place when tasks are drawn again"
        plots.rank_shares(shares, models=models, what=words, **paths("ranks", words))
    return drawn


def draw_judges(several: Sequence[Board], *, out: Path) -> Drawn:
    """Judges of one suite compared: how often they agree, and whether they rank alike."""
    from . import plots

    judges = [board.judge for board in several]
    if len(set(judges)) < 2 or len(judges) > len(set(judges)):
        return []
    answers = [answers_of(board) for board in several]
    drawn: Drawn = []
    base = out / f"figures/{several[0].suite}-{several[0].suite_digest[:8]}"
    base.parent.mkdir(parents=True, exist_ok=True)
    for column, heading in (("instruction", "IF"), ("physics", "PA")):
        matrix = agreement_of(answers, column)
        words = f"{heading}: share of the same videos on which two judges say the same"
        file = base.with_name(f"{base.name}-judges-{heading.lower()}")
        into: dict[str, Any] = {"path_png": file.with_suffix(".png"), "path_svg": file.with_suffix(".svg")}
        plots.agreement_matrix(matrix, judges=judges, what=words, **into)
        drawn.append([f"figures/{file.name}", words])
    if places := places_by_judge(answers):
        file = base.with_name(f"{base.name}-places")
        into = {"path_png": file.with_suffix(".png"), "path_svg": file.with_suffix(".svg")}
        plots.ranks_by_judge(places, judges=judges, **into)
        drawn.append([f"figures/{file.name}", "Place of each model under each judge"])
    return drawn


def families(board: Board, found: Sequence[Row]) -> dict[str, list[tuple[float, float, Sequence[float] | None]]]:
    """Trained models of known size, by family."""
    bench = {row.model: row.bench for row in found}
    labels = publish.labels(board)
    names = {record.model.name for record in labels.values()}
    grouped: dict[str, list[tuple[float, float, Sequence[float] | None]]] = {}
    for label, record in labels.items():
        cell = bench[label]
        if record.model.group == "trained" and record.model.parameters and cell.mean is not None:
            point = float(record.model.parameters), cell.mean, cell.ci95
            grouped.setdefault(family_of(record.model.name, names), []).append(point)
    return grouped if sum(map(len, grouped.values())) > 1 else {}


def family_of(name: str, names: Iterable[str]) -> str:
    """Whose variant a model is, of those on a board: `wan-s-sft` is of `wan-s`, if that is there, else of itself."""
    return min((other for other in names if f"{name}-".startswith(f"{other}-")), key=len)


def answers_of(board: Board) -> Answers:
    """What the judge said of every video."""
    found: Answers = {}
    for label, record in publish.labels(board).items():
        places = {video.key: (video.task, video.seed) for video in record.samples.videos}
        own = found.setdefault(label, {"instruction": {}, "physics": {}})
        for said in record.samples.judgments:
            column = RUBRICS.get(rubric_name(said.rubric), "")
            if column in own and said.value is not None:
                own[column][places[said.video]] = said.value
    return found


def by_behavior(board: Board, answers: Answers, column: str) -> tuple[Array, list[str], list[str]]:
    """Means [models, behaviors], of the models in the order of their means."""
    behavior: Mapping[str, str] = {}
    if board.suite in suites.names() and suites.load(board.suite).digest == board.suite_digest:
        behavior = {task.id: task.behavior for task in suites.load(board.suite).tasks}
    cells: dict[tuple[str, str], list[float]] = {}
    for model, own in answers.items():
        for (task, _), value in own[column].items():
            if name := behavior.get(task):
                cells.setdefault((model, name), []).append(value)
    behaviors = sorted({name for _, name in cells})
    means = {model: np.mean(list(own[column].values())) for model, own in answers.items() if own[column]}
    models = sorted(means, key=lambda model: (-float(means[model]), model))[:MOST_ROWS]
    rows = [[np.mean(cells[m, b]) if (m, b) in cells else np.nan for b in behaviors] for m in models]
    return np.array(rows, dtype=np.float64).reshape(len(models), len(behaviors)), models, behaviors


def _bench(answers: Answers) -> tuple[Array, list[str]]:
    """Bench score of each model on each task that all of them have, [models, tasks]."""
    by_task: dict[str, dict[str, list[float]]] = {}
    for model, own in answers.items():
        for place in own["instruction"].keys() & own["physics"].keys():
            value = (own["instruction"][place] + own["physics"][place]) / 2
            by_task.setdefault(place[0], {}).setdefault(model, []).append(value)
    models = sorted({model for of in by_task.values() for model in of})
    whole = [task for task, of in sorted(by_task.items()) if len(of) == len(models)]
    values = [[float(np.mean(by_task[task][model])) for task in whole] for model in models]
    return np.array(values, dtype=np.float64).reshape(len(models), len(whole)), models


def place_shares(answers: Answers, *, seed: int = 0) -> tuple[Array, list[str]]:
    """How often each model takes each place among all, over resampled tasks; [models, places], best first."""
    values, models = _bench(answers)
    if not values.size:
        return np.zeros((0, 0)), []
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (RESAMPLES, values.shape[1]))
    means = values[:, drawn].mean(axis=2)  # [models, resamples]
    noise = np.random.default_rng(seed).random(means.shape) * 1e-9  # equal means share their places evenly
    places = (-(means + noise)).argsort(axis=0).argsort(axis=0)
    shares = np.stack([(places == place).mean(axis=1) for place in range(len(models))], axis=1)
    order = np.argsort(places.mean(axis=1), kind="stable")
    return shares[order], [models[at] for at in order]


def agreement_of(answers: Sequence[Answers], column: str) -> Array:
    """Share of shared videos on which two judges say the same, [judges, judges]; NaN where they share none."""
    said = [
        {(model, *place): value >= 0.5 for model, own in judge.items() for place, value in own[column].items()}
        for judge in answers
    ]
    rows = []
    for one in said:
        shared = [one.keys() & other.keys() for other in said]
        rows.append([np.mean([one[k] == o[k] for k in s]) if s else np.nan for o, s in zip(said, shared, strict=True)])
    return np.array(rows, dtype=np.float64)


def places_by_judge(answers: Sequence[Answers]) -> dict[str, list[float]]:
    """The place of each model that every judge has seen, under each judge; equal scores share the mean place."""
    from scipy.stats import rankdata

    means = [{m: float(v.mean()) for m, v in zip(names, values, strict=True)} for values, names in map(_bench, answers)]
    shared = sorted(set.intersection(*(set(of) for of in means))) if means else []
    if len(shared) < 2:
        return {}
    places = [rankdata([-of[model] for model in shared]) for of in means]
    return {model: [float(of[at]) for of in places] for at, model in enumerate(shared)}
