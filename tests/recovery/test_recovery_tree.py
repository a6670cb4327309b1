"""Three levels of experiments are killed with -9: nothing is lost or counted twice on any level, and every budget is exact."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from recovery_process import ended, killed_after, process_of
from recovery_tree import LEAVES, NAME, ROOTS, SWEEPS, run

from metta_sweep import MemoryStore, SqliteStore
from metta_sweep.core.events import Dispatch, Pick, Score, Stop
from metta_sweep.core.trial import TERMINAL_STATES
from metta_sweep.errors import StoreError
from metta_sweep.experiments.codec import decode_events, decode_trial
from metta_sweep.records import StoreReader
from metta_sweep.store import open_reader

POINTS = {
    "checkpoint.before": (1, 3),
    "checkpoint.after": (1, 3),
    "epoch.after": (1, 2, 5),
    "end.before": (1, 2, 4),
    "fold.before": (1, 2, 5),
    "fold.after": (1, 2, 5),
    "dispatch.before": (1, 3, 12),
    "dispatch.after": (1, 3, 12),
    "result.before": (1, 6, 13),
    "record.before": (2, 9, 40),
    "record.after": (2, 9, 40),
    "append.before": (2, 9, 30),
    "append.after": (2, 9, 30),
    "commit.before": (2, 9, 30),
    "commit.after": (2, 9, 30),
    "persist.before": (1, 3),
    "persist.after": (1, 3),
}
"""Named crash points, and at which of their passages to die."""
ALL = [f"{point}:{occurrence}" for point, occurrences in POINTS.items() for occurrence in occurrences]


def process(folder: Path, kind: str, slots: int, place: str = "", delay: float = 0.0) -> subprocess.Popen[bytes]:
    """A process that runs the tree, or goes on with it. With a delay it is not over before it is killed."""
    return process_of("recovery_tree.py", folder / "tree.db", kind, slots, place, delay)


def essence(store: StoreReader, under: str = NAME) -> dict[str, Any]:
    """What a crash must not change: of every run of the tree, by name, the trials and why it stopped in the end."""
    found: dict[str, Any] = {}
    root = store.find_run(under)
    rows = ([] if root is None else [root]) + list(store.runs(under=under))  # type: ignore[attr-defined]
    for row in rows:
        trials = [decode_trial(trial) for trial in store.trial_rows(row.run_id)]  # type: ignore[attr-defined]
        events = [event for record in store.records(row.run_id, kind="events") for event in decode_events(record)]
        found[str(row.name)] = (
            [(trial.id, trial.state, trial.params, trial.score, trial.reports) for trial in trials],
            [event.reason for event in events if isinstance(event, Stop)][-1:],
        )
    return found


@cache
def uninterrupted(kind: str) -> dict[str, Any]:
    """The tree of a run with one slot that nobody killed."""
    store = MemoryStore()
    run(store, kind, 1)
    return essence(store)


def check_counted_once(folder: Path) -> None:
    """Whatever was killed when: in no run of the tree a pick, an attempt or a score counts twice."""
    try:
        reader = open_reader(folder / "tree.db")
    except StoreError:
        return  # it was killed before there was a database
    with reader:
        for row in reader.runs():
            events = [event for record in reader.records(row.run_id, kind="events") for event in decode_events(record)]
            assert [event.seq for event in events] == list(range(len(events)))
            picks = [event.number for event in events if isinstance(event, Pick)]
            assert picks == list(range(len(picks)))
            scored = Counter(event.trial_id for event in events if isinstance(event, Score))
            attempts = Counter((event.trial_id, event.attempt) for event in events if isinstance(event, Dispatch))
            assert set(scored.values()) | set(attempts.values()) <= {1}
            assert len(picks) <= (LEAVES if str(row.name).endswith("leaves") else SWEEPS)


def check_whole(folder: Path, kind: str, slots: int) -> None:
    """The budget of every level is exact, what it cost adds up, and with one slot the tree is that of an uninterrupted run."""
    check_counted_once(folder)
    with open_reader(folder / "tree.db") as reader:
        found = essence(reader)
    leaves = [trials for name, (trials, _) in found.items() if name.endswith(">leaves")]
    assert len(leaves) == ROOTS * SWEEPS
    assert all(len(trials) == LEAVES for trials in leaves)
    assert all(state in TERMINAL_STATES for trials, _ in found.values() for _, state, *_ in trials)
    assert all(stops == ["budget_trials"] for name, (_, stops) in found.items() if stops or name.endswith("leaves"))
    if slots == 1:
        assert found == uninterrupted(kind)
    store = SqliteStore(folder / "tree.db")
    spend = run(store, kind, slots).spend
    store.close()
    completed = sum(score is not None for trials in leaves for *_, score, _ in trials)
    assert spend.cost == 1.5 * completed
    assert spend.trials == (SWEEPS * ROOTS if kind == "tasks" else ROOTS)


def die_twice_at(folder: Path, kind: str, slots: int, place: str) -> int:
    """Two processes die at a place, the third one ends the run. How many of them came there."""
    deaths = 0
    for _ in range(2):
        deaths += ended(process(folder, kind, slots, place))
        check_counted_once(folder)
    assert not ended(process(folder, kind, slots))
    check_whole(folder, kind, slots)
    return deaths


@pytest.mark.parametrize("kind", ["sweeps", "tasks"])
def test_a_tree_that_is_killed_on_its_way_goes_on(tmp_path: Path, kind: str) -> None:
    """Killed in the middle of a leaf, at the end of a sweep of leaves and between two commits, with one slot."""
    assert killed_after(process(tmp_path, kind, 1, delay=0.03), 4, 0.0)
    for place in ("end.before:1", "commit.after:9"):
        assert ended(process(tmp_path, kind, 1, place))
    assert not ended(process(tmp_path, kind, 1))
    check_whole(tmp_path, kind, 1)


def test_a_tree_has_one_driver(tmp_path: Path) -> None:
    """A second process is refused at once, naming the first; after the death of that one a start succeeds at once."""
    running = process(tmp_path, "sweeps", 1, delay=0.03)
    assert running.stdout is not None
    for _ in range(3):
        running.stdout.readline()
    running.send_signal(signal.SIGSTOP)
    try:
        refused = process(tmp_path, "sweeps", 1)
        _, errors = refused.communicate(timeout=60)
        assert refused.returncode == 1
        assert "RunInUse" in errors.decode()
        assert str(running.pid) in errors.decode()
    finally:
        running.kill()
    assert ended(running)
    assert not ended(process(tmp_path, "sweeps", 1))
    check_whole(tmp_path, "sweeps", 1)


@pytest.mark.parametrize("kind", ["sweeps", "tasks"])
def test_a_tree_that_is_interrupted_goes_on(tmp_path: Path, kind: str) -> None:
    """Ctrl-C ends all levels in order; what was half done on any of them is not taken for whole."""
    running = process(tmp_path, kind, 1, delay=0.03)
    assert running.stdout is not None
    for _ in range(8):
        running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode in ({0} if kind == "sweeps" else {130, -signal.SIGINT}), errors.decode()
    assert "recovery_tree.py" in errors.decode(), "the command that goes on is told"
    check_counted_once(tmp_path)
    assert not ended(process(tmp_path, kind, 1))
    check_whole(tmp_path, kind, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ALL)
def test_a_tree_that_is_killed_at_every_named_point_goes_on(tmp_path: Path, place: str) -> None:
    """At every crash point there is; one slot and four, both kinds of roots."""
    number = ALL.index(place)
    kind, slots = ("sweeps", "tasks")[number % 2], (1, 4)[number // 2 % 2]
    assert die_twice_at(tmp_path, kind, slots, place) or place.startswith(("persist", "checkpoint"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_tree_that_is_killed_very_often_goes_on(tmp_path: Path) -> None:
    """200 kills at random moments, over both kinds of roots, with one slot and four: never is anything lost or counted twice."""
    killed = runs = 0
    while killed < 200:
        random = Random(runs)
        folder = tmp_path / str(runs)
        folder.mkdir()
        kind, slots = ("sweeps", "tasks")[runs % 2], (1, 4)[runs // 2 % 2]
        # one that makes no headway is followed by one that does: leaves that are lost three times in a row are given up
        for number in range(8):
            lines = 2 + random.randrange(5) if number % 2 else 1
            if not killed_after(process(folder, kind, slots), lines, random.random() * (0.01 if lines > 1 else 0.4)):
                break
            check_counted_once(folder)
            killed += 1
        assert not ended(process(folder, kind, slots))
        check_whole(folder, kind, slots)
        runs += 1
    sys.stdout.write(f"{killed} kills of {runs} trees\n")
