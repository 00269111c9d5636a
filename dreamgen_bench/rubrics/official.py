"""Rubrics with the words of the paper's authors, read out of the user's own checkout of NVIDIA/GR00T-Dreams.

Their prompts are theirs: this package ships none of them, and what is read is written where the user says. What their
scripts do besides is imitated as far as a rubric goes: number of frames, scale, frames before or after the words.
Known differences, all corrections: frames are rounded to the nearest instead of floored, shrunk without aliasing, and a
short video is not padded; the last digit of a reply counts instead of the first character.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..types import UserError


@dataclass(frozen=True, kw_only=True)
class Source:
    """One of their scripts, and what its prompts become."""

    script: str
    name: str
    score: str
    num_frames: int
    scale: float
    frames_stand: str


SOURCES = (
    Source(
        script="eval_sr_qwen_whole.py",
        name="official-if-qwen",
        score="IF",
        num_frames=49,
        scale=0.3,
        frames_stand="after",
    ),
    Source(
        script="eval_sr_gpt4o_whole.py",
        name="official-if-gpt4o",
        score="IF",
        num_frames=8,
        scale=0.5,
        frames_stand="after",
    ),
    # Their whole video at 2 frames a second: 10 of the 93 frames of a clip at 16.
    Source(
        script="eval_qwen_pa.py", name="official-pa-qwen", score="PA", num_frames=10, scale=1.0, frames_stand="before"
    ),
)
"""Of GR00T-Dreams at ec3881d."""


def read(checkout: Path, *, out: Path) -> list[Path]:
    """Write one rubric file for each prompt of a checkout; the strict prompt of a script gets the suffix -strict.

    Raises UserError for a folder that is no checkout, or whose scripts hold no prompt that we find.
    """
    folder = checkout / "dreamgenbench"
    if not folder.is_dir():
        raise UserError(f"{checkout}: holds no dreamgenbench/; give a checkout of NVIDIA/GR00T-Dreams")
    made: dict[str, dict[str, Any]] = {}
    for source in SOURCES:
        path = folder / source.script
        if not path.is_file():
            raise UserError(f"{path}: no such file; the checkout must be of 2025, as ec3881d")
        found = list(_prompts(ast.parse(path.read_text("utf-8"))))
        if not found:
            raise UserError(f"{path}: assigns no user_text that could be read")
        for strict, prompt in found:
            fields = _rubric(source, prompt, strict=strict)
            made[fields["name"]] = fields
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.yaml" for name in made]
    for path, fields in zip(paths, made.values(), strict=True):
        path.write_text(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=110), "utf-8")
    return paths


def _rubric(source: Source, prompt: str, *, strict: bool) -> dict[str, Any]:
    return {
        "name": source.name + ("-strict" if strict else ""),
        "score": source.score,
        "prompt": prompt,
        "options": {"1": 1.0, "0": 0.0},
        "num_frames": source.num_frames,
        "scale": source.scale,
        "frames_stand": source.frames_stand,
        "official": True,
    }


def _prompts(tree: ast.AST, *, strict: bool = False) -> Iterator[tuple[bool, str]]:
    """Every text assigned to user_text, and whether it stands where `if zeroshot` holds."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "zeroshot":
            for branch, held in ((node.body, True), (node.orelse, strict)):
                for child in branch:
                    yield from _prompts(ast.Module([child], []), strict=held)
        elif isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "user_text" for t in node.targets
        ):
            yield strict, _text(node.value)
        else:
            yield from _prompts(node, strict=strict)


def _text(node: ast.expr) -> str:
    """A string of theirs with {instruction} where their prompt variable stood."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join("{instruction}" if isinstance(part, ast.FormattedValue) else _text(part) for part in node.values)
    raise UserError(f"a prompt of the checkout is no plain text (line {node.lineno})")
