"""The questions put to judges: one YAML file each, quoted in records by its digest."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..registry import nearest
from ..types import Rubric, UserError

DEFAULT = ("instruction-following-v1", "physics-alignment-v1")
"""What is asked where nothing else is said: IF and PA."""
_SUFFIX = ".yaml"
_REQUIRED = {"name", "score", "prompt", "options", "num_frames"}
_OPTIONAL = {"scale", "max_side", "frames_stand", "checks", "official"}


def names() -> list[str]:
    """All rubrics that come with the package, sorted."""
    found = (file.name for file in files(__package__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def load(name: str) -> Rubric:
    """The rubric of that name, or of the user's own file at that path. Its digest is of the file's bytes.

    Raises UserError with the names that exist, or with file and key where a file is no rubric.
    """
    if name.endswith(_SUFFIX):
        try:
            return _read(Path(name).read_bytes(), name)
        except OSError as error:
            raise UserError(
                f"{name}: {error.strerror}; a rubric is a YAML file, or one of {', '.join(names())}"
            ) from error
    if name not in names():
        raise UserError(f"no rubric named {name!r}{nearest(name, names())} (or give the path of a YAML file)")
    return _read((files(__package__) / f"{name}{_SUFFIX}").read_bytes(), name)


def _read(raw: bytes, where: str) -> Rubric:
    try:
        fields = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: is no YAML: {error}") from error
    _check(fields, where)
    try:
        fields["options"] = {str(answer): float(value) for answer, value in fields["options"].items()}
        fields["num_frames"] = int(fields["num_frames"])
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f'{where}: options are answers with their values, as in {{"1": 1.0, "0": 0.0}}') from error
    return Rubric(digest=hashlib.sha256(raw).hexdigest()[:12], **fields)


def _check(fields: Any, where: str) -> None:
    if not isinstance(fields, dict):
        raise UserError(f"{where}: holds no keys; a rubric has {', '.join(sorted(_REQUIRED))}")
    if wrong := sorted((_REQUIRED - set(fields)) | (set(fields) - _REQUIRED - _OPTIONAL)):
        raise UserError(f"{where}: unknown or missing key {wrong[0]!r}; a rubric has {', '.join(sorted(_REQUIRED))}")
    if ("{check}" in fields["prompt"]) != bool(fields.get("checks")):
        raise UserError(f"{where}: 'checks' and {{check}} in the prompt come together or not at all")
    if fields.get("frames_stand", "before") not in ("before", "after"):
        raise UserError(f"{where}: key 'frames_stand': must be 'before' or 'after'")
