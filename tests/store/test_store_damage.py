"""What was damaged is noticed and never used."""

from __future__ import annotations

import contextlib
import pickle
import sqlite3
from pathlib import Path
from random import Random

import pytest
from store_kit import RUN, checkpoint, content, copy, fill, python, raw, start

from metta_sweep.errors import DamagedPayload, StoreError
from metta_sweep.store import SqliteReader, SqliteStore, open_reader
from metta_sweep.testing.store_conformance import make_record, make_row

EVIL = pickle.dumps(print)
ADDRESSES = [f"train[{number}]" for number in range(20)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with 40 records, 40 rows and 20 checkpoints, in use by nobody."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        fill(store, 40)
        for address in ADDRESSES:
            store.put_checkpoint(RUN, checkpoint(address, f'{{"made by":"{address}"}}'.encode()))
    return path


def damaged(payload: bytes, random: Random) -> bytes:
    """One bit flipped, or cut short."""
    if random.random() < 0.5:
        return payload[: random.randrange(len(payload))]
    position = random.randrange(len(payload))
    return payload[:position] + bytes([payload[position] ^ 1 << random.randrange(8)]) + payload[position + 1 :]


def read(reader: SqliteReader, table: str, row: int, seen: list[object]) -> None:
    """Read the checkpoint, or all records or rows, as far as that goes."""
    if table == "checkpoints":
        seen.append(reader.get_checkpoint(RUN, ADDRESSES[row]))
    seen.extend(reader.records(RUN) if table == "records" else reader.trial_rows(RUN))


def test_every_damaged_payload_is_noticed(path: Path) -> None:
    """200 flips and cuts of records, rows and checkpoints: each is reported with its address, and nothing of it is given."""
    random = Random(0)
    with raw(path) as connection, open_reader(path) as reader:
        for number in range(200):
            table = ("checkpoints", "records", "trials")[number % 3]
            row = random.randrange(20)
            column = {"checkpoints": "id - 1", "records": "seq", "trials": "number"}[table]
            (payload,) = connection.execute(f"SELECT payload FROM {table} WHERE {column} = ?", (row,)).fetchone()
            connection.execute(f"UPDATE {table} SET payload = ? WHERE {column} = ?", (damaged(payload, random), row))
            seen: list[object] = []
            with pytest.raises(DamagedPayload, match="digits-1") as caught:
                read(reader, table, row, seen)
            assert len(seen) == (0 if table == "checkpoints" else row)
            place = {"checkpoints": ADDRESSES[row], "records": f"sweep[{row}]/score", "trials": f"trial {row}"}[table]
            assert place in str(caught.value)
            assert "fresh=True" in str(caught.value)
            connection.execute(f"UPDATE {table} SET payload = ? WHERE {column} = ?", (payload, row))


def test_swapped_payloads_are_noticed(path: Path) -> None:
    """A payload with the digest that belongs to it, at another's address, is not what was written there."""
    with raw(path) as connection:
        for table in ("checkpoints", "records"):
            first, second = connection.execute(f"SELECT seal, payload FROM {table} WHERE id IN (3, 4) ORDER BY id").fetchall()
            connection.execute(f"UPDATE {table} SET seal = ?, payload = ? WHERE id = 3", second)
            connection.execute(f"UPDATE {table} SET seal = ?, payload = ? WHERE id = 4", first)
    with open_reader(path) as reader:
        for address in ADDRESSES[2:4]:
            with pytest.raises(DamagedPayload):
                reader.get_checkpoint(RUN, address)
        assert reader.get_checkpoint(RUN, ADDRESSES[4]) is not None
        with pytest.raises(DamagedPayload):
            list(reader.records(RUN))


@pytest.mark.parametrize("column", ["seq", "count", "address", "kind", "time", "elapsed", "seal"])
def test_every_column_of_a_record_is_sealed(path: Path, column: str) -> None:
    """Another value in any of them is noticed."""
    with raw(path) as connection:
        connection.execute(f"UPDATE records SET {column} = '77' WHERE seq = 39")
    with open_reader(path) as reader, pytest.raises(DamagedPayload):
        list(reader.records(RUN))


def test_a_missing_record_is_noticed(path: Path) -> None:
    """A gap in the journal is damage, wherever reading began."""
    with raw(path) as connection:
        connection.execute("DELETE FROM records WHERE seq = 20")
    with open_reader(path) as reader:
        for start_at in (0, 10):
            with pytest.raises(DamagedPayload, match="event 20 is missing"):
                list(reader.records(RUN, start_at))


@pytest.mark.parametrize("value", [None, EVIL, "'; DROP TABLE runs; --", 10**18, -1, 0.5, float("inf"), b"", "\x00"])
@pytest.mark.parametrize("table", ["records", "trials", "checkpoints"])
def test_a_hostile_row_does_nothing(path: Path, table: str, value: object) -> None:
    """Whatever lies in whatever column, reading either gives what was written or an error of the store."""
    with raw(path) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in {"id", "run", "epoch"}]
        for column in columns:
            connection.execute("BEGIN")
            try:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = (SELECT max({column}) FROM {table})", (value,)
                )
            except (sqlite3.IntegrityError, OverflowError):
                connection.execute("ROLLBACK")
                continue
            connection.execute("COMMIT")
    with SqliteStore(path) as store:
        store.acquire(RUN)
        for look in (
            lambda: list(store.records(RUN)),
            lambda: list(store.trial_rows(RUN)),
            lambda: [store.get_checkpoint(RUN, address) for address in ADDRESSES],
            lambda: store.end_of(RUN),
        ):
            with contextlib.suppress(StoreError):
                look()
        assert store.find_run("digits") is not None


