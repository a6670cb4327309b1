"""What the store of an experiment does to it: files that went, appends that fail, children that are forked, nobody who listens."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sweep_kit import run, score_x, sweep

from metta_sweep import Budget, MemoryStore, StopReason, Suggestion
from metta_sweep.core.events import Draw
from metta_sweep.errors import BudgetError, RunInUse, StoreError
from metta_sweep.experiments import stores
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.records import Record, RunRow, TrialRow
from metta_sweep.testing.virtual import run_virtual

BESIDE = ("", "-wal", "-shm", "-lock")


# -- files that went ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [BESIDE, ("", "-wal", "-shm")])
def test_a_run_after_its_files_were_deleted_begins_anew(tmp_path: Path, gone: tuple[str, ...]) -> None:
    """In the same process, while an older result is still there and still reads what it has."""
    place = tmp_path / "kept.db"
    experiment = sweep(score_x, name="it", store=place)
    first = run(experiment, 3)
    for ending in gone:
        Path(f"{place}{ending}").unlink()
    second = run(experiment, 2)
    assert (len(first.trials), len(second.trials)) == (3, 2)
    assert place.is_file()
    assert len(run(experiment, 4).trials) == 4


# -- appends that fail -------------------------------------------------------------------------------------------------------------


class Failing(MemoryStore):
    """A store whose appends fail, each with an error of its own, once it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = 0

    def append(self, run_id: str, records: Sequence[Record], rows: Sequence[TrialRow] = ()) -> None:
        """Keep no more than twelve events."""
        if self.end_of(run_id) > 12:
            self.errors += 1
            raise StoreError("store", f"error {self.errors}")
        super().append(run_id, records, rows)


def test_the_first_error_of_a_store_is_the_one_that_is_shown() -> None:
    """Leaving the run tries nothing more with what could not be kept."""
    store = Failing()
    with pytest.raises(StoreError, match="error 1"):
        run(sweep(score_x, name="it", store=store), 10)
    assert store.errors == 1


# -- children ----------------------------------------------------------------------------------------------------------------------


def _kept_trials(place: Path) -> int:
    return len(run(sweep(score_x, name="child", store=place), 2).trials)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_the_store_of_its_parent_anew(tmp_path: Path) -> None:
    """With the same path, while the parent has it open."""
    place = tmp_path / "kept.db"
    kept = run(sweep(score_x, name="it", store=place), 1)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_kept_trials, (place,)).get(20) == 2
    assert len(run(sweep(score_x, name="it", store=place), 2).trials) == 2
    assert len(kept.trials) == 1


async def test_a_forked_child_does_not_leave_the_run_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What unwinds in it notes no end."""
    store = MemoryStore()
    async with sweep(score_x, name="it", store=store).open(1) as opened:
        monkeypatch.setattr("metta_sweep.experiments.recorder.os.getpid", lambda: -1)
        opened.recorder.note_end()
        monkeypatch.undo()
        assert [record.kind for record in store.records(opened.run_id)] == ["start"]


# -- nobody listens ----------------------------------------------------------------------------------------------------------------


class Broken:
    """An error output whose reader has gone."""

    def write(self, text: str) -> int:
        """Fail as a broken pipe does."""
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("output", [None, Broken()])
def test_a_run_needs_nobody_who_reads_its_error_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Broken | None
) -> None:
    """It is closed, or a pipe without a reader."""
    experiment = sweep(score_x, name="it", store=tmp_path / "kept.db")
    monkeypatch.setattr(sys, "stderr", output)
    result = run(experiment, 2)
    monkeypatch.undo()
    assert len(result.trials) == 2


class Unsayable(Exception):
    """Anything else that goes wrong then."""


class Odd:
    """An error output that fails in its own way."""

    def write(self, text: str) -> int:
        """Fail."""
        raise Unsayable


def test_a_run_is_let_go_of_when_it_cannot_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went wrong just after it was taken."""
    experiment = sweep(score_x, name="it", store=tmp_path / "kept.db")
    monkeypatch.setattr(sys, "stderr", Odd())
    with pytest.raises(Unsayable):
        run(experiment, 2)
    monkeypatch.undo()
    assert len(run(experiment, 2).trials) == 2


