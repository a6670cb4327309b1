"""What makes a kept run the one that it is, and how one definition differs from another."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from metta_sweep.errors import DefinitionChanged

__all__ = ["check_same_definition", "provenance"]

_ANY_IF_NONE = ("seed",)


def check_same_definition(name: str, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ``DefinitionChanged``, showing each difference, unless both describe the same experiment."""
    differences = list(_differences("", kept, given))
    if not differences:
        return
    shown = "\n".join(f"  {path}: kept {before!r}, given {after!r}" for path, before, after in differences)
    raise DefinitionChanged(
        f"another experiment is kept under the name {name!r}:\n{shown}\n"
        "Give this one another name, run it as it was, or start over with run(fresh=True): the old run is then kept as "
        f"'{name}@1' or the next free number."
    )


def _differences(path: str, kept: Any, given: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(kept, Mapping) and isinstance(given, Mapping):
        for key in [*kept, *(key for key in given if key not in kept)]:
            yield from _differences(f"{path}.{key}" if path else str(key), kept.get(key), given.get(key))
    elif kept != given and not (path in _ANY_IF_NONE and (kept is None or given is None)):
        yield path, kept, given


def provenance() -> dict[str, Any]:
    """Where and with what a process ran: versions, platform, processors, command line, pid."""
    import platform

    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "command": sys.argv,
        "pid": os.getpid(),
    }


@cache
def _versions() -> dict[str, str]:
    """Versions of this package and of those that its results depend on; read once per process, since that takes milliseconds."""
    from importlib.metadata import PackageNotFoundError, version

    versions: dict[str, str] = {}
    for package in ("metta_sweep", "pydantic"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed as a package"
    return versions
