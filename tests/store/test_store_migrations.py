"""The schema is made and changed by migrations; a database of a newer version is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable
from store_kit import RUN, content, fill, raw, start

from metta_sweep.clock import crash_points
from metta_sweep.errors import StoreError
from metta_sweep.store import SqliteStore, open_reader
from metta_sweep.store.sql import migrations
from metta_sweep.store.sql.connection import connect
from metta_sweep.store.sql.migrating import migrate
from metta_sweep.store.sql.schema import metadata
from metta_sweep.store.sql.versions import REVISIONS
from metta_sweep.testing.store_conformance import make_record


class Died(BaseException):
    """The end of the process."""


def old(path: Path) -> None:
    """A database of the first version, with a run in it."""
    connection = connect(path, "rwc")
    migrate(connection, path, REVISIONS[0])
    connection.execute("INSERT INTO runs (run_id, name, created, tags) VALUES ('digits-1', 'digits', 1.5, '[]')")
    connection.close()


def tables(path: Path) -> set[str]:
    """What is in the database."""
    with raw(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_migrations_make_the_tables_that_are_declared(tmp_path: Path) -> None:
    """Nothing is missing, added or of another type."""
    start(tmp_path / "sweeps.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'sweeps.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    engine.dispose()


def test_the_tables_can_be_made_in_postgresql() -> None:
    """The schema is written for both."""
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
        assert f"CREATE TABLE {table.name}" in text


def test_the_known_versions_are_those_of_the_scripts() -> None:
    """In their order."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_an_older_database_is_migrated_when_it_is_opened(tmp_path: Path) -> None:
    """What is in it stays; a reader asks for that first."""
    path = tmp_path / "sweeps.db"
    old(path)
    assert "cache" not in tables(path)
    with pytest.raises(StoreError, match=r"older version.*Run an experiment on it once"):
        open_reader(path)
    with start(path) as store:
        fill(store, 3)
        assert store.find_run("digits") is not None
    assert "cache" in tables(path)
    open_reader(path).close()


def test_a_database_that_lacks_an_index_and_forks_only_can_be_read(tmp_path: Path) -> None:
    """It gets them with the next run."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        store.append(RUN, [make_record(0)._replace(kind="start", length=0)])
        before = list(store.records(RUN, kind="start"))
    with raw(path) as connection:
        connection.execute("DROP INDEX records_of_notes")
        connection.execute("ALTER TABLE runs DROP COLUMN forked_from")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    with open_reader(path) as reader:
        assert list(reader.records(RUN, kind="start")) == before != []
        assert [row.forked_from for row in (*reader.runs(), *reader.runs(under="digits"))] == [None]
    start(path).close()
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'records_of_notes'").fetchone() == (1,)


@pytest.mark.parametrize("kind", ["start", "end"])
def test_notes_are_found_without_reading_the_events(tmp_path: Path, kind: str) -> None:
    """By the index of them."""
    with start(tmp_path / "sweeps.db") as store:
        fill(store, 3)
        asked: list[str] = []
        store._connection.set_trace_callback(asked.append)
        assert list(store.records(RUN, kind=kind)) == []
        store._connection.set_trace_callback(None)
        plan = store._connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}").fetchall()
        assert "records_of_notes" in str(plan)


@pytest.mark.parametrize("version", ["0005", "9999", "abc"])
def test_a_newer_database_is_left_alone(tmp_path: Path, version: str) -> None:
    """Both by writers and by readers, with the version that wrote it."""
    path = tmp_path / "sweeps.db"
    start(path).close()
    with raw(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        connection.execute("UPDATE meta SET value = '7.0' WHERE key = 'written_by'")
    before = path.read_bytes()
    for opening in (SqliteStore, open_reader):
        with pytest.raises(StoreError, match=rf"newer version of metta_sweep \(7\.0\).*schema {version}.*Upgrade metta_sweep"):
            opening(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("when", ["migrate.before", "migrate.after", "checkpoint.before"])
@pytest.mark.parametrize("first", [True, False])
def test_a_migration_that_dies_is_done_by_the_next(tmp_path: Path, when: str, first: bool) -> None:
    """It is whole or absent."""
    path = tmp_path / "sweeps.db"
    if not first:
        old(path)

    def die(name: str) -> None:
        if name == when:
            raise Died

    with crash_points(die), pytest.raises(Died):
        SqliteStore(path)
    assert ("cache" in tables(path)) is (when != "migrate.before")
    with start(path) as store:
        fill(store, 2)
        assert len(content(store)[0]) == 2


def test_a_migration_that_fails_leaves_what_was(tmp_path: Path) -> None:
    """All its statements are in one transaction."""
    path = tmp_path / "sweeps.db"
    old(path)
    with raw(path) as connection:
        connection.execute("CREATE TABLE cache (something_else)")
    with pytest.raises(StoreError, match=r"sweeps\.db.*cache already exists"):
        SqliteStore(path)
    with raw(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        connection.execute("DROP TABLE cache")
    start(path).close()


def test_opening_a_database_of_this_version_loads_no_library_of_migrations(tmp_path: Path) -> None:
    """Most starts have nothing to migrate, and those libraries take as long to load as all else together."""
    from store_kit import python

    path = tmp_path / "sweeps.db"
    start(path).close()
    code = (
        "import sys; from metta_sweep.store import SqliteStore, open_reader\n"
        "SqliteStore(sys.argv[1]).close(); open_reader(sys.argv[1])\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'pydantic') if name in sys.modules])"
    )
    said, trouble = python("-c", code, str(path)).communicate(timeout=20)
    assert said.strip() == "[]", trouble
