"""IDM against latent actions: the same videos labeled by each, the same teleoperation, the same policy recipe.

The paper finds them within a point of each other on RoboCasa; only an IDM's labels can train a policy without any
teleoperation, so latent actions have no cell there. One recipe for all: `latent-then-actions`, which learns from latent
actions first where there are any. Whatever fills the slot of an IDM is named in the preset; those that are not
installed are listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from .. import loop, registry
from ..types import UserError
from .frame import Job, Json, attempt
from .mixtures import Grid, Mixture, published


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that the study spends."""

    suite: str
    idms: tuple[str, ...]
    real: tuple[int, ...]
    neural: int
    seeds: int
    policy_seeds: int
    episodes: int
    policy: str = "latent-then-actions"
    controls: tuple[str, ...] = ("replay",)


IDMS = (loop.Run.idm, "flow-dit", "lapa-s")
PRESETS = MappingProxyType(
    {
        "small": Preset(
            suite="metaworld-policy-v1", idms=IDMS, real=(0, 24), neural=96, seeds=1, policy_seeds=1, episodes=4
        ),
        "full": Preset(
            suite="metaworld-policy-v2", idms=IDMS, real=(0, 100), neural=1152, seeds=4, policy_seeds=3, episodes=12
        ),
    }
)


def run(job: Job, preset: Preset) -> Json:
    """Every cell that is not there yet, then table.json and points.csv."""
    idms, absent = known(job.more.get("idms") or preset.idms)
    with attempt(job, preset) as about:
        about["absent_idms"] = absent
        rows = published(grid(job, preset, idms), job)
    return {"rows": rows, "absent_idms": absent}


def known(names: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    """IDMs that are registered, and why the others are not. Raises UserError where none is."""
    found, absent = [], {}
    for name in names:
        try:
            registry.find("idms", name)
            found.append(name)
        except UserError as error:
            absent[name] = str(error)
    if not found:
        raise UserError("; ".join(absent.values()))
    return tuple(found), absent


def grid(job: Job, preset: Preset, idms: tuple[str, ...]) -> Grid:
    """Every IDM on every model's videos, beside each amount of teleoperation, and teleoperation alone."""
    whole = loop.Run(
        suites=(preset.suite,),
        models=job.roster.all,
        out=job.out / "run",
        idm=idms[0],
        policy=preset.policy,
        seeds=preset.seeds,
        policy_seeds=preset.policy_seeds,
        episodes=preset.episodes,
        downstream=False,
    )
    cells = [
        Mixture(suite=preset.suite, model=model, idm=idm, real=real, neural=preset.neural)
        for model in job.roster.all
        for idm in idms
        for real in preset.real
        if real or not registry.find("idms", idm).latent
    ]
    alone = [Mixture(suite=preset.suite, model="", idm="", real=real, neural=0) for real in preset.real if real]
    return Grid(run=whole, mixtures=(*alone, *cells))
