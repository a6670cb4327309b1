"""From an empty or older database to the schema of this version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from metta_sweep.clock import crash_point
from metta_sweep.errors import StoreError
from metta_sweep.store.sql.versions import APPLICATION, HEAD, REVISIONS

__all__ = ["migrate", "version_of"]


def version_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """The schema version of a database; None for an empty one.

    Raises:
        StoreError: it is a database of something else, or of a newer version of this package.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if not {"meta", "alembic_version"} <= tables or _note(connection, "application") != APPLICATION:
        raise StoreError(
            f"store {str(path)!r}",
            "it is a database of something else",
            found=sorted(tables)[:5],
            expected="a file that metta_sweep made, or a new one",
            remedy="Give another path; this file was left as it is",
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    version = row[0] if row else None
    if version not in REVISIONS:
        raise StoreError(
            f"store {str(path)!r}",
            f"it was written by a newer version of metta_sweep ({_note(connection, 'written_by') or 'unknown'})",
            found=f"schema {version}",
            expected=f"schema {HEAD} or older",
            remedy="Upgrade metta_sweep, or use another file; this one was left as it is",
        )
    return str(version)


def migrate(connection: sqlite3.Connection, path: Path, target: str = HEAD) -> bool:
    """Bring the database to a schema, in one transaction. False: it has it already. The caller holds the lock of writers.

    Raises:
        StoreError: see ``version_of``.
    """
    if version_of(connection, path) == target:
        return False
    crash_point("migrate.before")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _upgrade(connection, target)
        _write_note(connection, "application", APPLICATION)
        _write_note(connection, "written_by", _own_version())
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    crash_point("migrate.after")
    return True


def _upgrade(connection: sqlite3.Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", creator=lambda: _Borrowed(connection), poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        with engine.connect() as borrowed:
            config.attributes["connection"] = borrowed
            command.upgrade(config, target)
    except DBAPIError as error:
        raise (error.orig or error) from error  # what the driver said, for the one who explains it
    finally:
        engine.dispose()


class _Borrowed:
    """A connection as SQLAlchemy sees it: the transaction belongs to the one who opened it, who also commits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def commit(self) -> None:
        """Left to the owner."""

    def rollback(self) -> None:
        """Left to the owner."""

    def close(self) -> None:
        """Left to the owner."""


def _note(connection: sqlite3.Connection, key: str) -> str | None:
    columns = {row[1] for row in connection.execute("PRAGMA table_info(meta)")}
    if not {"key", "value"} <= columns:
        return None
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else None


def _write_note(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
    )


def _own_version() -> str:
    from importlib import metadata

    try:
        return metadata.version(APPLICATION)
    except metadata.PackageNotFoundError:
        return "not installed"
