"""Where a store cannot be kept, it says why and how to mend it, and what was acknowledged is still there."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from store_kit import RUN, acknowledged, checkpoint, content, fill, python, raw, start, writer

from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import RunRow
from metta_sweep.store import MemoryStore, SqliteStore, open_reader, open_store
from metta_sweep.store.places import filesystem_of
from metta_sweep.testing.store_conformance import make_record, make_row


@pytest.mark.parametrize(
    "form", ["sqlite:///kept/sweeps.db", "kept/sweeps.db", Path("kept/sweeps.db"), "sqlite:///{}/kept/sweeps.db"]
)
def test_a_file_can_be_named_in_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str | Path) -> None:
    """An address with three slashes or four, a string, a path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    store = open_store(form.format(tmp_path) if isinstance(form, str) else form)
    assert isinstance(store, SqliteStore)
    assert store.path == tmp_path.resolve() / "kept/sweeps.db"
    store.close()


def test_memory_is_a_new_store_each_time() -> None:
    """Nothing is shared between two of them."""
    assert isinstance(open_store("memory"), MemoryStore)
    assert open_store("memory") is not open_store("memory")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("memroy", "Did you mean 'memory'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (":memory:", "names no file"),
        ("sqlite:file.db", "names no file"),
        ("postgresql://host/db", "no store for 'postgresql'"),
        ("", "no path"),
        ("a\0b", "no path"),
        (b"bytes.db", "no place"),
        (7, "no place"),
        (None, "no place"),
    ],
)
def test_what_names_no_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, says: str) -> None:
    """With what is allowed instead; nothing is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=says):
        open_store(place)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_odd_names_of_files_are_just_names(tmp_path: Path) -> None:
    """White space, marks of addresses and other alphabets."""
    for name in ("my sweeps.db", "a?mode=ro#x.db", "100%.db", "プローブ.db", "no-ending"):
        start(tmp_path / name).close()
        assert (tmp_path / name).is_file()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """It is not made: it may be a slip."""
    with pytest.raises(StoreError, match=r"its folder '.*/nowhere' does not exist"):
        SqliteStore(tmp_path / "nowhere" / "sweeps.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """A file in it can be."""
    with pytest.raises(StoreError, match=r"it is a folder.*metta_sweep\.db"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize("text", [b"not a database" * 100, b"x", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, text: bytes) -> None:
    """For writing and for reading."""
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    for opening in (SqliteStore, open_reader):
        with pytest.raises(StoreError, match=r"notes\.txt"):
            opening(path)
    assert path.read_bytes() == text


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Even one with tables of the same names."""
    for number, statement in enumerate(("CREATE TABLE photos (id)", "CREATE TABLE meta (x)", "CREATE TABLE alembic_version (x)")):
        path = tmp_path / f"{number}.db"
        with raw(path) as connection:
            connection.execute(statement)
        before = path.read_bytes()
        for opening in (SqliteStore, open_reader):
            with pytest.raises(StoreError, match="a database of something else"):
                opening(path)
        assert path.read_bytes() == before
        assert list(tmp_path.glob("*-lock")) == []


def test_a_link_leads_to_the_file_and_its_locks(tmp_path: Path) -> None:
    """Under whatever name it is opened, it is one store."""
    (tmp_path / "link.db").symlink_to(tmp_path / "sweeps.db")
    with start(tmp_path / "link.db") as store, SqliteStore(tmp_path / "sweeps.db") as other:
        fill(store, 2)
        with pytest.raises(RunInUse):
            other.acquire(RUN)
        with open_reader(tmp_path / "link.db") as reader:
            assert reader.end_of(RUN) == 2


def test_there_is_nothing_to_read_before_something_was_written(tmp_path: Path) -> None:
    """A reader makes no file, and an empty file has no schema."""
    with pytest.raises(StoreError, match="no such file"):
        open_reader(tmp_path / "sweeps.db")
    (tmp_path / "sweeps.db").touch()
    with pytest.raises(StoreError, match="an empty file"):
        open_reader(tmp_path / "sweeps.db")


def test_file_systems_of_other_machines_are_refused(tmp_path: Path) -> None:
    """They are told by their type; a disk of this machine, or one that cannot be told, is not refused."""
    for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre"):
        with pytest.raises(StoreError, match=rf"network file system \({kind}\).*METTA_SWEEP_STORE"):
            SqliteStore(tmp_path / "sweeps.db", filesystem=lambda _, kind=kind: kind)  # type: ignore[misc]
    assert list(tmp_path.iterdir()) == []
    for local in ("ext4", "overlay", "tmpfs", "zfs", None):
        SqliteStore(tmp_path / f"{local}.db", filesystem=lambda _, local=local: local).close()  # type: ignore[misc]


