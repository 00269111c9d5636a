"""Scaling: success against the number of neural trajectories, for three amounts of teleoperation (paper, Figure 4)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .. import loop, plots
from .frame import Job, Json, attempt
from .mixtures import Grid, Mixture, published


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that the study spends."""

    suite: str
    real: tuple[int, ...]
    neural: tuple[int, ...]
    seeds: int  # videos a task
    policy_seeds: int
    episodes: int
    share: float = 0.5
    limit: int | None = None
    idm: str = loop.Run.idm
    policy: str = "bc-chunk"
    controls: tuple[str, ...] = ("replay",)


PRESETS = MappingProxyType(
    {
        "small": Preset(
            suite="metaworld-policy-v1", real=(6, 24, 96), neural=(0, 24, 96), seeds=1, policy_seeds=1, episodes=4
        ),
        # The paper's 30, 100 and 300 demonstrations a task; 3,456 = 12 videos for each of 288 tasks.
        "full": Preset(
            suite="metaworld-policy-v2",
            real=(30, 100, 300),
            neural=(0, 36, 144, 576, 1728, 3456),
            seeds=12,
            policy_seeds=3,
            episodes=12,
            policy="bc-chunk-long",  # as 24 behaviors need
        ),
    }
)


def run(job: Job, preset: Preset) -> Json:
    """Every cell that is not there yet, then table.json, points.csv and a figure a model."""
    with attempt(job, preset):
        rows = published(grid(job, preset), job)
        draw(job, preset, rows)
    return {"rows": rows}


def grid(job: Job, preset: Preset) -> Grid:
    """One model after another: the best adapted ones are named by --models; the control `replay` is the ceiling."""
    models = job.roster.all
    whole = loop.Run(
        suites=(preset.suite,),
        models=models,
        out=job.out / "run",
        idm=preset.idm,
        policy=preset.policy,
        limit=preset.limit,
        trajectory_limit=preset.limit,
        seeds=preset.seeds,
        policy_seeds=preset.policy_seeds,
        episodes=preset.episodes,
        downstream=False,
    )
    return Grid(run=whole, mixtures=tuple(dict.fromkeys(mixtures(preset, models))))


def mixtures(preset: Preset, models: tuple[str, ...]) -> list[Mixture]:
    """Every amount of either for every model; no neural trajectory is the same policy for all models."""
    return [
        Mixture(
            suite=preset.suite,
            model=model if neural else "",
            idm=preset.idm if neural else "",
            real=real,
            neural=neural,
            share=preset.share,
        )
        for model in models
        for real in preset.real
        for neural in preset.neural
        if real or neural
    ]


def draw(job: Job, preset: Preset, rows: list[Json]) -> None:
    """For each model, a line for each amount of teleoperation."""
    for model in job.roster.all:
        lines = {
            f"{real} demonstrations": [
                (row["neural"], row["mean"], row["ci95"])
                for row in rows
                if row["real"] == real and row["model"] in (model, "") and row["mean"] is not None
            ]
            for real in preset.real
        }
        base = job.out / "figures" / f"scaling-{model}"
        into: dict[str, Any] = {"path_png": base.with_suffix(".png"), "path_svg": base.with_suffix(".svg")}
        if any(lines.values()):
            plots.scaling(lines, x=f"neural trajectories of {model}", y="policy success [95 %]", **into)
