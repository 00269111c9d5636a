"""Studies: each one command, resumable over hours, with its records and figures in one folder.

A study is a file here with PRESETS, frozen values that say all that it spends, and `run`, which hands run folders to
`loop` and draws what came out. It never does a stage's work itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import registry
from ..registry import nearest
from ..types import UserError
from . import (
    idm_vs_latent_actions,
    new_behaviors,
    new_environments,
    planted_truth,
    real_neural_mix,
    scaling,
    score_vs_success,
    which_metric,
)

STUDIES: Mapping[str, Any] = {
    "score-vs-success": score_vs_success,
    "which-metric": which_metric,
    "new-behaviors": new_behaviors,
    "new-environments": new_environments,
    "scaling": scaling,
    "idm-vs-latent-actions": idm_vs_latent_actions,
    "real-neural-mix": real_neural_mix,
    "planted-truth": planted_truth,
}


def find(name: str, preset: str) -> tuple[Any, Any]:
    """A study and its preset. Raises UserError with what there is."""
    if name not in STUDIES:
        raise UserError(f"no study named {name!r}{nearest(name, list(STUDIES))}")
    study = STUDIES[name]
    if preset not in study.PRESETS:
        raise UserError(f"{name} has no preset {preset!r}; choose from: {', '.join(study.PRESETS)}")
    return study, study.PRESETS[preset]


def labeled_by(values: Any, idm: str) -> Any:
    """A preset with another IDM than its own. Raises UserError for an unknown one, and where no video is labeled."""
    registry.find("idms", idm)
    if hasattr(values, "idm"):
        return replace(values, idm=idm)
    if hasattr(values, "base"):
        return replace(values, base=labeled_by(values.base, idm))
    raise UserError("--idm: this study has no IDM of its own to exchange")
