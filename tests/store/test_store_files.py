"""A file beside the database that is taken away while it is in use is noticed before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_kit import BESIDE, RUN, content, end, fill, python, raw, start, wait_for_line

from metta_sweep.errors import StoreError
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore
from metta_sweep.testing.store_conformance import make_record, make_row

DRIVES_ANOTHER = """
import sys
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore
from metta_sweep.testing.store_conformance import make_record, make_row
store = SqliteStore(sys.argv[1])
store.create_run(RunRow("other", None, 0.0))
store.acquire("other")
for number in range(300):
    store.append("other", [make_record(number)], [make_row(number)])
"""

LOSES_ITS_INDEX = """
import os, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from store_kit import RUN, fill, start
from metta_sweep.errors import StoreError
from metta_sweep.testing.store_conformance import make_record, make_row
path = Path(sys.argv[1])
store = start(path)
fill(store, 300)
os.unlink(f"{path}-shm")
subprocess.run([sys.executable, "-c", sys.argv[2], str(path)], check=True)
try:
    store.append(RUN, [make_record(300)], [make_row(300)])
except StoreError as error:
    print(error)
"""


def take(path: Path, how: str) -> None:
    """Delete a file, move it away, or put a copy in its place."""
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    if how == "replaced":
        path.write_bytes(elsewhere.read_bytes())
    if how == "deleted":
        elsewhere.unlink()


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
@pytest.mark.parametrize("which", ["-wal", "-shm", "-lock"])
def test_a_file_beside_it_that_is_taken_away_ends_the_writing(tmp_path: Path, which: str, how: str) -> None:
    """The next write names it and writes nothing, from then on; what was acknowledged is kept."""
    path = tmp_path / "sweeps.db"
    store = start(path)
    fill(store, 30)
    before = content(store)
    assert store.is_current()
    take(Path(f"{path}{which}"), how)
    assert not store.is_current()
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"ending in {which}\) while it was in use.*[Aa]ll that was kept"):
            store.append(RUN, [make_record(30)], [make_row(30)])
    assert content(store) == before
    assert (tmp_path / "sweeps.db.saved-1").exists() is (which == "-wal")


def test_losing_the_index_of_the_log_damages_nothing(tmp_path: Path) -> None:
    """Another process drives its run in between and makes another index; both journals are whole."""
    path = tmp_path / "sweeps.db"
    process = python("-c", LOSES_ITS_INDEX, str(path), DRIVES_ANOTHER, str(Path(__file__).parent))
    said, trouble = process.communicate(timeout=30)
    assert (process.returncode, trouble) == (0, "")
    assert "(the file ending in -shm)" in said
    with raw(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with start(path) as store:
        assert len(content(store)[0]) == store.end_of(RUN) == 300
        assert len(list(store.records("other"))) == 300
        fill(store, 3)


def test_a_process_with_a_lost_index_is_not_let_near_another_one(tmp_path: Path) -> None:
    """SQLite shares one index between the connections of a process: a new store would write with the lost one."""
    path = tmp_path / "sweeps.db"
    store = start(path)
    fill(store, 3)
    os.unlink(f"{path}-shm")  # noqa: PTH108
    process = python("-c", DRIVES_ANOTHER, str(path))
    assert process.wait(30) == 0
    process.communicate()
    with pytest.raises(StoreError, match=r"ending in -shm\) was replaced meanwhile.*End this process"):
        SqliteStore(path)
    store.close()
    with pytest.raises(StoreError, match=r"ending in -shm\) was replaced meanwhile"):
        SqliteStore(path)


def test_a_store_is_current_while_it_is_open_and_nothing_was_taken_away(tmp_path: Path) -> None:
    """One in place of a deleted one is current, and the other is not."""
    path = tmp_path / "sweeps.db"
    first = start(path)
    assert first.is_current()
    for ending in BESIDE:
        Path(f"{path}{ending}").unlink()
    assert not first.is_current()
    with start(path) as second:
        fill(second, 2)
        assert second.is_current()
        assert not first.is_current()
    assert not second.is_current()


def test_a_run_is_not_driven_twice_after_its_locks_were_deleted(tmp_path: Path) -> None:
    """The second process may take it; the first one writes nothing any more."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        fill(store, 2)
        store.create_run(RunRow("spare", None, 0.0))
        os.unlink(f"{path}-lock")  # noqa: PTH108
        code = (
            "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[2]); from store_kit import fill, start\n"
            "store = start(Path(sys.argv[1])); fill(store, 2); print('ready', flush=True); time.sleep(30)"
        )
        process = python("-c", code, str(path), str(Path(__file__).parent))
        wait_for_line(process)
        with pytest.raises(StoreError, match="ending in -lock"):
            store.append(RUN, [make_record(2)])
        with pytest.raises(StoreError, match="ending in -lock"):
            store.acquire("spare")
        end(process)
    with start(path) as again:
        assert again.end_of(RUN) == 4