def test_what_people_were_told_is_not_remembered_for_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process may make any number of runs; the last ones are told of once."""
    store = sweep(score_x, name="it", store=tmp_path / "kept.db").opened_store()
    for number in range(1000):
        stores.say_where(store, RunRow(f"run-{number}", None, 0.0))
    stores.say_where(store, RunRow("run-999", None, 0.0))
    assert capsys.readouterr().err.count("is kept in") == 1000
    assert len(stores._told) < 500  # what it is about


# -- two at once -------------------------------------------------------------------------------------------------------------------


class Raced(MemoryStore):
    """A store in which another process makes and drives a run of the same name, just before this one does."""

    raced = False

    def create_run(self, row: RunRow) -> None:
        """The other one first."""
        if not self.raced:
            self.raced = True
            super().create_run(row._replace(run_id="other"))
            self.acquire("other")
        super().create_run(row)


@pytest.mark.parametrize("fresh", [False, True])
def test_two_first_starts_of_one_name(fresh: bool) -> None:
    """The second one is told that the run is in use."""
    with pytest.raises(RunInUse):
        run(sweep(score_x, name="it", store=Raced()), 2, fresh=fresh)


class Renamed(MemoryStore):
    """A store in which another process starts over, between finding the run and taking it."""

    def acquire(self, run_id: str) -> None:
        """The run that is taken is called otherwise by then."""
        if self.find_run("it@1") is None and len(list(self.records(run_id))) > 0:
            self.rename_run(run_id, "it@1")
            self.create_run(RunRow("new", "it", 0.0))
        super().acquire(run_id)


def test_a_run_that_was_renamed_meanwhile_is_not_gone_on_with() -> None:
    """The one that has the name now is."""
    store = Renamed()
    run(sweep(score_x, name="it", store=store), 2)
    assert run(sweep(score_x, name="it", store=store), 3).run_id == "new"
    assert len(list(store.trial_rows(next(row.run_id for row in store.runs() if row.name == "it@1")))) == 2


# -- more= -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "spent"), [(Budget(seconds=2.5), "2.5 s"), (Budget(cost=2.0), "cost of 2")])
def test_more_is_refused_where_another_cap_is_spent(budget: Budget, spent: str) -> None:
    """It would add nothing. Nothing is written; the whole budget, given anew, adds trials."""

    async def objective(trial: Any) -> dict[str, float]:
        await score_x(trial)
        return {"score": 1.0, "cost": 1.0}

    store = MemoryStore()
    experiment = sweep(objective, metric="score", name="it", store=store, grace=0.0)
    first = run(experiment, budget)
    kept = len(list(store.records(first.run_id)))
    with pytest.raises(BudgetError, match=rf"(?s)run\(more=\).*{spent}.*budget=Budget\("):
        run(experiment, more=2)
    assert len(list(store.records(first.run_id))) == kept
    again = run(experiment, Budget(trials=len(first.trials) + 2))
    assert (again.stop_reason, len(again.trials)) == (StopReason.BUDGET_TRIALS, len(first.trials) + 2)


# -- ids ---------------------------------------------------------------------------------------------------------------------------


class Counting(MemoryStore):
    """A store that counts how often it is asked for a trial."""

    asked = 0

    def trial_row(self, run_id: str, trial_id: str) -> TrialRow | None:
        """Count."""
        self.asked += 1
        return super().trial_row(run_id, trial_id)


def test_the_ids_of_a_queue_are_checked_without_the_store() -> None:
    """While no trial has ended there is nothing in it that an id could clash with."""
    store = Counting()
    suggestions = [Suggestion(params={"i": number}, id=f"t{number}") for number in range(50)]
    result = run(sweep(lambda trial: 1.0, name="it", store=store, optimizer=SuggestionQueue(suggestions)))
    assert sum(isinstance(event, Draw) for event in result.trace) == 50
    assert store.asked == 0


# -- seconds -----------------------------------------------------------------------------------------------------------------------


class Killed(MemoryStore):
    """A store whose process dies 57 seconds after the run began."""

    def append(self, run_id: str, records: Sequence[Record], rows: Sequence[TrialRow] = ()) -> None:
        """Keep what comes before."""
        if records[-1].elapsed > 57:
            raise StoreError("store", "killed")
        super().append(run_id, records, rows)


@pytest.mark.parametrize(("cap", "charged"), [(2000.0, 50.0), (300.0, 57.0), (90.0, 57.0)])
def test_the_seconds_of_a_session_that_was_killed_are_charged(cap: float, charged: float) -> None:
    """But for the last hundredth of the cap, a second at least and ten at most, though its trial made no record."""

    async def hours(trial: Any) -> float:
        await asyncio.sleep(7200)
        return 1.0

    async def known() -> float:
        async with experiment.open(Budget(seconds=cap)) as opened:
            return opened.recorder.active_before

    experiment = sweep(hours, name="it", store=Killed())
    with pytest.raises(StoreError, match="killed"):
        run(experiment, Budget(seconds=cap))
    assert run_virtual(known()) == pytest.approx(charged, abs=3.0)


def test_without_a_budget_of_seconds_nothing_is_noted_while_it_waits() -> None:
    """The journal of long trials stays as small as that of short ones."""

    async def hours(trial: Any) -> float:
        await asyncio.sleep(7200)
        return 1.0

    store = MemoryStore()
    result = run(sweep(hours, name="it", store=store), 1)
    assert {record.kind for record in store.records(result.run_id)} == {"start", "events", "end"}
