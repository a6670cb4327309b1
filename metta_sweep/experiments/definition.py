"""What makes a kept run the one that it is, and how one definition differs from another."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from metta_sweep.core.described import function_name
from metta_sweep.errors import DefinitionChanged
from metta_sweep.experiments.start_note import read_start
from metta_sweep.records import StoreReader

__all__ = [
    "SWEEP",
    "as_kept",
    "check_name_is_free",
    "check_same_definition",
    "provenance",
    "warn_of_changed_code",
]

logger: Final = logging.getLogger("metta_sweep")

SWEEP: Final = "sweep"
"""The kind of a sweep, in its definition."""
_ANY_IF_NONE: Final = ("seed",)
_GIT_SECONDS: Final = 1.0
"""How long git may take to tell of the working directory."""


def as_kept(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition as it is read back from the journal: tuples are lists, what has no JSON form its class."""
    from pydantic_core import from_json, to_json

    plain: dict[str, Any] = from_json(to_json(definition, fallback=function_name, inf_nan_mode="strings"))
    return plain


def check_same_definition(name: str, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ``DefinitionChanged``, showing each difference, unless both describe the same experiment.

    Args:
        name: the name that both have.
        kept: the definition in the journal.
        given: the one of now, ``as_kept``.
    """
    differences = list(_differences("", kept, given))
    if not differences:
        return
    shown = "\n".join(f"  {path}: kept {before!r}, given {after!r}" for path, before, after in differences)
    fresh = f"start over with run(fresh=True): the old run is then kept as '{name}@1' or the next free number"
    raise DefinitionChanged(
        f"another experiment is kept under the name {name!r}:\n{shown}\nGive this one another name, run it as it was, or {fresh}."
    )


def check_name_is_free(name: str, store: StoreReader, given: Mapping[str, Any]) -> None:
    """Raise ``DefinitionChanged`` when the run of that name is one of another kind or class of experiment.

    Classes that keep their settings may say more in ``settings``.
    """
    row = store.find_run(name)
    if row is None:
        return
    for record in store.records(row.run_id, kind="start"):
        kept = read_start(row.run_id, record).definition
        parts = [part for part in ("kind", "class", "settings") if part != "settings" or (part in kept and part in given)]
        check_same_definition(name, _only(kept, parts), _only(given, parts))


def _only(definition: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    return {part: definition[part] for part in parts if part in definition}


def warn_of_changed_code(name: str, kept: object, given: str | None) -> None:
    """One warning when the trial function has other code than when the run was last taken up."""
    if kept is not None and given is not None and kept != given:
        logger.warning(
            "the code of the objective of %r has changed since it was last run; the trials before are kept as they are", name
        )


def _differences(path: str, kept: Any, given: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(kept, Mapping) and isinstance(given, Mapping):
        for key in [*kept, *(key for key in given if key not in kept)]:
            yield from _differences(f"{path}.{key}" if path else str(key), kept.get(key), given.get(key))
    elif kept != given and not (path in _ANY_IF_NONE and (kept is None or given is None)):
        yield path, kept, given


def provenance(*, git: bool = False) -> dict[str, Any]:
    """Where and with what a process ran: versions, platform, processors, command line, pid; with ``git``, its state too."""
    import platform

    found: dict[str, Any] = {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "command": sys.argv,
        "pid": os.getpid(),
    }
    if git:
        found["git"] = _git_state()
    return found


@cache
def _git_state() -> dict[str, Any] | None:
    """Commit of the working directory, and whether tracked files differ from it; None without git. Asked once per process."""
    import subprocess

    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    lines = answer.stdout.splitlines()
    commit = next((line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")), None)
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


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
