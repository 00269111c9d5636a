"""New behaviors: does a policy learn from dreams what no teleoperation showed?

24 behaviors in the lab, none of them ever teleoperated. The floor is the policy trained on teleoperation alone, the
ceiling the same recipe on true videos (`replay`) and on their true actions (`true_actions`); every world model's policy
stands between, and is compared with the floor start by start. The paper: 11.2 -> 43.2 % over 14 behaviors.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .. import loop, plots
from ..store import read_json, write_json
from . import score_vs_success
from .frame import Job, Json, attempt, correlated
from .mixtures import by_behavior, paired

FLOOR = "teleoperation"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that the study spends."""

    suite: str
    limit: int | None
    seeds: int
    policy_seeds: int
    episodes: int
    judge: str = "qwen-s"
    idm: str = loop.Run.idm
    policy: str = "bc-chunk-long"
    controls: tuple[str, ...] = ("replay",)


PRESETS = MappingProxyType(
    {
        "small": Preset(suite="metaworld-policy-v2", limit=96, seeds=1, policy_seeds=1, episodes=2),
        # 48 videos a behavior, as the paper's 50 neural trajectories a task: 12 starts, and 4 dreams of each, which are
        # one and the same of a model that draws nothing.
        "full": Preset(suite="metaworld-policy-v2", limit=None, seeds=4, policy_seeds=3, episodes=12),
    }
)


def run(job: Job, preset: Preset) -> Json:
    """The whole loop on a suite whose own videos train the policy, then each row against the floor."""
    with attempt(job, preset) as about:
        whole = loop.Run(
            suites=(preset.suite,),
            models=job.roster.all,
            out=job.out / "run",
            judge=preset.judge,
            idm=preset.idm,
            policy=preset.policy,
            limit=preset.limit,
            trajectory_limit=preset.limit,
            seeds=preset.seeds,
            policy_seeds=preset.policy_seeds,
            episodes=preset.episodes,
        )
        loop.everything(whole, workers=job.workers, watch=job.watch)
        about |= {"groups": score_vs_success.groups(whole), "covariates": score_vs_success.covariates(whole)}
        correlated(whole, job.out, covariates=about["covariates"], extra={})
        rows = against_floor(whole, job)
        write_json(job.out / "table.json", {"floor": FLOOR, "rows": rows})
        draw(job, rows)
    return {"rows": rows}


def against_floor(whole: loop.Run, job: Job) -> list[Json]:
    """success.json with each row's difference to the floor, over the same starts and over behaviors; best first."""
    episodes = loop.records(whole)[2]
    floor = [episode for episode in episodes if episode.model == FLOOR]
    rows = []
    for row in read_json(job.out / "success.json"):
        own = [episode for episode in episodes if episode.model == row["model"]]
        more: Json = {"gained": None, "gained_behaviors": None}
        if row["model"] != FLOOR:
            more = {"gained": paired(own, floor).json()}
            more["gained_behaviors"] = paired(own, floor, unit=by_behavior).json()
        more["behaviors_ever_done"] = sum(value > 0 for value in row["behaviors"].values())
        rows.append(row | more)
    return sorted(rows, key=lambda row: (-(row["mean"] or 0), row["model"]))


def draw(job: Job, rows: list[Json]) -> None:
    """Every row's success with its interval."""
    base = job.out / "figures" / job.name
    into: dict[str, Any] = {"path_png": base.with_suffix(".png"), "path_svg": base.with_suffix(".svg")}
    known = [(row["model"], row["mean"], row["ci95"]) for row in rows if row["mean"] is not None]
    if known:
        plots.intervals(known, x="success of the policy [95 %]", **into)
