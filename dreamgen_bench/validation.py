"""Labels x judge -> how far the judge can be trusted, and whether that is far enough.

    labels -> the judge's answers (a run folder, resumable) -> figures, whole and split -> the gate

The gate's thresholds are `GATE`, one value for all judges and tracks. A figure that is undefined does not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import agreement, judge, labels, reliability
from .corrected import corrected
from .labels import Clip, Labels
from .reliability import Answers, Figure
from .store import RecordFile, digest, sha256_of, write_json
from .types import Judge, Judgment, Rubric, Spec, Task, VideoRecord

SUITE = "labels"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A figure and how good it has to be; `low` is asked of the lower end of its interval."""

    figure: str
    least: float | None = None
    most: float | None = None
    low: float | None = None
    why: str

    def failed(self, figure: Figure) -> str | None:
        """What is wrong with a figure, or None."""
        if figure.value is None:
            return f"{self.figure} is undefined: {figure.why}"
        value = abs(figure.value) if self.figure == "yes_bias" else figure.value
        if self.least is not None and value < self.least:
            return f"{self.figure} {figure.value:.3f} is below {self.least}"
        if self.most is not None and value > self.most:
            return f"{self.figure} {figure.value:.3f} is beyond {self.most}"
        if self.low is not None and figure.ci95 is not None and figure.ci95[0] < self.low:
            return f"the interval of {self.figure} reaches down to {figure.ci95[0]:.3f}, below {self.low}"
        return None


GATE = (
    Requirement(
        figure="balanced_accuracy",
        least=0.80,
        why="the best published single judge of robot clips reaches F1 .695; a score that is to rank models needs more",
    ),
    Requirement(
        figure="kappa",
        least=0.60,
        low=0.40,
        why="'substantial' agreement of Landis and Koch; its interval must not reach below 'moderate', so that few "
        "clips can't pass by luck",
    ),
    Requirement(figure="cry_wolf", most=0.20, why="plain VLMs call three of four sound clips broken"),
    Requirement(figure="yes_bias", most=0.15, why="r = .92 hid 65 points between the paper's judge and people"),
)
COVERAGE = 0.98
"""Share of clips with a readable answer, as of a row that is ranked."""
FEWEST = 10
"""Clips of either label, below which nothing is passed."""


def run(
    spec: Spec,
    load: Callable[[], Judge],
    found: Labels,
    *,
    rubric_of: Callable[[str], Rubric],
    out: Path,
) -> dict[str, Any]:
    """Ask the judge about every clip that `out` has no answer for, and write and return the report."""
    model: list[Judge] = []

    def once() -> Judge:
        model.extend([] if model else [load()])
        return model[0]

    names = sorted({clip.rubric for clip in found.clips})
    chosen = {name: rubric_of(name) for name in names}
    reports = {}
    for name, rubric in chosen.items():
        clips = [clip for clip in found.clips if clip.rubric == name]
        reports[name] = of_rubric(clips, asked(clips, spec, once, rubric=rubric, out=out))
    report = {
        "schema": 1,
        "judge": spec.id,
        "labels": found.path.name,
        "raters": found.raters,
        "problems": [problem.json() for problem in found.problems],
        "rubrics": reports,
        "gate": "passed" if all(r["gate"] == "passed" for r in reports.values()) else "failed",
    }
    write_json(out / "validation.json", report)
    return report


def asked(clips: Sequence[Clip], spec: Spec, load: Callable[[], Judge], *, rubric: Rubric, out: Path) -> list[Judgment]:
    """The judge's answer about each clip, in order; asked once, kept in out/judgments.jsonl."""
    videos = [_record(clip) for clip in clips]
    tasks = {(video.suite, video.task): _task(video, clip) for video, clip in zip(videos, clips, strict=True)}
    judge.run(videos, tasks, spec, load, rubrics=[rubric], out=out)
    there = RecordFile(out / "judgments.jsonl", Judgment).read()
    return [there[judge.judgment_key(video, spec, rubric)] for video in videos]


def of_rubric(clips: Sequence[Clip], judged: Sequence[Judgment]) -> dict[str, Any]:
    """Everything about one rubric: what is missing, the figures, whole and split, the gate, and the corrected score."""
    rated = [(c, j) for c, j in zip(clips, judged, strict=True) if c.truth is not None and j.status != "no_video"]
    known = [(c, j) for c, j in rated if j.value is not None]
    answers = _answers(known)
    figures = reliability.figures(answers)
    coverage = len(known) / len(rated) if rated else 0.0
    failures = _failures(answers, figures, coverage)
    right = float((answers.truth == answers.said).sum())
    return {
        "gate": "failed" if failures else "passed",
        "failures": failures,
        "clips": len(clips),
        "labelled": len(rated),
        "judged": len(known),
        "coverage": round(coverage, 6),
        "missing": {
            status: sum(j.status == status for j in judged) for status in ("no_video", "judge_error", "unparsed")
        },
        "accuracy_bounds": _bounds(right, len(known), len(rated)),
        "figures": {name: figure.json() for name, figure in figures.items()},
        "splits": _splits(known),
        "corrected": _corrected(clips, judged).json(),
        "models": _models(known),
        "price": _price(judged),
    }


