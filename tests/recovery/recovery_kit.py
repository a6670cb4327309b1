"""What the tests of recovery share: processes that run a sweep until they are killed, and what must hold of what they leave."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from recovery_sweep import NAME, Witnessed

from metta_sweep import MemoryStore, Trial
from metta_sweep.core.events import Dispatch, Event, Pick, Score, Stop
from metta_sweep.core.trial import TERMINAL_STATES
from metta_sweep.errors import StoreError
from metta_sweep.experiments.codec import decode_events, decode_trial
from metta_sweep.store import open_reader

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("recovery_sweep.py")


class Case(NamedTuple):
    """A sweep to be killed."""

    folder: Path
    setup: str
    slots: int
    trials: int = 30

    @property
    def path(self) -> Path:
        """Its database."""
        return self.folder / "killed.db"

    @property
    def witness(self) -> Path:
        """What it was told, written to disk at each update."""
        return self.folder / "witness"


class Left(NamedTuple):
    """What a process left behind in the database."""

    events: list[Event]
    trials: list[Trial]

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def between(self) -> bool:
        """Whether the process died between the first dispatch and the last commit."""
        return bool(self.of(Dispatch)) and not self.of(Stop)


@contextmanager
def process_of(case: Case, die_at: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the sweep, or goes on with it. It is dead after the block."""
    arguments = [str(case.path), str(case.witness), case.setup, str(case.slots), str(case.trials), die_at]
    with (case.folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def kill_after(case: Case, lines: int, seconds: float) -> bool:
    """Run it, wait for so many lines of its output and then so many seconds, and kill it. Whether it was alive then."""
    with process_of(case) as process:
        assert process.stdout is not None
        for _ in range(lines):
            if not process.stdout.readline():
                break
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    return _died(case, process.returncode)


def die_at(case: Case, place: str) -> bool:
    """Run it until it kills itself at ``point:occurrence``. Whether it came there before its end."""
    with process_of(case, place) as process:
        process.communicate(timeout=50)
    return _died(case, process.returncode)


def finish(case: Case) -> None:
    """Run it to its end."""
    assert not die_at(case, "")


def _died(case: Case, code: int) -> bool:
    assert code in {0, -signal.SIGKILL}, (case.folder / "stderr").read_text(encoding="utf-8")
    return code != 0


def left_by(case: Case) -> Left:
    """What is in the database now; nothing where it was killed before there was one."""
    try:
        with open_reader(case.path) as reader:
            run = reader.find_run(NAME)
            if run is None:
                return Left([], [])
            events = [event for record in reader.records(run.run_id) if record.kind == "events" for event in decode_events(record)]
            return Left(events, [decode_trial(row) for row in reader.trial_rows(run.run_id)])
    except StoreError as error:
        assert "there is no such file" in str(error) or "older version" in str(error), error  # noqa: PT017
        return Left([], [])


def told(case: Case) -> tuple[int, dict[str, float | None]]:
    """What the witness saw: how many trials had ended, and the score of each."""
    lines = case.witness.read_bytes().splitlines(keepends=True) if case.witness.exists() else []
    updates = [json.loads(line) for line in lines if line.endswith(b"\n")]
    scores: dict[str, float | None] = {}
    for update in updates:
        for trial_id, score in update["scored"]:
            assert trial_id not in scores, f"trial {trial_id} was told twice"
            scores[trial_id] = score
    return max((update["trials"] for update in updates), default=0), scores


def essence(trial: Trial) -> tuple[Any, ...]:
    """What a crash must not change."""
    return trial.id, trial.branch, trial.state, trial.params, trial.score


@cache
def uninterrupted(setup: str, trials: int) -> list[tuple[Any, ...]]:
    """The trials of a run with one slot that nobody killed."""
    result = asyncio.run(Witnessed(setup, MemoryStore(), 1).arun(trials))
    return [essence(trial) for trial in result.trials]


def check_kept(case: Case, left: Left) -> None:
    """Nothing that anybody was told of is lost or changed, and nothing is counted twice or in part."""
    count, scores = told(case)
    kept = {trial.id: trial.score for trial in left.trials}
    assert {trial_id: kept.get(trial_id, "lost") for trial_id in scores} == scores
    assert len(kept) == len(left.trials) >= count
    scored = Counter(event.trial_id for event in left.of(Score))
    assert set(scored.values()) <= {1}
    assert set(scored) == set(kept)
    assert [event.number for event in left.of(Pick)] == list(range(len(left.of(Pick))))
    assert len(left.of(Pick)) <= case.trials
    attempts = Counter((event.trial_id, event.attempt) for event in left.of(Dispatch))
    assert set(attempts.values()) <= {1}
    assert [event.seq for event in left.events] == list(range(len(left.events)))


def check_ended(case: Case) -> None:
    """The budget is exact, every trial has ended; with one slot they are those of an uninterrupted run."""
    left = left_by(case)
    check_kept(case, left)
    assert len(left.trials) == len(left.of(Pick)) == case.trials
    assert all(trial.state in TERMINAL_STATES for trial in left.trials)
    assert [event.reason for event in left.of(Stop)] == ["budget_trials"]
    assert set(told(case)[1]) <= {trial.id for trial in left.trials}
    if case.slots == 1:
        assert [essence(trial) for trial in left.trials] == uninterrupted(case.setup, case.trials)


def kill_until_done(case: Case, random: Random, kills: int) -> tuple[int, int]:
    """Kill it up to so many times at random moments, check after each, then let it end.

    A trial that is lost three times in a row is given up as the one that may be the killer: a process that made no headway is
    followed by one that makes some.

    Returns:
        How often it was killed alive, and how often between its first dispatch and its last commit.
    """
    killed = between = idle = before = 0
    while killed < kills:
        # half of the moments are counted in updates, half in time from the start, when the journal is opened and folded
        lines, seconds = (
            (2 + random.randrange(8), random.random() * 0.006) if idle or random.random() < 0.6 else (1, random.random() * 0.5)
        )
        if not kill_after(case, lines, seconds):
            break
        left = left_by(case)
        check_kept(case, left)
        killed += 1
        between += left.between
        idle = idle + 1 if len(left.trials) == before else 0
        before = len(left.trials)
    finish(case)
    check_ended(case)
    return killed, between
