"""Scores and success rates to the rows of a leaderboard: what is averaged and ranked, and why a value is absent.

`leaderboard.py` offers these names and prints the rows.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import stats
from .types import UserError

T = TypeVar("T")

JSON = dict[str, Any]
COLUMNS = {
    "bench": "Bench",
    "instruction": "IF",
    "physics": "PA",
    "executable": "Executable",
    "success": "Success",
}
"""Attributes of a Row that hold a Cell, with their headings."""
RUBRICS = {"instruction-following": "instruction", "physics-alignment": "physics", "executable": "executable"}
MARKS = {"true_actions": "ceiling", "replay": "ceiling"} | dict.fromkeys(
    ("static", "wrong_instruction", "random", "teleoperation"), "floor"
)
LEAST_COVERAGE, MOST_UNPARSED, MOST_ELSEWHERE = 0.98, 0.02, 0.1
ABSENT = "–"
NOT_MEASURED = "not measured here"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One value of one model, or `why` there is none; `n` answers (or episodes) of `planned`."""

    mean: float | None = None
    ci95: tuple[float, float] | None = None
    n: int = 0
    planned: int = 0
    no_video: int = 0
    judge_error: int = 0
    unparsed: int = 0
    bounds: tuple[float, float] | None = None
    why: str = ""

    @property
    def coverage(self) -> float | None:
        """Share of what was planned that has a value; a missing video has one, 0."""
        return (self.n + self.no_video) / self.planned if self.planned else None

    def __str__(self) -> str:
        """As tables print it: 0.88 [0.76, 0.94]."""
        if self.mean is None:
            return ABSENT
        return f"{self.mean:.2f}" + (stats.bracketed(self.ci95) or f" [{ABSENT}]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One model in the table of `suites`; `leader` is who shares its rank and cannot be told apart from it."""

    suites: tuple[str, ...]
    model: str
    group: str  # trained, control, reference (makes no videos), or unknown
    mark: str = ""  # ceiling or floor
    adaptation: str = ""
    bench: Cell = field(default_factory=Cell)
    instruction: Cell = field(default_factory=Cell)
    physics: Cell = field(default_factory=Cell)
    executable: Cell = field(default_factory=Cell)
    success: Cell = field(default_factory=Cell)
    unranked: str = ""  # why; '' where it is ranked
    rank: int | None = None
    leader: str | None = None

    def cell(self, column: str) -> Cell:
        """The cell of one of COLUMNS."""
        found: Cell = getattr(self, column)
        return found

    @property
    def ranked(self) -> bool:
        """Whether the row has a rank."""
        return self.rank is not None

    @property
    def coverage(self) -> float | None:
        """The smaller of those of IF and PA."""
        found = [cell.coverage for cell in (self.instruction, self.physics) if cell.coverage is not None]
        return min(found, default=None)

    @property
    def kind(self) -> str:
        """Group, adaptation and mark in words."""
        adaptation = self.adaptation if self.adaptation != "none" else ""
        return ", ".join(filter(None, (self.group, adaptation, self.mark)))


Cells = dict[tuple[str, str, str], Cell]  # by column, model, suite


def rows(
    scores: Sequence[JSON],
    success: Sequence[JSON],
    *,
    models: Mapping[str, JSON],
    judgments: Sequence[JSON] | None = None,
) -> list[Row]:
    """The rows of all tables, in the order to print them; the table over all suites first, where there are several.

    `models` says of each world model its `group` and `adaptation` (`mark`, if it is a ceiling or a floor; `unranked`,
    if there is a reason from outside why it can't be ranked; `elsewhere`, the same for single suites). A
    model is only averaged over suites if it has a value on each suite that another model has. A rank is shared by
    paired tests on `judgments`, or without them where 95 % intervals overlap with the group's leader. UserError:
    two rows for one cell, counts that do not add up.
    """
    cells = _cells(scores, success, models)
    suites = sorted({suite for _, _, suite in cells})
    names = sorted(set(models) | {model for _, model, _ in cells})
    found: list[Row] = []
    for chosen in ([tuple(suites)] if len(suites) > 1 else []) + [(suite,) for suite in suites]:
        table = [_row(name, chosen, cells, models) for name in names]
        found += _placed([row for row in table if row.model in models or _has_value(row)], judgments)
    return found


def _cells(scores: Sequence[JSON], success: Sequence[JSON], models: Mapping[str, JSON]) -> Cells:
    found: Cells = {}
    recipe = _most((row["idm"], row["policy"]) for row in success if row["model"] in models)
    replayed = [row for row in scores if rubric_name(row["rubric"]) == "executable"]
    idm = _most(row["judge"] for row in replayed)
    for row in scores:
        rubric = rubric_name(row["rubric"])
        if rubric in RUBRICS and (rubric != "executable" or row["judge"] == idm):
            _put(found, (RUBRICS[rubric], row["model"], row["suite"]), _scored(row))
    for row in (row for row in replayed if row["judge"] != idm):
        why = f"executable is by another IDM ({row['judge']}): not comparable"
        found.setdefault(("executable", row["model"], row["suite"]), Cell(why=why))
    same: list[JSON] = []
    other: list[JSON] = []
    for row in success:
        same_recipe = row["model"] not in models or (row["idm"], row["policy"]) == recipe
        (same if same_recipe else other).append(row)
    for row in same:
        counts = {"n": row["episodes"], "planned": row.get("planned", row["episodes"])}
        _put(found, ("success", row["model"], row["suite"]), _cell(row, **counts))
    for row in other:
        why = f"success is of another recipe (idm {row['idm']}, policy {row['policy']}): not comparable"
        found.setdefault(("success", row["model"], row["suite"]), Cell(why=why))
    return found


def _most(items: Iterable[T]) -> T | None:
    """What comes most often; of several the first by its text."""
    counts = Counter(items)
    return min(counts, key=lambda item: (-counts[item], str(item)), default=None)


def rubric_name(rubric: str) -> str:
    """The name without its version and digest: instruction-following-v1@3f.. is instruction-following."""
    return re.sub(r"(-v\d+)?(@.*)?$", "", rubric)


def _put(cells: Cells, place: tuple[str, str, str], cell: Cell) -> None:
    if place in cells:
        column, model, suite = place
        cure = "keep those of one judge, or of one recipe"
        raise UserError(f"two rows for the {COLUMNS[column]} of {model!r} on {suite!r}: {cure}")
    cells[place] = cell


def _scored(row: JSON) -> Cell:
    counts = {key: int(row[key]) for key in ("n", "planned", "no_video", "judge_error", "unparsed")}
    if counts["planned"] != sum(counts.values()) - counts["planned"]:
        what = f"{row['rubric']} of {row['model']!r} on {row['suite']!r}"
        raise UserError(f"{what}: {counts} do not add up to what was planned; score the run again")
    return _cell(row, **counts)


def _cell(row: JSON, **counts: int) -> Cell:
    ci95, bounds = (tuple(row[key]) if row.get(key) else None for key in ("ci95", "bounds"))
    why = "" if row["mean"] is not None else row.get("why") or "no answer could be had"
    return Cell(mean=row["mean"], ci95=ci95, bounds=bounds, why=why, **counts)


def _row(model: str, suites: tuple[str, ...], cells: Cells, models: Mapping[str, JSON]) -> Row:
    about = models.get(model, {})
    found: dict[str, Any] = {
        column: _over_suites(column, model, suites, cells) for column in COLUMNS if column != "bench"
    }
    videos = any((column, model, suite) in cells for column in RUBRICS.values() for suite in suites)
    group = "unknown" if model in models or videos else "reference"
    if "group" in about:
        group = "control" if about["group"] == "control" else "trained"
    if group == "reference":
        found |= {column: replace(found[column], why="makes no videos") for column in RUBRICS.values()}
    found["bench"] = _bench(found["instruction"], found["physics"])
    row = Row(
        suites=suites,
        model=model,
        group=group,
        mark=about.get("mark", "" if group == "trained" else MARKS.get(model, "")),
        adaptation=about.get("adaptation", ""),
        **found,
    )
    why = [f"{reason} ({suite})" for suite, reason in about.get("elsewhere", {}).items() if reason and suite in suites]
    return replace(row, unranked=_unranked(row) or about.get("unranked", "") or "; ".join(why))


class Begun(Protocol):
    """A video that was looked at for whether it begins at its task's first frame, or was not (None)."""

    @property
    def begins(self) -> bool | None:
        """None: not looked at."""


def elsewhere(videos: Iterable[Begun]) -> str:
    """Why a model can't be ranked whose videos go on from other first frames than the tasks'; '' where they don't.

    Neither IF nor PA asks for it: true videos of another start are sound, and show what was asked for.
    """
    looked = [video.begins for video in videos if video.begins is not None]
    lost = looked.count(False)
    if lost <= MOST_ELSEWHERE * len(looked):
        return ""
    return f"{lost} of {len(looked)} videos do not begin at the task's first frame"


def _has_value(row: Row) -> bool:
    return any(row.cell(column).mean is not None for column in COLUMNS)


def _over_suites(column: str, model: str, suites: tuple[str, ...], cells: Cells) -> Cell:
    """The mean over the suites on which anyone has this value: their tasks differ, so errors are independent."""
    measured = [s for s in suites if any(c == column and suite == s for c, _, suite in cells)]
    if not measured:
        return Cell(why=NOT_MEASURED)
    own = {s: cells.get((column, model, s), Cell(why="none recorded")) for s in measured}
    if len(suites) == 1:
        return own[measured[0]]
    names = ("n", "planned", "no_video", "judge_error", "unparsed")
    counts = {name: sum(getattr(cell, name) for cell in own.values()) for name in names}
    lacking = {s: cell.why for s, cell in own.items() if cell.mean is None}
    if lacking:
        return Cell(why="; ".join(f"{why} on {s}" for s, why in lacking.items()), **counts)
    mean = _mean(cell.mean or 0.0 for cell in own.values())
    known = [(cell.mean or 0.0, cell.ci95) for cell in own.values() if cell.ci95]
    ci95 = None
    if len(known) == len(own):  # half-widths add in squares (Zou & Donner 2008)
        low, high = (math.hypot(*(ends[i] - at for at, ends in known)) / len(own) for i in (0, 1))
        ci95 = (mean - low, mean + high)
        if all(0 <= end <= 1 for _, ends in known for end in ends):
            ci95 = (max(ci95[0], 0.0), min(ci95[1], 1.0))
    pairs = [cell.bounds for cell in own.values() if cell.bounds]
    bounds = (_mean(b[0] for b in pairs), _mean(b[1] for b in pairs)) if len(pairs) == len(own) else None
    return Cell(mean=mean, ci95=ci95, bounds=bounds, **counts)


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return math.fsum(kept) / len(kept)


def _bench(first: Cell, second: Cell) -> Cell:
    """Mean of two answers about the same videos; their errors may move together, so half-widths are averaged."""
    if first.mean is None or second.mean is None:
        why = dict.fromkeys(cell.why for cell in (first, second) if cell.mean is None)
        return Cell(why="; ".join(why))
    ci95 = None
    if first.ci95 and second.ci95:
        ci95 = ((first.ci95[0] + second.ci95[0]) / 2, (first.ci95[1] + second.ci95[1]) / 2)
    both: dict[str, Any] = {"n": min(first.n, second.n), "planned": max(first.planned, second.planned)}
    return Cell(mean=(first.mean + second.mean) / 2, ci95=ci95, no_video=max(first.no_video, second.no_video), **both)


def _unranked(row: Row) -> str:
    if row.group != "trained":
        return f"group {row.group}"
    if row.bench.mean is None:
        return f"no bench score: {row.bench.why}"
    for cell, name in ((row.instruction, "IF"), (row.physics, "PA")):
        if cell.unparsed > MOST_UNPARSED * cell.planned:
            return f"{name}: {cell.unparsed / cell.planned:.1%} of replies unparsed, more than {MOST_UNPARSED:.0%}"
        if cell.coverage is not None and cell.coverage < LEAST_COVERAGE:
            return f"{name}: coverage {cell.coverage:.1%}, below {LEAST_COVERAGE:.0%}"
    return ""


def _placed(table: list[Row], judgments: Sequence[JSON] | None) -> list[Row]:
    waiting = sorted((row for row in table if not row.unranked), key=lambda row: (-(row.bench.mean or 0), row.model))
    places = _paired_places(waiting, judgments) or _overlapping_places(waiting)
    ranked = [replace(row, rank=places[row.model][0], leader=places[row.model][1]) for row in waiting]
    rest = [row for row in table if row.unranked]
    return sorted(ranked, key=lambda row: row.rank or 0) + sorted(rest, key=_order)


def _order(row: Row) -> tuple[int, bool, float, str]:
    value = row.success.mean if row.bench.mean is None else row.bench.mean
    group = ("trained", "unknown", "control", "reference").index(row.group)
    return group, value is None, -(value or 0), row.model


def _overlapping_places(waiting: list[Row]) -> dict[str, tuple[int, str]]:
    places: dict[str, tuple[int, str]] = {}
    leader, rank = None, 0
    for place, row in enumerate(waiting, 1):
        low = leader.bench.ci95[0] if leader and leader.bench.ci95 else math.inf
        high = row.bench.ci95[1] if row.bench.ci95 else (row.bench.mean or 0)
        if leader is None or high < low:
            leader, rank = row, place
        places[row.model] = rank, leader.model
    return places


Paired = tuple[NDArray[np.float64], list[str], list[str]]  # values [models, videos], models, tasks


def paired(waiting: Sequence[Row], judgments: Sequence[JSON] | None) -> Paired | None:
    """The bench score of each (task, seed) under each ranked model, weighted so that suites count alike."""
    names = [row.model for row in waiting]
    answers: dict[tuple[str, str, int], dict[str, dict[str, float]]] = {}
    for judgment in judgments or ():
        column = RUBRICS.get(rubric_name(judgment["rubric"]))
        wanted = judgment["model"] in names and judgment["suite"] in waiting[0].suites
        if wanted and column in ("instruction", "physics") and judgment["value"] is not None:
            video = answers.setdefault((judgment["suite"], judgment["task"], judgment["seed"]), {})
            video.setdefault(judgment["model"], {})[column] = float(judgment["value"])
    videos = sorted(answers)
    in_suite = Counter(suite for suite, _, _ in videos)
    values = np.full((len(names), len(videos)), np.nan)
    for column_at, video_key in enumerate(videos):
        weight = len(videos) / len(in_suite) / in_suite[video_key[0]]
        for row_at, name in enumerate(names):
            own = answers[video_key].get(name, {})
            if len(own) == 2:
                values[row_at, column_at] = weight * sum(own.values()) / 2
    if not len(videos) or np.isnan(values).all(axis=1).any():
        return None
    return values, names, [f"{suite}/{task}" for suite, task, _ in videos]


def _paired_places(waiting: Sequence[Row], judgments: Sequence[JSON] | None) -> dict[str, tuple[int, str]] | None:
    found = paired(waiting, judgments)
    if found is None:
        return None
    values, models, tasks = found
    ranked = stats.rank_groups(values, models=models, tasks=tasks)
    return {place.model: (place.rank or 0, place.leader or "") for place in ranked}


# Words


def visible(text: str) -> str:
    r"""The text with what has no shape of its own (controls, zero widths, turns of direction) as \uXXXX."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    kinds = ((c, unicodedata.category(c)) for c in text)
    return "".join(f"\\u{ord(c):04x}" if kind in hidden and c not in "\n\t" else c for c, kind in kinds)


def line(text: str) -> str:
    """The same on one line."""
    return visible(" ".join(text.split()))


def agreement_text(group: Mapping[str, Any] | None) -> str:
    """One group of correlation.json in words: Pearson r = 0.80 [0.20, 0.97], n = 8."""
    if group is None:
        return "undefined: not computed"
    found, n = group["pearson"], group["n_models"]
    if found["value"] is None:
        return f"undefined: {found.get('why') or 'no reason recorded'} (n = {n})"
    p = f", p = {found['p']:.2g}" if found.get("p") is not None else ""
    return f"Pearson r = {found['value']:.2f}{stats.bracketed(found['ci95'])}, n = {n}{p}"


def leaning_text(group: Mapping[str, Any] | None) -> str:
    """What r would be without the model on which it leans most: "; without wan-s 0.54". '' where there is none."""
    whole = group and group["pearson"]["value"]
    if group is None or whole is None:
        return ""
    rest = [row for row in group.get("leave_one_out", ()) if row["pearson"] is not None]
    most = max(rest, key=lambda row: abs(row["pearson"] - whole), default=None)
    return f"; without {most['model']} {most['pearson']:.2f}" if most else ""
