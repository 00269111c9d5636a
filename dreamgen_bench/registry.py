"""Names to loaded things: each kind of plug-in has a folder, each plug-in a `SPEC` beside its code.

Listing imports only the light modules; weights and simulators are imported by `load`. Other packages add to the
registry through the entry-point group "dreamgen_bench": an entry point names a Spec, a list of them, or a module with
SPECS, and is called `<kind>.<anything>`, as in `world_models.mine = my_package.adapter:SPEC`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .types import Spec, UserError

PACKAGED = "package://dreamgen_bench/"
"""What a path inside the installed package may begin with."""
KINDS = ("world_models", "judges", "idms", "policies", "envs")
"""The folders of plug-ins. Each has SPECS: a list of Spec."""


@cache
def specs(kind: str) -> MappingProxyType[str, Spec]:
    """All plug-ins of a kind by name: ours, then those of installed packages. Raises UserError on a duplicate."""
    found: dict[str, Spec] = {}
    for spec in (*importlib.import_module(f"dreamgen_bench.{kind}").SPECS, *_foreign(kind)):
        if spec.name in found:
            raise UserError(f"two {kind} are named {spec.name!r}: uninstall one of the packages that bring them")
        found[spec.name] = spec
    return MappingProxyType(found)


def _foreign(kind: str) -> list[Spec]:
    found: list[Spec] = []
    for point in entry_points(group="dreamgen_bench"):
        if point.name.split(".")[0] == kind:
            value = point.load()
            value = getattr(value, "SPECS", value)
            found.extend([value] if isinstance(value, Spec) else value)
    return found


def find(kind: str, name: str) -> Spec:
    """The spec of that name; of the card in that .yaml file; of what is served there: NAME@http://HOST:PORT, or
    of a policy ws://HOST:PORT.

    Raises UserError with the nearest names and all known ones, and where nothing of that name is served.
    """
    known = specs(kind)
    read = getattr(importlib.import_module(f"dreamgen_bench.{kind}"), "from_file", None)
    if read and name.endswith((".yaml", ".yml")):
        return _of_file(Path(name), read, known)
    served, _, address = ("", "", name) if name.startswith(("ws://", "wss://")) else name.partition("@")
    if address:
        return _served(kind, served, address)
    if name in known:
        return known[name]
    raise UserError(f"no {kind.replace('_', ' ').rstrip('s')} named {name!r}{nearest(name, list(known))}")


def _served(kind: str, name: str, address: str) -> Spec:
    ask = getattr(importlib.import_module(f"dreamgen_bench.{kind}"), "served", None)
    if ask is None:
        raise UserError(f"{name}@{address}: only world models and policies can be served")
    return ask(name, address)


def _of_file(path: Path, read: Callable[[Path], Spec], known: Mapping[str, Spec]) -> Spec:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    spec = read(path)
    if spec.name in known:
        raise UserError(f"{path}: {spec.name!r} is the name of a registered one; give this one another `name`")
    return spec


def nearest(name: str, known: list[str]) -> str:
    """The tail of an error about an unknown name: what was probably meant, and what there is."""
    close = difflib.get_close_matches(name, known, n=2)
    meant = f". Did you mean {' or '.join(map(repr, close))}?" if close else "."
    return f"{meant} Known: {', '.join(sorted(known))}"


def load(spec: Spec, **overrides: Any) -> Any:
    """Import a plug-in's code and make it; what is served elsewhere is connected to, and made there.

    Raises UserError where an extra is missing.
    """
    loader = _imported(spec, spec.load)
    try:
        return loader(spec) if spec.address else loader(**{**spec.args, **overrides})
    except ModuleNotFoundError as error:  # heavy imports wait for the call
        raise _lacking(spec, error) from error


def fitter(spec: Spec) -> Callable[..., Any]:
    """The function that trains what `load` loads. Raises UserError where the plug-in can't be trained."""
    if not spec.fit:
        raise UserError(f"{spec.name!r} can't be trained: its Spec names no fit function")
    return _imported(spec, spec.fit)


def _imported(spec: Spec, address: str) -> Callable[..., Any]:
    module, _, function = address.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise _lacking(spec, error) from error


def _lacking(spec: Spec, error: ModuleNotFoundError) -> UserError:
    extra = f"dreamgen-bench[{spec.needs}]" if spec.needs else error.name
    return UserError(f"{spec.name!r} needs {error.name}: pip install '{extra}'")


def weights_of(spec: Spec) -> Path:
    """Where a spec's shipped weights lie in the installed package: its argument `checkpoint` or `library`."""
    where = Path(str(spec.args.get("checkpoint") or spec.args.get("library") or "").removeprefix(PACKAGED))
    return where if where.is_absolute() else Path(__file__).parent / where


def weight_files(spec: Spec) -> list[Path]:
    """What must be there for a spec to be loaded: its weights, or each of the files that its `folder` is to hold."""
    if folder := spec.args.get("folder"):
        names = [str(name) for key, name in spec.args.items() if key != "folder" and name]
        return [Path(__file__).parent / str(folder) / f"{name}.safetensors" for name in names]
    return [weights_of(spec)] if spec.args.get("checkpoint") or spec.args.get("library") else []