@pytest.mark.parametrize("tags", [EVIL, "__import__('os')", "{}", "[1]", None, "[" * 100_000])
def test_a_hostile_run_does_nothing(path: Path, tags: object) -> None:
    """Its row is damaged, and says so."""
    with raw(path) as connection:
        try:
            connection.execute("UPDATE runs SET tags = ?", (tags,))
        except sqlite3.IntegrityError:
            return
    with open_reader(path) as reader, pytest.raises(StoreError):
        reader.runs()


def test_flipped_bytes_of_the_file_never_give_wrong_records(path: Path, tmp_path: Path) -> None:
    """60 flips anywhere in the file: what is read is what was written, or reading fails with an error of the store."""
    with SqliteStore(path) as store:
        written = content(store)
    random = Random(1)
    good = path.read_bytes()
    failures = 0
    for number in range(60):
        broken = copy(path, tmp_path / f"{number}")
        position = random.randrange(len(good))
        broken.write_bytes(good[:position] + bytes([good[position] ^ 1 << random.randrange(8)]) + good[position + 1 :])
        try:
            with open_reader(broken) as reader:
                read = (list(reader.records(RUN)), list(reader.trial_rows(RUN)))
        except StoreError:
            failures += 1
            continue
        assert read[0] == written[0]
        assert [row for row in read[1] if row not in written[1]] == []
    assert failures > 5


def test_a_damaged_schema_is_an_error_of_the_store(path: Path) -> None:
    """Even where its text is none: SQLite quotes it in its message."""
    good = path.read_bytes()
    for old, new in ((b"records_by_seq ON records", b"records_by_seq ON re\xf6ords"), (b"TABLE runs", b"TABLE r\xf6ns")):
        assert old in good
        path.write_bytes(good.replace(old, new))
        for opening in (open_reader, SqliteStore):
            with pytest.raises(StoreError, match=r"sweeps\.db"):
                opening(path)


def test_a_damaged_end_stops_the_next_driver(path: Path) -> None:
    """Nothing is appended after a record that cannot be trusted."""
    with raw(path) as connection:
        connection.execute("UPDATE records SET payload = x'00' WHERE seq = 39")
    with SqliteStore(path) as store:
        store.acquire(RUN)
        with pytest.raises(DamagedPayload):
            store.append(RUN, [make_record(40)], [make_row(40)])


AUDITED = """
import sys
from metta_sweep.errors import StoreError
from metta_sweep.store import SqliteStore, open_reader
SqliteStore(sys.argv[1]).close()  # what is imported late, is by now
open_reader(sys.argv[1]).runs()
seen = []
forbidden = ("import", "exec", "compile", "pickle.find_class", "marshal.loads", "os.system", "subprocess.Popen", "ctypes.dlopen")
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)) if event in forbidden else None)
for opening in (open_reader, SqliteStore):
    store = opening(sys.argv[1])
    for read in (store.records, store.trial_rows, store.end_of, lambda run: store.get_checkpoint(run, "train[3]")):
        for run in store.runs():
            try:
                for _ in iter(read(run.run_id)):
                    pass
            except (StoreError, TypeError):
                pass
    store.close()
print(seen)
"""


@pytest.mark.parametrize("hostile", [False, True])
def test_reading_runs_no_code(path: Path, hostile: bool) -> None:
    """Nothing is unpickled, evaluated, compiled or imported by name, whatever lies in the file."""
    with raw(path) as connection:
        for table in ("records", "trials", "checkpoints") if hostile else ():
            connection.execute(f"UPDATE {table} SET payload = ?", (EVIL,))
    said, trouble = python("-c", AUDITED, str(path)).communicate(timeout=20)
    assert said.strip() == "[]", trouble
