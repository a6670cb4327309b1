"""``doctor``: what this installation and store are, and whether they work."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

from metta_sweep.cli.exits import DONE, ERROR
from metta_sweep.cli.families import called, is_child
from metta_sweep.cli.kept import place_of
from metta_sweep.cli.text import as_json, out, plain
from metta_sweep.errors import MettaSweepError, StoreError
from metta_sweep.experiments.stores import STORE_VARIABLE
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore, open_reader
from metta_sweep.store.places import file_of, filesystem_of, refuse_network

__all__ = ["Finding", "examine", "sqlite_finding"]

PACKAGES: Final = ("metta_sweep", "pydantic", "sqlalchemy", "alembic", "structlog", "rich", "cyclopts")
_BUG_FROM: Final = (3, 7, 0)
_BUG_UNTIL: Final = (3, 51, 2)


class Finding(NamedTuple):
    """One thing that was looked at."""

    topic: str
    ok: bool
    told: str


def examine(store: str | None, *, json: bool) -> int:
    """Look at everything, and tell. The exit code is 1 when something would not work."""
    findings = [_versions(), sqlite_finding(sqlite3.sqlite_version_info), *_store(store)]
    if json:
        out(as_json([finding._asdict() for finding in findings]))
    else:
        for finding in findings:
            out(plain(f"{'ok ' if finding.ok else 'BAD'}  {finding.topic:<11} {finding.told}"))
    return DONE if all(finding.ok for finding in findings) else ERROR


def sqlite_finding(library: tuple[int, ...]) -> Finding:
    """What is known of this version of SQLite."""
    shown = ".".join(map(str, library))
    if not _BUG_FROM <= library <= _BUG_UNTIL:
        return Finding("sqlite", True, f"{shown}, without the known fault of the write-ahead log")
    told = (
        f"{shown}, which can damage a database when two connections write or reset the write-ahead log at once (3.7.0 to 3.51.2). "
        "It is avoided: one connection writes and resets the log, under an OS lock around each commit and reset; "
        "do not write to the file with other programs while a run goes on"
    )
    return Finding("sqlite", True, told)


def _versions() -> Finding:
    found = [f"python {platform.python_version()} ({sys.executable})"]
    missing = False
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} is not installed as a package")
            missing = missing or package != "metta_sweep"
    return Finding("versions", not missing, ", ".join(found))


def _store(given: str | None) -> list[Finding]:
    place = place_of(given)
    source = "--store" if given else STORE_VARIABLE if os.environ.get(STORE_VARIABLE) else "the default"
    if place == "memory":
        return [Finding("store", True, f"memory ({source}): nothing outlives its process")]
    try:
        path = file_of(place, "store")
        kind = filesystem_of(path)
        refuse_network(path, kind)
    except StoreError as error:
        return [Finding("store", False, str(error))]
    where = f"{path} ({source}; file system {kind or 'unknown'})"
    if not path.exists():
        return [Finding("store", True, f"{where}: not there yet, the first run makes it"), _write_test(path)]
    log = path.with_name(path.name + "-wal")
    waiting = f", {log.stat().st_size:,} bytes in its write-ahead log" if log.exists() else ""
    return [Finding("store", True, f"{where}: {path.stat().st_size:,} bytes{waiting}"), *_content(path), _write_test(path)]


def _content(path: Path) -> list[Finding]:
    try:
        with open_reader(path) as reader:
            rows = reader.runs()
            drivers = [(row, reader.driver_of(row.run_id)) for row in rows]
    except MettaSweepError as error:
        return [Finding("content", False, str(error))]
    held = [f"{called(row)} by process {pid}" for row, pid in drivers if pid is not None and not is_child(row)]
    inside = sum(pid is not None and is_child(row) for row, pid in drivers)
    held += [f"{inside} more, inside other runs"] if inside else []
    return [
        Finding("content", True, "1 run" if len(rows) == 1 else f"{len(rows)} runs"),
        Finding("locks", True, "held: " + ", ".join(held) if held else "none held"),
    ]


def _write_test(path: Path) -> Finding:
    """Whether a store can be written in that folder; and the store itself, as far as its permissions tell."""
    if not path.parent.is_dir():
        return Finding("write test", False, f"there is no folder {path.parent}: make it, folders are not made by themselves")
    if path.exists() and not os.access(path, os.W_OK):
        return Finding("write test", False, f"{path} may not be written by this user")
    try:
        with tempfile.TemporaryDirectory(prefix=".metta_sweep-doctor-", dir=path.parent) as folder:
            store = SqliteStore(Path(folder) / "test.db")
            try:
                store.create_run(RunRow("test", None, 0.0))
            finally:
                store.close()
    except (OSError, MettaSweepError) as error:
        return Finding("write test", False, f"a store in {path.parent} cannot be written: {error}")
    return Finding("write test", True, f"a store in {path.parent} can be written")
