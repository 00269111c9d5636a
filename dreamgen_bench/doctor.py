"""Whether this machine can run the benchmark, and the cure for what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from .provenance import PACKAGES
from .types import Finding


def examine() -> list[Finding]:
    """Every check in turn; none raises."""
    return [_python(), *_packages(), _graphics(), _weights(), _disk(), _memory(), *_extras()]


def examine_model(name: str) -> list[Finding]:
    """Whether a world model can run here, loading none of its weights. Raises UserError for an unknown name."""
    from . import registry
    from .world_models import card, machine

    spec = registry.find("world_models", name)
    if spec.load == card.LOADER:
        return machine.findings(card.Card(**spec.args))
    if spec.group == "control":
        return [_graphics()]
    found = [Finding(name="code", ok=True, found=spec.load)]
    if spec.weights == "shipped":
        where = registry.weights_of(spec)
        cure = "install again: pip install --force-reinstall ."
        found.append(Finding(name="weights", ok=where.exists(), found=str(where), cure=cure))
    return found


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="python", ok=sys.version_info >= (3, 11), found=found, cure="use Python 3.11 or newer")


def _packages() -> list[Finding]:
    rows = []
    for name in PACKAGES:
        try:
            rows.append(Finding(name=name, ok=True, found=version(name)))
        except PackageNotFoundError:
            rows.append(Finding(name=name, ok=False, found="not installed", cure="pip install dreamgen-bench"))
    return rows


_DRAW = """
import numpy
from dreamgen_bench.envs.metaworld import MetaWorld
env = MetaWorld("reach")
assert env.reset(seed=1)[0]["image"].std() > 5, "the picture is empty"
env.close()
"""


def _graphics() -> Finding:
    """Draws one picture in a process of its own: a missing GL library can abort the process that asks for it."""
    backend = os.environ.get("MUJOCO_GL", "egl")
    cure = "apt-get install libegl1 libgl1-mesa-dri (or libosmesa6 and MUJOCO_GL=osmesa)"
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _DRAW], capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return Finding(name="graphics", ok=False, found=f"{backend}: no picture within 120 s", cure=cure)
    if done.returncode == 0:
        return Finding(name="graphics", ok=True, found=f"{backend} draws")
    last = (done.stderr.strip().splitlines() or ["no picture"])[-1]
    return Finding(name="graphics", ok=False, found=f"{backend}: {last[:120]}", cure=cure)


def _weights() -> Finding:
    from . import registry

    lost = []
    for kind in ("world_models", "judges", "idms"):
        for spec in registry.specs(kind).values():
            if spec.weights == "shipped" and not registry.weights_of(spec).exists():
                lost.append(spec.name)
    found = f"missing for {', '.join(lost)}" if lost else "all shipped weights are there"
    return Finding(name="weights", ok=not lost, found=found, cure="install again: pip install --force-reinstall .")


def _disk() -> Finding:
    free = shutil.disk_usage(os.getcwd()).free / 2**30
    return Finding(name="disk", ok=free > 2, found=f"{free:.1f} GiB free here", cure="free 2 GiB, or use another --out")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding(name="memory", ok=total > 5, found=f"{total:.1f} GiB", cure="use --workers 1 on less than 6 GiB")


def _extras() -> list[Finding]:
    def there(module: str) -> bool:
        return importlib.util.find_spec(module) is not None

    look: Callable[[str], str] = lambda module: "installed" if there(module) else "not installed"  # noqa: E731
    return [
        Finding(
            name=f"extra {extra}",
            ok=there(module),
            found=look(module),
            cure=f"pip install 'dreamgen-bench[{extra}]'",
            optional=True,
        )
        for extra, module in (("clip", "open_clip"), ("ogbench", "ogbench"), ("ray", "ray"))
    ]
