"""What was acknowledged survives the death of the process that wrote it, at any moment."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from random import Random

import pytest
from store_kit import RUN, acknowledged, content, copy, end, fill, start, wait_for_line, writer

from metta_sweep.store import SqliteStore, open_reader

POINTS = [
    "migrate.before:1",
    "migrate.after:1",
    "checkpoint.before:1",
    "checkpoint.after:1",
    "epoch.after:1",
    *(f"commit.{when}:{occurrence}" for when in ("before", "after") for occurrence in (1, 2, 3, 4, 9)),
]


def check(path: Path, witness: Path) -> int:
    """Nothing acknowledged is lost, nothing is there in part, and the next driver starts at once. How many events there are."""
    store = start(path)
    try:
        records, rows = content(store)
        count = store.end_of(RUN)
        assert acknowledged(witness) <= count
        assert [record.seq for record in records] == list(range(count))
        assert [row.number for row in rows] == list(range(count))
        for number in range(5, count + 1, 5):
            assert store.get_checkpoint(RUN, f"train[{number % 50}]") is not None
    finally:
        store.close()
    return count


def kill_often(folder: Path, kills: int) -> None:
    """One journal, continued by process after process, each killed at a random moment."""
    path, witness = folder / "sweeps.db", folder / "witness"
    random = Random(kills)
    for _ in range(kills):
        process = writer(path, witness)
        wait_for_line(process)
        time.sleep(random.random() * 0.03)
        end(process)
        check(path, witness)
    assert check(path, witness) > 0


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """20 times: everything acknowledged is there, in order and once."""
    kill_often(tmp_path, 20)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_very_many_random_moments(tmp_path: Path) -> None:
    """200 times."""
    kill_often(tmp_path, 200)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(tmp_path: Path, point: str) -> None:
    """Before and after each commit, migration, checkpoint and change of drivers: the next process goes on."""
    path, witness = tmp_path / "sweeps.db", tmp_path / "witness"
    for _ in range(1 if point.startswith(("migrate", "checkpoint")) else 2):  # a database is migrated once
        process = writer(path, witness, die_at=point)
        process.communicate(timeout=20)
        assert process.returncode == -signal.SIGKILL
        check(path, witness)


def test_killed_while_the_log_is_folded_in(tmp_path: Path) -> None:
    """Before and after the log is copied into the database, with large payloads."""
    path, witness = tmp_path / "sweeps.db", tmp_path / "witness"
    start(path).close()
    for point in ("checkpoint.before:1", "checkpoint.after:1", "checkpoint.after:2"):
        process = writer(path, witness, die_at=point, size=400_000)
        process.communicate(timeout=50)
        assert process.returncode == -signal.SIGKILL
        check(path, witness)


def test_a_reader_may_be_the_first_after_a_kill(tmp_path: Path) -> None:
    """It sees what was acknowledged, without a writer having been there."""
    path, witness = tmp_path / "sweeps.db", tmp_path / "witness"
    process = writer(path, witness)
    wait_for_line(process)
    time.sleep(0.02)
    end(process)
    with open_reader(path) as reader:
        assert reader.end_of(RUN) >= acknowledged(witness)
        assert len(list(reader.records(RUN))) == reader.end_of(RUN)


def cut_often(folder: Path, cuts: int) -> None:
    """Cut copies of the write-ahead log at arbitrary bytes: what is left is a prefix of the history."""
    path = folder / "sweeps.db"
    store = start(path)
    fill(store, 120)
    copied = copy(path, folder / "killed")
    records, rows = content(store)
    store.close()
    log = Path(f"{copied}-wal").read_bytes()
    assert len(log) > 100_000
    random = Random(cuts)
    seen = set()
    for number in range(cuts):
        torn = copy(copied, folder / f"{number}")
        Path(f"{torn}-wal").write_bytes(log[: random.randrange(len(log) + 1)])
        with SqliteStore(torn) as cut:
            if cut.find_run("digits") is None:
                continue
            left, left_rows = content(cut)
            seen.add(len(left))
            assert (left, left_rows) == (records[: len(left)], rows[: len(left)])
            cut.acquire(RUN)
            fill(cut, 1)
    assert len(seen) > cuts / 3


def test_a_log_that_was_cut_leaves_a_prefix(tmp_path: Path) -> None:
    """20 cuts: no record without its row, none out of order, and it can be written on."""
    cut_often(tmp_path, 20)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_log_that_was_cut_anywhere_leaves_a_prefix(tmp_path: Path) -> None:
    """200 cuts."""
    cut_often(tmp_path, 200)