@pytest.mark.skipif(sys.platform != "linux", reason="the types of mounts are read from /proc")
def test_the_type_of_a_file_system_is_found() -> None:
    """That of the innermost mount."""
    assert filesystem_of(Path("/proc/x.db")) == "proc"


def test_an_unknown_promise_is_refused(tmp_path: Path) -> None:
    """The two that there are, are named."""
    with pytest.raises(StoreError, match="'process' or 'power'"):
        SqliteStore(tmp_path / "sweeps.db", durability="full")  # type: ignore[arg-type]


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """For reading and writing; closing twice does nothing."""
    store = start(tmp_path / "sweeps.db")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="it was closed"):
        store.runs()
    with pytest.raises(StoreError, match="it was closed"):
        store.rename_run(RUN, "x")
    with pytest.raises(StoreError):
        store.append(RUN, [make_record(0)])


def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """The batch that finds no room is not there in part; with room again, writing goes on."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        store._connection.execute("PRAGMA max_page_count = 60")
        with pytest.raises(StoreError, match=r"is full.*Free some space"):
            fill(store, 1000)
        kept = store.end_of(RUN)
        assert kept > 100
        records, rows = content(store)
        assert len(records) == len(rows) == kept == store.end_of(RUN)
        store._connection.execute("PRAGMA max_page_count = 100000")
        fill(store, 10)
        assert len(content(store)[0]) == kept + 10


@pytest.mark.timeout(90)
def test_a_file_that_may_not_grow_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A limit of the operating system, reached in the middle of writing the log."""
    path, witness = tmp_path / "sweeps.db", tmp_path / "witness"
    start(path).close()
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\n"
        "sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[1] + '/store_writer.py')['main'](*sys.argv[2:])"
    )
    process = python("-c", code, str(Path(__file__).parent), str(path), str(witness), "", "20000")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "StoreError" in said
    assert "what was acknowledged is kept" in said
    with start(path) as store:
        assert store.end_of(RUN) >= acknowledged(witness) > 20
        fill(store, 3)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_place_that_is_read_only_is_refused(tmp_path: Path, what: str) -> None:
    """Before anything is written; a reader may read what lies in a file that it may not write."""
    path = tmp_path / "kept" / "sweeps.db"
    path.parent.mkdir()
    start(path).close()
    (path if what == "file" else path.parent).chmod(0o444 if what == "file" else 0o555)
    code = (
        "import json.decoder, os, sys; from metta_sweep.store import SqliteStore, open_reader\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: SqliteStore(sys.argv[1])\n"
        "except Exception as error: print(repr(error))\n"
        "print([row.run_id for row in open_reader(sys.argv[1]).runs()])\n"
    )
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    if what == "file":
        path.parent.chmod(0o777)
    process = python("-c", code, str(path))
    said, trouble = process.communicate(timeout=20)
    path.parent.chmod(0o755)
    assert "StoreError" in said, trouble
    assert "read-only for this user" in said
    assert "METTA_SWEEP_STORE" in said
    assert "['digits-1']" in said


def lose(path: Path, how: str) -> None:
    """Take the database away while it is in use."""
    if how == "moved":
        path.rename(path.with_name("elsewhere.db"))
        return
    for ending in ("-wal",) if how == "log deleted" else ("", "-wal", "-shm") if how == "all deleted" else ("",):
        Path(f"{path}{ending}").unlink()
    if how == "replaced":
        with raw(path) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("CREATE TABLE other (x)")


@pytest.mark.parametrize("how", ["deleted", "all deleted", "moved", "replaced", "log deleted"])
def test_a_file_that_is_taken_away_is_saved(tmp_path: Path, how: str) -> None:
    """The next write says what happened, writes nothing, and all that was acknowledged lies in a file that it names."""
    path = tmp_path / "sweeps.db"
    store = start(path)
    fill(store, 30)
    store.put_checkpoint(RUN, checkpoint("train"))
    before = content(store)
    lose(path, how)
    kept = path.read_bytes() if how == "replaced" else None
    with pytest.raises(StoreError, match=r"while it was in use.*saved-1'") as caught:
        store.append(RUN, [make_record(30)], [make_row(30)])
    with pytest.raises(StoreError, match="saved-1'"):
        store.put_checkpoint(RUN, checkpoint("train"))
    words = {"replaced": "replaced by another file", "log deleted": "lost its write-ahead log"}
    assert words.get(how, "was deleted or moved away") in str(caught.value)
    store.close()
    assert kept is None or path.read_bytes() == kept
    saved = tmp_path / "sweeps.db.saved-1"
    shutil.move(saved, path)
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    with start(path) as again:
        assert content(again) == before
        assert again.get_checkpoint(RUN, "train") is not None
        fill(again, 1)


