"""What a run must say about itself to be run again: versions, code, machine, configuration."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = "torch diffusers transformers mujoco metaworld numpy scipy statsmodels av pandas".split()


def facts(run: Any) -> dict[str, Any]:
    """The resolved configuration with the digests of its suites, the revisions of its models, and where it ran."""
    return {
        "schema": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(run).items()},
        "suites": {suite.name: suite.digest for suite in (*run.scored, *run.dreamed)},
        "rubrics": {rubric.name: rubric.digest for rubric in run.chosen_rubrics()},
        "models": {spec.name: describe(spec) for spec in run.specs},
        "versions": versions(),
        "code": commit(),
        "hardware": hardware(),
    }


def up_to_date(out: Path, note: dict[str, Any]) -> bool:
    """Whether the tables and the page in a run folder are of this configuration, and newer than every record."""
    page, before = out / "report" / "index.html", out / "run.json"
    if not page.exists() or not before.exists():
        return False
    old, new = json.loads(before.read_text("utf-8")), json.loads(json.dumps(note))  # as it reads back: lists, no tuples
    same = all(old.get(key) == new[key] for key in ("config", "suites", "rubrics", "models", "versions"))
    written = page.stat().st_mtime_ns
    return same and all(path.stat().st_mtime_ns <= written for path in out.glob("*.jsonl"))


def describe(spec: Any) -> dict[str, Any]:
    """A spec as a record quotes it."""
    return asdict(spec) | {"args": {key: str(value) for key, value in spec.args.items()}, "id": spec.id}


def versions() -> dict[str, str | None]:
    """Installed versions of what can change a number."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("dreamgen-bench", *PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def commit() -> dict[str, Any]:
    """The checkout's commit, and whether it was changed since; nulls where this is no checkout."""
    here = Path(__file__).parent

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *args], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def hardware() -> dict[str, Any]:
    """Processor, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"machine": platform.machine(), "cores": os.cpu_count(), "memory_gib": round(memory, 1)}


def peak_memory(processes: Iterable[int]) -> float | None:
    """GiB that these processes and this one have held at most so far, summed; None off Linux."""
    total = 0
    for process in (os.getpid(), *processes):
        try:
            status = Path(f"/proc/{process}/status").read_text("ascii")
            total += int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
        except (OSError, StopIteration):
            return None
    return round(total / 2**20, 2)
