"""Locks between processes and within one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from store_kit import end, python, wait_for_line

from metta_sweep.store.sql.locks import LockFile, driver_in

HOLD = """
import sys, time
from pathlib import Path
from metta_sweep.store.sql.locks import LockFile
locks = LockFile.open(Path(sys.argv[1]))
assert locks.start_writing(5) and locks.become_driver(3) is None
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the locks are."""
    return tmp_path / "sweeps.db-lock"


def test_a_lock_of_another_process_is_waited_for_and_dies_with_it(path: Path) -> None:
    """In vain while it lives."""
    locks = LockFile.open(path)
    process = python("-c", HOLD, str(path))
    wait_for_line(process)
    assert not locks.start_writing(0.01)
    assert locks.become_driver(3) == process.pid
    assert locks.become_driver(4) is None
    threading.Timer(0.02, process.kill).start()
    assert locks.start_writing(10)
    locks.stop_writing()
    end(process)
    assert locks.become_driver(3) is None
    locks.close()


def test_threads_of_one_process_take_turns(path: Path) -> None:
    """The lock of writers keeps them apart, whichever store they use."""
    first, second = LockFile.open(path), LockFile.open(path)
    assert first is second
    assert first.start_writing(1)
    assert not second.start_writing(0.01)
    first.stop_writing()
    assert second.start_writing(0.01)
    second.stop_writing()
    first.close()
    second.close()


def test_closing_one_user_leaves_the_locks_of_the_others(path: Path) -> None:
    """The system drops all locks of a process with the first handle that it closes: so there is only one."""
    first, second = LockFile.open(path), LockFile.open(path)
    assert first.become_driver(3) is None
    second.close()
    assert driver_in(path, 3) == os.getpid()
    process = python("-c", HOLD, str(path))
    _, said = process.communicate(timeout=20)
    assert "AssertionError" in said
    first.close()


def test_who_held_a_lock_and_died_is_not_its_driver(path: Path) -> None:
    """The file still names it."""
    process = python("-c", HOLD, str(path))
    wait_for_line(process)
    assert driver_in(path, 3) == process.pid
    end(process)
    assert str(process.pid) in path.read_text()
    assert driver_in(path, 3) is None
    assert driver_in(path, 99) is None


@pytest.mark.parametrize("own", [True, False])
def test_a_process_that_is_written_down_without_holding_the_lock_is_no_driver(path: Path, own: bool) -> None:
    """The number of a driver that died may be another one's by now."""
    path.write_bytes(f"{os.getppid():<15}\n".encode() * 5)
    locks = LockFile.open(path) if own else None
    assert driver_in(path, 3) is None
    if locks is not None:
        locks.close()


def test_who_holds_a_lock_is_known_whatever_is_written_down(path: Path) -> None:
    """The file is for people; the operating system knows."""
    process = python("-c", HOLD, str(path))
    wait_for_line(process)
    path.write_bytes(b" " * 100)
    assert driver_in(path, 3) == process.pid
    locks = LockFile.open(path)
    assert driver_in(path, 3) == locks.become_driver(3) == process.pid
    locks.close()
    end(process)


def test_the_file_stays_small_and_text(path: Path) -> None:
    """A line per run; the locked bytes lie beyond its end."""
    locks = LockFile.open(path)
    for key in range(1, 50):
        assert locks.become_driver(key) is None
        locks.stop_driving(key)
    locks.close()
    assert path.stat().st_size <= 50 * 16


@pytest.mark.parametrize("text", [b"\xff" * 64, b"-1".ljust(15) + b"\n" * 50, b"9" * 64, "٣".encode() * 32])
def test_whatever_lies_in_the_file_is_only_read_as_numbers(path: Path, text: bytes) -> None:
    """It names no process then, and locks nothing."""
    path.write_bytes(text)
    locks = LockFile.open(path)
    assert locks.line(1) in {None, int("9" * 16)}
    assert locks.become_driver(1) is None
    assert locks.line(1) == os.getpid()
    locks.close()
