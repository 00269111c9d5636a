"""Real against neural: how much of a batch should be teleoperation, with all of both at hand (the paper: one half)."""

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
    real: int
    neural: int
    shares: tuple[float, ...]
    seeds: int
    policy_seeds: int
    episodes: int
    idm: str = loop.Run.idm
    policy: str = "bc-chunk"
    controls: tuple[str, ...] = ("replay",)


PRESETS = MappingProxyType(
    {
        "small": Preset(
            suite="metaworld-policy-v1",
            real=48,
            neural=96,
            shares=(0.25, 0.5, 0.75),
            seeds=1,
            policy_seeds=1,
            episodes=4,
        ),
        "full": Preset(
            suite="metaworld-policy-v2",
            real=100,
            neural=1152,
            shares=(0.1, 0.25, 0.5, 0.75, 0.9),
            seeds=4,
            policy_seeds=3,
            episodes=12,
            policy="bc-chunk-long",  # as 24 behaviors need
        ),
    }
)


def run(job: Job, preset: Preset) -> Json:
    """Every share that is not there yet, neural alone (0) and real alone (1), then table.json, points.csv, a figure."""
    with attempt(job, preset):
        rows = published(grid(job, preset), job)
        draw(job, rows)
    return {"rows": rows}


def grid(job: Job, preset: Preset) -> Grid:
    """All shares for all models."""
    whole = loop.Run(
        suites=(preset.suite,),
        models=job.roster.all,
        out=job.out / "run",
        idm=preset.idm,
        policy=preset.policy,
        seeds=preset.seeds,
        policy_seeds=preset.policy_seeds,
        episodes=preset.episodes,
        downstream=False,
    )
    alone = Mixture(suite=preset.suite, model="", idm="", real=preset.real, neural=0, share=1.0)
    cells = [
        Mixture(
            suite=preset.suite,
            model=model,
            idm=preset.idm,
            real=preset.real if share else 0,
            neural=preset.neural,
            share=share,
        )
        for model in job.roster.all
        for share in (0.0, *preset.shares)
    ]
    return Grid(run=whole, mixtures=(alone, *cells))


def draw(job: Job, rows: list[Json]) -> None:
    """A line a model over the real share of a batch."""
    lines: dict[str, list[tuple[float, float, Any]]] = {
        model: [(r["share"], r["mean"], r["ci95"]) for r in rows if r["model"] in (model, "")]
        for model in job.roster.all
    }
    base = job.out / "figures" / "real-neural-mix"
    into: dict[str, Any] = {"path_png": base.with_suffix(".png"), "path_svg": base.with_suffix(".svg")}
    plots.shares(lines, x="share of each batch that is teleoperation", y="policy success [95 %]", **into)