def test_a_forked_child_does_not_write_with_its_parents_connection(tmp_path: Path) -> None:
    """It is told to open the store again."""
    store = start(tmp_path / "sweeps.db")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            store.append(RUN, [make_record(0)])
        except StoreError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert b"Open the store again in the child process" in os.read(reading, 1000)
    fill(store, 1)
    store.close()
    os.close(reading)
    os.close(writing)


def test_a_forked_child_leaves_the_locks_of_its_parent_alone(tmp_path: Path) -> None:
    """One that lets go of all that it inherited: the parent drives its run, and is named as its driver."""
    path = tmp_path / "sweeps.db"
    store = start(path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with pytest.raises(StoreError, match="Open the store again in the child process"):
                store.acquire(RUN)
            store.release(RUN)
            store.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store._writer.locks.line(1) == store.driver_of(RUN) == os.getpid()
    _, said = writer(path, tmp_path / "witness").communicate(timeout=20)
    assert f"is being run by process {os.getpid()}" in said
    fill(store, 1)
    store.close()


def test_a_forked_child_drives_a_run_of_its_own_with_a_store_of_its_own(tmp_path: Path) -> None:
    """In the same file, while its parent drives another one, and after it."""
    path = tmp_path / "sweeps.db"
    store = start(path)
    fill(store, 20)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with SqliteStore(path) as own:
                own.create_run(RunRow("own", None, 0.0))
                own.acquire("own")
                for number in range(50):
                    own.append("own", [make_record(number)], [make_row(number)])
                with pytest.raises(RunInUse, match=str(os.getppid())):
                    own.acquire(RUN)
            store.close()
            code = 0
        finally:
            os._exit(code)
    fill(store, 100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(list(store.records("own"))) == 50
    fill(store, 1)
    store.close()
    with start(path) as again:
        assert len(content(again)[0]) == 121
        assert again._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("how", ["PASSIVE", "RESTART"])
def test_a_log_that_cannot_be_folded_in_does_not_undo_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """What was appended is acknowledged; the next transaction tries again and says what is wrong, until nothing is."""
    path = tmp_path / "sweeps.db"
    monkeypatch.setattr("metta_sweep.store.sql.writer.LOG_INSISTED", 0)

    def refuse(_: int, name: str | None, value: str | None, *rest: str | None) -> int:
        return sqlite3.SQLITE_DENY if (name, value) == ("wal_checkpoint", how) else sqlite3.SQLITE_OK

    with start(path) as store:
        fill(store, 3)
        store._writer._fold_at = 0
        store._connection.set_authorizer(refuse)
        fill(store, 1)
        assert len(content(store)[0]) == store.end_of(RUN) == 4
        for _ in range(2):
            with pytest.raises(StoreError, match=r"folding in its write-ahead log.*not authorized"):
                fill(store, 1)
        assert store._connection.execute("PRAGMA busy_timeout").fetchone() == (30000,)
        store._connection.set_authorizer(None)
        fill(store, 1)
        assert len(content(store)[0]) == store.end_of(RUN) == 5


def test_errors_of_the_database_are_of_the_store(tmp_path: Path) -> None:
    """Whatever SQLite says, is said about the file in question."""
    with start(tmp_path / "sweeps.db") as store:
        store._connection.execute("DROP TABLE trials")
        with pytest.raises(StoreError, match=r"sweeps\.db.*no such table") as caught:
            store.append(RUN, [make_record(0)], [make_row(0)])
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        assert store.end_of(RUN) == 0


def test_a_writer_that_is_killed_in_a_batch_blocks_nobody(tmp_path: Path) -> None:
    """The lock of writers dies with it."""
    process = writer(tmp_path / "sweeps.db", tmp_path / "witness", die_at="commit.before:4")
    process.communicate(timeout=20)
    with start(tmp_path / "sweeps.db") as store:
        fill(store, 1)