def _failures(answers: Answers, figures: dict[str, Figure], coverage: float) -> list[str]:
    found = [failure for need in GATE if (failure := need.failed(figures[need.figure]))]
    least = int(min(answers.truth.sum(), (1 - answers.truth).sum())) if len(answers.truth) else 0
    if least < FEWEST:
        found.append(f"{least} clips of the rarer label: {FEWEST} of either are needed")
    if coverage < COVERAGE:
        found.append(f"coverage {coverage:.3f} is below {COVERAGE}")
    return found


def _bounds(right: float, known: int, rated: int) -> list[float] | None:
    return [round(right / rated, 6), round((right + rated - known) / rated, 6)] if rated else None


def _answers(known: Sequence[tuple[Clip, Judgment]]) -> Answers:
    raters = sorted({rater for clip, _ in known for rater in clip.ratings})
    return Answers(
        truth=np.array([clip.truth for clip, _ in known], np.float64),
        # A checklist's or a graded rubric's value between the ends is a yes from the middle on.
        said=np.array([float((judged.value or 0.0) >= 0.5) for _, judged in known], np.float64),
        chance=np.array([np.nan if j.probability is None else j.probability for _, j in known], np.float64),
        raters=np.array([[c.ratings.get(rater, np.nan) for c, _ in known] for rater in raters]).reshape(
            len(raters), len(known)
        ),
    )


def _splits(known: Sequence[tuple[Clip, Judgment]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for split in labels.SPLITS:
        for value in sorted({clip.about[split] for clip, _ in known if split in clip.about}):
            mine = _answers([(clip, judged) for clip, judged in known if clip.about.get(split) == value])
            row = {name: figure.json() for name, figure in reliability.figures(mine).items()}
            found.setdefault(split, {})[value] = row
    return found


def _corrected(clips: Sequence[Clip], judged: Sequence[Judgment]) -> Any:
    """The score that the labels would have given all clips, from the labels there are and the judge's answers."""
    known = [
        (c.truth, float(j.value))
        for c, j in zip(clips, judged, strict=True)
        if j.status == "ok" and j.value is not None
    ]
    truth = [t for t, _ in known if t is not None]
    return corrected(truth, [s for t, s in known if t is not None], [s for t, s in known if t is None])


def _models(known: Sequence[tuple[Clip, Judgment]]) -> dict[str, Any]:
    """Agreement of the models' means: last and least, since it hides what every model has in common."""
    names = sorted({clip.about["model"] for clip, _ in known if "model" in clip.about})
    rows = [[(c.truth, j.value) for c, j in known if c.about.get("model") == name] for name in names]
    truth, said = ([float(np.mean([row[place] for row in group])) for group in rows] for place in (0, 1))
    r = agreement.pearson(said, truth)
    means = [
        {"model": n, "truth": round(t, 6), "judged": round(s, 6)} for n, t, s in zip(names, truth, said, strict=True)
    ]
    return {"n_models": len(names), "pearson": r.value, "why": r.why, "means": means}


def _price(judged: Sequence[Judgment]) -> dict[str, Any]:
    """What the answers took, of those that were asked for in any run."""
    costs = [j.cost for j in judged if j.cost is not None]
    return {
        "seconds": round(sum(j.seconds for j in judged), 3),
        "prompt_tokens": sum(j.prompt_tokens or 0 for j in judged),
        "completion_tokens": sum(j.completion_tokens or 0 for j in judged),
        "cost": round(sum(costs), 6) if costs else None,
    }


def _record(clip: Clip) -> VideoRecord:
    sha256 = sha256_of(clip.video)
    task = digest(clip.id, clip.instruction)
    fields: dict[str, Any] = {"suite": SUITE, "suite_digest": "", "task": task, "revision": "labels", "seed": 0}
    fields["model"] = clip.about.get("model", "")
    return VideoRecord(key=digest(fields, sha256), status="ok", file=str(clip.video.resolve()), sha256=sha256, **fields)


def _task(video: VideoRecord, clip: Clip) -> Task:
    return Task(id=video.task, suite=SUITE, instruction=clip.instruction, first_frame=Path(), num_frames=0, fps=0.0)
