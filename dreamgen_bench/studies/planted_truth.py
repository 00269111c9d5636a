"""Planted truth: simulated benchmarks through our own statistics, and how often their 95 % intervals hold the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

from .. import planted
from ..loop import Workers
from ..store import Summary, digest, sharded, write_json
from .frame import Job, Json, attempt

CHUNK = 50
"""Draws after which what was found is written down."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that the study spends."""

    models: tuple[int, ...] = (8, 14, 20)
    correlations: tuple[float, ...] = (0.0, 0.6, 0.9)
    protocols: tuple[tuple[str, planted.Planted], ...] = ()
    draws: int = 200
    controls: tuple[str, ...] = ()


FINE = planted.Planted(models=0, correlation=0.0)
# Few tasks, few episodes, and models that differ less: about a quarter of what is seen is noise.
COARSE = replace(FINE, tasks=20, starts=24, policies=2, score_shape=(5.0, 4.0), success_shape=(3.0, 5.0))
BOTH = (("fine", FINE), ("coarse", COARSE))
PRESETS = MappingProxyType({"small": Preset(protocols=BOTH, draws=100), "full": Preset(protocols=BOTH, draws=4_000)})


@dataclass(frozen=True, kw_only=True)
class Part:
    """Settings and the folder of what each draw gave, for processes to share."""

    settings: tuple[tuple[str, planted.Planted], ...]
    draws: int
    out: Path


def run(job: Job, preset: Preset) -> Json:
    """Every draw that is not there yet, then table.json: coverage of every interval in every setting."""
    with attempt(job, preset):
        part = Part(settings=settings(preset), draws=preset.draws, out=job.out / "draws")
        with Workers(job.workers) as pool:
            pool.share(share_of, part)
        rows = table(part)
        found = {"wanted": planted.WANTED, "nominal": planted.NOMINAL, "rows": rows, "pooled": pooled(rows)}
        write_json(job.out / "table.json", found)
    return found


def settings(preset: Preset) -> tuple[tuple[str, planted.Planted], ...]:
    """Every protocol at every number of models and every correlation."""
    return tuple(
        (name, replace(protocol, models=models, correlation=correlation))
        for name, protocol in preset.protocols
        for models in preset.models
        for correlation in preset.correlations
    )


def share_of(part: Part, shard: tuple[int, int]) -> Summary:
    """One process's share of the chunks of draws."""
    summary = Summary()
    chunks = [(setting, first) for _, setting in part.settings for first in range(0, part.draws, CHUNK)]
    for setting, first in sharded(chunks, shard):
        path = _path(part, setting, first)
        summary.planned += 1
        if path.exists():
            summary.skipped += 1
            continue
        draws = range(first, min(first + CHUNK, part.draws))
        write_json(path, list(planted.outcomes(setting, draws=draws)))
        summary.done += 1
    return summary


def table(part: Part) -> list[Json]:
    """One row a setting and quantity."""
    rows = []
    for name, setting in part.settings:
        held = [
            one for first in range(0, part.draws, CHUNK) for one in json.loads(_path(part, setting, first).read_text())
        ]
        where = {"protocol": name, "models": setting.models, "correlation": setting.correlation}
        for quantity in planted.INTERVALS:
            rows.append(where | {"quantity": quantity} | planted.coverage([one[quantity] for one in held]))
    return rows


def pooled(rows: Sequence[Json]) -> list[Json]:
    """Coverage of each quantity at each number of models, over protocols and correlations; `ok` is the gate."""
    found = []
    for quantity in planted.INTERVALS:
        for models in sorted({row["models"] for row in rows}):
            own = [row for row in rows if (row["quantity"], row["models"]) == (quantity, models)]
            draws = sum(row["draws"] - row["without_interval"] for row in own)
            mean = sum(row["coverage"] * (row["draws"] - row["without_interval"]) for row in own) / draws
            low, high = planted.WANTED
            found.append({"quantity": quantity, "models": models, "coverage": mean, "draws": draws})
            found[-1] |= {"lowest": min(row["coverage"] for row in own), "ok": low <= mean <= high}
    return found


def _path(part: Part, setting: planted.Planted, first: int) -> Path:
    return part.out / f"{digest(asdict(setting), first, min(first + CHUNK, part.draws))}.json"
