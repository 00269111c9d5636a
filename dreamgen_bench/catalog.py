"""What `dreamgen-bench list` shows. Loads no weights and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import registry, rubrics, suites
from .types import Spec

_PLUGINS = {"models": "world_models", "judges": "judges", "idms": "idms", "policies": "policies", "envs": "envs"}


def catalog(kinds: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Each kind's plug-ins, suites or rubrics, as plain rows with at least name and summary."""
    return {kind: _rows(kind) for kind in kinds}


def _rows(kind: str) -> list[dict[str, Any]]:
    if kind == "suites":
        return [_suite(name) for name in suites.names()]
    if kind == "rubrics":
        loaded = [rubrics.load(name) for name in rubrics.names()]
        return [{"name": r.name, "summary": r.prompt, "score": r.score, "digest": r.digest} for r in loaded]
    return [_spec(spec) for spec in registry.specs(_PLUGINS[kind]).values()]


def _suite(name: str) -> dict[str, Any]:
    suite = suites.load(name)
    return {
        "name": name,
        "summary": f"{len(suite.tasks)} tasks. {suite.description}",
        "digest": suite.digest,
        "tasks": len(suite.tasks),
        "track": suite.track,
        "license": suite.license,
    }


def _spec(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "summary": spec.summary,
        "revision": spec.revision,
        "group": spec.group,
        "family": spec.family,
        "adaptation": spec.adaptation,
        "weights": spec.weights,
        "parameters": spec.parameters,
        "license": spec.license,
        "trained_on": list(spec.trained_on),
        "paper": spec.paper,
    }
