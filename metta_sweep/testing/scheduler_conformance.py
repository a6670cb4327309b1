"""What every scheduler must do, as tests: for people who write one."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

import json
from typing import ClassVar, Never

from metta_sweep.core.budget import Budget
from metta_sweep.core.events import Paused, Pick, Reported, Result, Resume, Score
from metta_sweep.core.trial import TERMINAL_STATES, TrialState
from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.simulated_executor import SimulatedExecutor
from metta_sweep.schedulers.scheduler import Scheduler
from metta_sweep.store import MemoryStore
from metta_sweep.testing.scheduler_sweeps import Curve, SchedulerSweep, Seldom, course, essence, journal_prefixes
from metta_sweep.testing.scheduler_watch import Decision, WatchedScheduler, decide_again

__all__ = ["SchedulerConformance"]

_SETTLED = TERMINAL_STATES | {TrialState.PAUSED}


class SchedulerConformance:
    """Subclass it in a test file, name the class ``Test...`` and say how a scheduler is made; pytest runs the rest.

    Whole sweeps of learning curves run on a virtual clock. The parameters are ``x``, which the curves rise to, and ``arm``,
    ``"a"`` or ``"b"``, for ``branch_by``.

    Example:
        ```python
        class TestMyScheduler(SchedulerConformance):
            def make_scheduler(self) -> Scheduler:
                return MyScheduler(patience=2)
        ```
    """

    trials: ClassVar[int] = 8
    """How many trials a sweep has. A scheduler that bounds itself may have its own number."""
    epochs: ClassVar[int] = 9
    """How many steps a whole trial has."""
    kill_points: ClassVar[int] = 12
    """After how many of the records of a run it is killed; all of them, with a larger number."""
    symmetric: ClassVar[bool] = True
    """Whether minimizing ``f`` is the same as maximizing ``-f``. Not so where rewards must lie in a known range."""

    def make_scheduler(self) -> Scheduler:
        """A new scheduler, always with the same settings."""
        raise NotImplementedError

    @property
    def sweep(self) -> SchedulerSweep:
        """The sweep that serves all tests."""
        return SchedulerSweep(self.make_scheduler, trials=self.trials, epochs=self.epochs)

    # -- slots and ends ----------------------------------------------------------------------------------------------------------

    def test_slots_are_filled_and_never_more(self) -> None:
        """As many attempts run at once as there are slots and trials, and the run ends for a reason."""
        for slots in (1, 3, 20):
            curve = Curve(self.epochs)
            results = self.sweep.run(curve, slots=slots)
            assert 1 <= curve.most <= slots
            if slots <= self.trials // 2:
                assert curve.most == slots
            assert results.stop_reason is not None
            assert curve.running == 0

    def test_every_trial_is_settled_in_the_end(self) -> None:
        """None is left pending or running; what is told of each is a score, a reason or a pause."""
        results = self.sweep.run(slots=3)
        assert len(results.trials) > 0
        assert {trial.state for trial in results.trials} <= _SETTLED
        for trial in results.trials:
            assert (trial.score is not None) == (trial.state is TrialState.COMPLETED)

    def test_the_budget_of_trials_is_kept(self) -> None:
        """No more trials than it allows; a larger one goes on, and starts none of them again."""
        store = MemoryStore()
        first = self.sweep.run(slots=3, store=store, budget=3)
        before = {trial.id: trial.params for trial in first.trials}
        assert len(first.trials) <= 3
        second = self.sweep.run(slots=3, store=store)
        assert len(second.trials) <= self.trials
        picks = [event.trial_id for event in second.trace if isinstance(event, Pick)]
        assert len(picks) == len(set(picks)) == len(second.trials)
        assert set(before) <= {trial.id for trial in second.trials}

    # -- determinism -------------------------------------------------------------------------------------------------------------

    def test_the_same_seed_gives_the_same_trace(self) -> None:
        """Event by event, on the virtual clock."""
        for slots in (1, 3):
            assert list(self.sweep.run(slots=slots).trace) == list(self.sweep.run(slots=slots).trace)

    def test_a_run_leaves_its_scheduler_as_it_was(self) -> None:
        """``for_run`` makes a new one: the same scheduler serves the next sweep as if it were new."""
        scheduler = self.make_scheduler()
        described = json.dumps(scheduler.describe())
        first = self.sweep.run(slots=3, scheduler=scheduler)
        assert json.dumps(scheduler.describe()) == described
        again = self.sweep.run(slots=3, scheduler=scheduler)
        assert list(again.trace) == list(first.trace) == list(self.sweep.run(slots=3).trace)

    def test_its_description_is_json_and_says_the_same_again(self) -> None:
        """It is part of what a kept run is; two with the same settings are described alike."""
        text = json.dumps(self.make_scheduler().describe(), allow_nan=False)
        assert text == json.dumps(self.make_scheduler().describe(), allow_nan=False)

    def test_decisions_follow_from_the_events_alone(self) -> None:
        """At each event: a new one that was told all before it, and was never asked, decides the same."""
        for slots in (1, 3):
            watched = WatchedScheduler(self.make_scheduler())
            self.sweep.run(slots=slots, scheduler=watched)
            last = watched.last
            assert last is not None
            assert last.setup is not None
            assert last.decisions
            for decision in last.decisions:
                copy = self.make_scheduler().for_run(last.setup)
                for event in last.events[: decision.applied]:
                    copy.apply(event)
                for _ in range(2):  # asking changes nothing: a stage may be tried again
                    assert decide_again(copy, decision) == decision.answer, f"{decision.kind} after {decision.applied} events"

    def test_reports_that_come_again_change_nothing(self) -> None:
        """A lost attempt begins anew and reports its steps once more: what was decided on each holds, whatever came since."""
        watched = WatchedScheduler(self.make_scheduler())
        self.sweep.run(slots=3, scheduler=watched)
        last = watched.last
        assert last is not None
        assert last.setup is not None
        copy = self.make_scheduler().for_run(last.setup)
        told = 0
        reports: dict[str, list[Reported]] = {}
        judged: dict[str, list[Decision]] = {}
        for decision in last.decisions:
            for event in last.events[told : decision.applied]:
                copy.apply(event)
                if isinstance(event, Reported):
                    so_far = reports.setdefault(event.trial_id, [])
                    so_far.append(event)
                    for known in so_far:
                        copy.apply(known)
                elif isinstance(event, Paused | Resume | Result | Score):
                    reports.pop(event.trial_id, None)
                    judged.pop(event.trial_id, None)
            told = decision.applied
            if decision.kind == "judge":
                judged.setdefault(decision.asked[0].id, []).append(decision)
            for earlier in (known for trial_id in judged for known in judged[trial_id]):
                assert decide_again(copy, earlier) == earlier.answer, f"after {decision.applied} events"

    def test_reports_that_it_does_not_judge_change_nothing(self) -> None:
        """Asked about every report, it decides as when it is asked only about those that ``next_judged`` tells."""
        for slots in (1, 3):
            asked = self.sweep.run(slots=slots)
            watched = WatchedScheduler(self.make_scheduler(), judges_all=True)
            assert course(self.sweep.run(slots=slots, scheduler=watched).trace) == course(asked.trace)

    def test_trials_that_report_seldom_are_judged_at_the_same_reports(self) -> None:
        """Every fourth step, in simulated time, where nobody waits for verdicts on the others: it decides as when asked of all."""
        seldom = Seldom(self.epochs)
        for slots in (1, 3):
            asked = self.sweep.run(seldom, slots=slots, executor=SimulatedExecutor())
            watched = WatchedScheduler(self.make_scheduler(), judges_all=True)
            again = self.sweep.run(seldom, slots=slots, executor=SimulatedExecutor(), scheduler=watched)
            assert course(again.trace) == course(asked.trace)

    # -- crashes and interruptions -----------------------------------------------------------------------------------------------

    def test_a_killed_run_goes_on_as_if_nothing_had_happened(self) -> None:
        """With one slot, killed after each record and run again: the same trials, verdicts, pauses and resumes."""
        store = MemoryStore()
        whole = self.sweep.run(store=store)
        expected, trials = course(whole.trace), essence(whole)
        for count, left in journal_prefixes(store, self.kill_points):
            resumed = self.sweep.run(store=left)
            assert essence(resumed) == trials, f"killed after record {count}"
            assert sorted(course(resumed.trace)) == sorted(expected), f"killed after record {count}"

    def test_an_interrupted_run_goes_on(self) -> None:
        """Ctrl-C in the midst, then run again with one slot: the same trials as without it."""
        for seconds in (0.5, 4.25, 17.0):
            store = MemoryStore()
            self.sweep.interrupted(store, seconds)
            assert essence(self.sweep.run(store=store)) == essence(self.sweep.run())

    def test_a_run_that_was_cut_at_its_deadline_goes_on(self) -> None:
        """What ran then is stopped for good; a longer budget brings the other trials."""
        for slots in (1, 3):
            store = MemoryStore()
            first = self.sweep.run(store=store, slots=slots, budget=Budget(trials=self.trials, seconds=7.3))
            assert first.spend.seconds < 10
            second = self.sweep.run(store=store, slots=slots, budget=Budget(trials=self.trials))
            assert second.stop_reason is not None
            assert {trial.state for trial in second.trials} <= _SETTLED

    # -- what trials may be like -------------------------------------------------------------------------------------------------

    def test_minimizing_is_maximizing_the_negative(self) -> None:
        """Decisions depend on the goal's direction, not on signs."""
        if not self.symmetric:
            _skip("this scheduler is not symmetric: symmetric = False")
        up = self.sweep.run(slots=3)
        down = self.sweep.run(Curve(self.epochs, sign=-1.0), slots=3, goal="minimize")
        assert course(up.trace) == course(down.trace)
        assert [trial.score for trial in up.trials] == [None if trial.score is None else -trial.score for trial in down.trials]

    def test_failing_trials_do_not_hold_the_others(self) -> None:
        """About a third of them raise at step 2; the run ends, they have failed, others complete."""
        for slots in (1, 3):
            results = self.sweep.run(Curve(self.epochs, fails_below=0.35), slots=slots)
            states = [trial.state for trial in results.trials]
            assert set(states) <= _SETTLED
            assert results.stop_reason is not None
            for trial in results.trials:
                assert (trial.error is not None) == (trial.state is TrialState.FAILED)

    def test_all_trials_may_fail(self) -> None:
        """The run ends all the same."""
        results = self.sweep.run(Curve(self.epochs, fails_below=2.0), slots=3)
        assert results.stop_reason is not None
        assert results.best is None

    def test_stragglers_do_not_hold_the_run_for_ever(self) -> None:
        """Some trials take 40 times as long; the run ends."""
        results = self.sweep.run(Curve(self.epochs, slow_above=0.7), slots=3)
        assert {trial.state for trial in results.trials} <= _SETTLED

    def test_equal_metrics_are_borne(self) -> None:
        """All curves are flat and equal; the run ends."""
        for slots in (1, 3):
            results = self.sweep.run(Curve(self.epochs, flat=True), slots=slots)
            assert results.stop_reason is not None
            assert {trial.state for trial in results.trials} <= _SETTLED

    def test_trials_that_do_not_wait_for_verdicts_are_borne(self) -> None:
        """They report as they go, and look now and then whether they should stop."""

        async def reports(trial: TrialContext) -> float:
            curve, value = Curve(self.epochs), 0.0
            for step in range(trial.resume_step + 1, self.epochs + 1):
                value = curve.value(trial.params["x"], trial.seed, step)
                trial.report(step, value)
                if trial.should_stop:
                    break
            return value

        results = self.sweep.run(reports, slots=3)
        assert {trial.state for trial in results.trials} <= _SETTLED

    def test_trials_without_reports_are_borne(self) -> None:
        """A function that only returns its result: there is nothing to judge, and the run ends."""
        results = self.sweep.run(_without_reports, slots=3)
        assert results.stop_reason is not None
        assert {trial.state for trial in results.trials} <= _SETTLED


def _skip(why: str) -> Never:
    import pytest  # who only looks at this package need not have it

    pytest.skip(why)


async def _without_reports(trial: TrialContext) -> float:
    return float(trial.params["x"])
