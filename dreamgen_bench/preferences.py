"""Which of two videos of one task looks more real: pairs for people, and what their choices say of the models.

The two are side by side in an order of each rater's own, unnamed. Every task gives as many pairs as it has models, in a
ring whose order is drawn anew for each task: every model is seen equally often, and no model is apart from the others.
"""

from __future__ import annotations

import csv
import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .annotate import Choice, Session, copied, described, given, opened, remembered, write_csv
from .stats import mean_interval
from .store import digest
from .types import Task, UserError, VideoRecord

RUBRIC = "physics-preference-v1"
QUESTION = (
    "Which of the two looks more real, with nothing that jumps, stutters, melts, changes color, appears, vanishes or "
    "goes through something solid?"
)
COLUMNS = (
    "pair", "rater", "first", "second", "preferred", "first_video", "second_video",
    "suite", "task", "instruction", "behavior", "look", "rubric",
)  # fmt: skip
PRIOR = 4.0
"""Variance of the strengths before anybody has answered: a model that won every time is strong, not infinitely so."""
DRAWS = 200


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two videos of one task by two models. A label is the first one's share: 1 preferred, 0.5 alike, 0 not."""

    choices: ClassVar[tuple[Choice, ...]] = (
        Choice(words="Left", keys=("1", "ArrowLeft"), label=1),
        Choice(words="Right", keys=("2", "ArrowRight"), label=0),
        Choice(words="Both alike", keys=("0", "="), label=0.5),
    )
    rubric: ClassVar[str] = RUBRIC
    id: str
    first: str  # models
    second: str
    files: tuple[str, str]  # of the page's videos
    sources: tuple[str, str]  # of the kept ones
    suite: str
    task: str
    instruction: str
    behavior: str
    look: str

    def _swapped(self, rater: str) -> bool:
        return int(digest("side", rater, self.id), 16) % 2 == 1

    def shown(self, rater: str) -> dict[str, Any]:
        """The two in this rater's order."""
        return {"id": self.id, "videos": list(self.files[:: -1 if self._swapped(rater) else 1]), "question": QUESTION}

    def meant(self, rater: str, label: float) -> float:
        """Of the first, where the page's label is of the left one."""
        return 1 - label if self._swapped(rater) else label

    def videos(self) -> list[str]:
        """Both."""
        return list(self.files)


def prepare(videos: Sequence[VideoRecord], tasks: Mapping[tuple[str, str], Task], *, run: Path, out: Path) -> Session:
    """Make, or find again, the pairs of these videos. UserError: the folder began with other videos."""
    of = digest(QUESTION, [video.key for video in videos])
    kept = remembered(out, of, lambda: list(_pairs(videos, tasks, run=run, out=out)))
    pairs = {
        pair["id"]: Pair(**{**pair, "files": tuple(pair["files"]), "sources": tuple(pair["sources"])}) for pair in kept
    }
    return opened(out, pairs)


def _pairs(
    videos: Sequence[VideoRecord], tasks: Mapping[tuple[str, str], Task], *, run: Path, out: Path
) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str, int], list[VideoRecord]] = {}
    for video in videos:
        if (video.suite, video.task) in tasks:
            groups.setdefault((video.suite, video.task, video.seed), []).append(video)
    for (suite, name, seed), group in groups.items():
        seen = [(v.model, c) for v in group if len(group) > 1 and (c := copied(v, run=run, out=out))]
        random.Random(digest("ring", suite, name, seed)).shuffle(seen)
        for one, other in zip(seen, seen[1:] + seen[:1] * (len(seen) > 2), strict=False):
            yield {
                "id": secrets.token_hex(8),
                "first": one[0],
                "second": other[0],
                "files": [one[1]["file"], other[1]["file"]],
                "sources": [one[1]["source"], other[1]["source"]],
                "suite": suite,
                "task": name,
                **described(tasks[suite, name]),
            }


# What came of it


def write(session: Session) -> Path:
    """preferences.csv: a line a rater and pair; `preferred` is 1 for the first, 0 for the second, 0.5 for neither."""
    rows = []
    for pair, answer in given(session, Pair):
        about = {name: value for name, value in asdict(pair).items() if name in COLUMNS}
        about |= {"pair": pair.id, "first_video": pair.sources[0], "second_video": pair.sources[1], "rubric": RUBRIC}
        rows.append(about | {"rater": answer.rater, "preferred": f"{answer.label:g}"})
    return write_csv(session.out / "preferences.csv", COLUMNS, rows)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A model's place by preferences: its share of pairs won, and its Bradley-Terry strength, both with intervals."""

    model: str
    pairs: int
    share: float
    share_ci95: tuple[float, float] | None
    strength: float  # in logits, 0 is the mean of the models
    strength_ci95: tuple[float, float] | None


def standings(path: Path, *, seed: int = 0) -> list[Standing]:
    """A Bradley-Terry table of preferences.csv, the strongest first; intervals draw tasks again.

    Bradley & Terry 1952, fitted as a logistic regression on the difference of two models; a tie is half a win for each.
    Raises UserError for a file without choices between two models.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or set(rows[0]) != set(COLUMNS):
        raise UserError(f"{path}: holds no preferences; its columns are {', '.join(COLUMNS)}")
    models = sorted({row[name] for row in rows for name in ("first", "second")})
    sides = np.array([[models.index(row["first"]), models.index(row["second"])] for row in rows])
    won = np.array([float(row["preferred"]) for row in rows])
    names = [f"{row['suite']}/{row['task']}" for row in rows]
    tasks = np.unique(names, return_inverse=True)[1]
    found, ends = strengths(sides, won, len(models)), _intervals(sides, won, tasks, len(models), seed)
    table = []
    for at, model in enumerate(models):
        mine = (sides == at).any(axis=1)
        shares = np.where(sides[mine, 0] == at, won[mine], 1 - won[mine])
        share = mean_interval(shares, tasks=tasks[mine])
        about: dict[str, Any] = {
            "model": model,
            "pairs": int(mine.sum()),
            "share": float(shares.mean()),
            "share_ci95": share.ci95,
        }
        table.append(Standing(**about, strength=float(found[at]), strength_ci95=ends[at] if ends else None))
    return sorted(table, key=lambda row: (-row.strength, row.model))


def strengths(sides: np.ndarray, won: np.ndarray, models: int) -> np.ndarray:
    """Bradley-Terry strengths in logits [models] of pairs [n, 2] (first, second) and the first's share [n]."""
    from sklearn.linear_model import LogisticRegression

    difference = np.zeros((len(sides), models))
    difference[np.arange(len(sides)), sides[:, 0]] += 1
    difference[np.arange(len(sides)), sides[:, 1]] -= 1
    # Each choice stands once as won and once as lost, weighted by its share: so ties need no model of their own.
    twice, said = np.concatenate([difference, difference]), np.repeat([1, 0], len(sides))
    fit = LogisticRegression(C=PRIOR, fit_intercept=False).fit(twice, said, np.concatenate([won, 1 - won]))
    return fit.coef_[0] - fit.coef_[0].mean()


def _intervals(
    sides: np.ndarray, won: np.ndarray, tasks: np.ndarray, models: int, seed: int
) -> list[tuple[float, float]] | None:
    """Percentiles over resampled tasks; None where one task is all there is."""
    count = int(tasks.max()) + 1
    if count < 2:
        return None
    rng, drawn = np.random.default_rng(seed), []
    of = [np.flatnonzero(tasks == task) for task in range(count)]
    for _ in range(DRAWS):
        rows = np.concatenate([of[task] for task in rng.integers(0, count, count)])
        drawn.append(strengths(sides[rows], won[rows], models))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
