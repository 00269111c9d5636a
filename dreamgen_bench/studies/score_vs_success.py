"""Score against success: does the bench score of a world model's videos predict the policy that they train?

Every trained model whose weights are here, and the controls apart; one recipe at equal budget for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import correlate, downstream, loop, measured, metrics, plots, standings
from ..store import read_json
from ..types import Spec
from ..video import read
from .frame import Job, Json, attempt, correlated

LADDER = tuple(f"corrupt_{kind}_{level}" for kind in ("teleport", "deform", "time_warp") for level in "13")
CONTROLS = ("replay", "static", "wrong_instruction", "reversed", *LADDER)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that the study spends."""

    suites: tuple[str, ...]
    controls: tuple[str, ...] = CONTROLS
    limit: int | None = None
    trajectory_limit: int | None = None
    seeds: int = 1
    policy_seeds: int = 3
    episodes: int = 0
    judge: str = "qwen-s"
    idm: str = loop.Run.idm
    policy: str = "bc-chunk"


# What the demo spends on a policy, so that a study whose `run` folder a demo left goes on from there.
SMALL = Preset(
    suites=("metaworld-behavior-v1",),
    controls=(
        "replay",
        "static",
        "wrong_instruction",
        "reversed",
        "corrupt_teleport_1",
        "corrupt_teleport_3",
        "corrupt_deform_2",
        "corrupt_time_warp_3",
    ),
    trajectory_limit=96,
    policy_seeds=1,
    episodes=8,
)
PRESETS = MappingProxyType(
    {
        "small": SMALL,
        # The same videos; 6 behaviors x 24 starts x 3 policies: +-5 points at a success of .5, over starts.
        "medium": replace(SMALL, policy_seeds=3, episodes=24),
        # 6 behaviors x 48 starts x 3 policies: reckoned +-5 points at a success of .5, where policies differ by little.
        "full": Preset(suites=("metaworld-behavior-v1", "metaworld-environment-v1"), seeds=2, episodes=48),
    }
)


def configuration(job: Job, preset: Preset) -> loop.Run:
    """The run folder behind the study; `which-metric` reads the same."""
    return loop.Run(
        suites=preset.suites,
        models=job.roster.all,
        out=job.out / "run",
        judge=preset.judge,
        idm=preset.idm,
        policy=preset.policy,
        limit=preset.limit,
        trajectory_limit=preset.trajectory_limit,
        seeds=preset.seeds,
        policy_seeds=preset.policy_seeds,
        episodes=preset.episodes,
    )


def run(job: Job, preset: Preset) -> Json:
    """Everything that is not there yet, then correlation.json, points.csv, samples.csv and the figure."""
    with attempt(job, preset) as about:
        whole = configuration(job, preset)
        loop.everything(whole, workers=job.workers, watch=job.watch)
        about |= {"groups": groups(whole), "covariates": covariates(whole)}
        found = correlated(whole, job.out, covariates=about["covariates"], extra=begun(whole))
        draw(job, found)
    return found


def begun(whole: loop.Run) -> dict[str, dict[measured.Place, float]]:
    """`bench_begun`: the mean of IF and PA of each video, and 0 where it does not begin at the task's first frame."""
    elsewhere = {video.key for video in whole.videos(whole.scored) if video.begins is False}
    answers: dict[measured.Place, list[float]] = {}
    for judgment in loop.records(whole)[0]:
        if standings.rubric_name(judgment.rubric) in correlate.BENCH and judgment.value is not None:
            place = (judgment.model, judgment.suite, judgment.task, str(judgment.seed))
            answers.setdefault(place, []).append(0.0 if judgment.video in elsewhere else judgment.value)
    both = {place: sum(values) / 2 for place, values in answers.items() if len(values) == 2}
    return {"bench_begun": both} if both else {}


def draw(job: Job, found: Json) -> None:
    """The scatter, with the success rates of ceilings and floors as lines."""
    rows = {row["model"]: row["mean"] for row in read_json(job.out / "success.json")}
    lines = {name: rows[name] for name in downstream.DEMONSTRATED if rows.get(name) is not None}
    base = job.out / "figures" / "score-vs-success"
    base.parent.mkdir(parents=True, exist_ok=True)
    into: dict[str, Any] = {"path_png": base.with_suffix(".png"), "path_svg": base.with_suffix(".svg")}
    plots.score_vs_success(found, references=lines, **into)


def groups(whole: loop.Run) -> dict[str, str]:
    """Who is trained and who is a control."""
    return {spec.name: "control" if spec.group == "control" else "trained" for spec in whole.specs}


def covariates(whole: loop.Run) -> dict[str, dict[str, float]]:
    """What a score may measure instead: motion and length of the videos, resolution and fine-tuning of the model."""
    found: dict[str, dict[str, float]] = {name: {} for name in ("motion", "length", "resolution", "fine_tuned")}
    clips: dict[str, list[tuple[float, float]]] = {}
    for video in whole.videos(whole.scored):
        if video.file:
            frames = read(whole.out / video.file).frames
            clips.setdefault(video.model, []).append((metrics.motion(frames), metrics.length(frames)))
    for spec in whole.specs:
        if spec.name in clips:
            found["motion"][spec.name], found["length"][spec.name] = map(float, np.mean(clips[spec.name], axis=0))
        if side := resolution(spec):
            found["resolution"][spec.name] = side
        found["fine_tuned"][spec.name] = float(spec.adaptation == "sft")
    return found


def resolution(spec: Spec) -> float | None:
    """Pixels of a frame as the model makes it, where its card says so; None where nothing does."""
    width, height = spec.args.get("width"), spec.args.get("height")
    return float(width * height) if width and height else None
