"""The questions put to judges: one YAML file each, quoted in records by its digest."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import yaml

from ..registry import nearest
from ..types import Rubric, UserError

_SUFFIX = ".yaml"


def names() -> list[str]:
    """All rubrics, sorted."""
    found = (file.name for file in files(__package__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def load(name: str) -> Rubric:
    """The rubric of that name. Its digest is of the file's bytes. Raises UserError with the names that exist."""
    if name not in names():
        raise UserError(f"no rubric named {name!r}{nearest(name, names())}")
    raw = (files(__package__) / f"{name}{_SUFFIX}").read_bytes()
    fields = yaml.safe_load(raw)
    fields["options"] = {str(answer): float(value) for answer, value in fields["options"].items()}
    return Rubric(digest=hashlib.sha256(raw).hexdigest()[:12], **fields)
