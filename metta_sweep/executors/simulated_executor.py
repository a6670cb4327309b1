"""The executor whose time is simulated: a day of a cluster in seconds, with the code of real runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final, Never, Self

from metta_sweep.core.given import Remembers
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import TrialError
from metta_sweep.errors import ExecutorError, IllegalTransition, refuse_unknown
from metta_sweep.executors.bus import ResultBus
from metta_sweep.executors.checks import checked_directory, checked_slots
from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.directories import TrialDirectories
from metta_sweep.executors.executor import Capabilities, Ended, ReportMade, StopCause, TrialEvent, TrialTask
from metta_sweep.executors.failure import trial_error
from metta_sweep.executors.objective import BoundObjective
from metta_sweep.executors.simulation.attempt import Happening, Moment, SimulatedAttempt
from metta_sweep.executors.simulation.cost import Seconds, SimulatedCost, SimulatedFailure
from metta_sweep.executors.simulation.course import Course
from metta_sweep.executors.simulation.inline import bind_inline
from metta_sweep.executors.simulation.pauses import Pauses

__all__ = ["SimulatedExecutor"]

_WHERE: Final = "SimulatedExecutor"
_OPTIONS: Final = ("slots", "seconds", "startup", "failures", "stragglers", "slowdown", "seed", "checkpoint_dir")
_NO_REPORT: Final = (TrialError, Moment)
_MOST_AT_ONCE: Final = 4096
"""Events that nobody judges after which they are handed over all the same."""
_LOOKS: Final = 64
"""Looks after which everybody else on the event loop gets a turn."""


class SimulatedExecutor(Remembers):
    """Runs trial functions step by step in simulated time: what takes long is counted, and not waited for.

    The trial function is an ordinary generator that yields its metrics once per epoch, or a plain function: that is one epoch, or
    as many as it reports. It is called on the event loop's thread; each epoch takes ``seconds`` of simulated time. Scheduler,
    optimizer and pipeline are those of real runs; budgets, time limits, back-offs and grace count simulated seconds. What happens
    at the same time comes in the order in which the attempts were dispatched.

    A paused trial keeps its generator, suspended in memory, and goes on with it. In another process, and where a trial goes on from
    the pause of another one, the trial function is called anew with ``trial.resume_step``: learning curves need nothing else
    (``simulated(curve, epochs=100)`` makes a trial function of one).

    Everything random depends on ``seed``, the trial's own seed, the attempt and the step alone. So the same run makes the same
    journal each time, and in which order trials run changes none of them.

    Args:
        slots: how many attempts it runs at once; None: any number.
        seconds: what an epoch takes: a number, or ``seconds(params, step)``.
        startup: seconds that pass at the start of each attempt, also of one that goes on after a pause.
        failures: the probability of each epoch that its attempt fails at its end, with a ``SimulatedFailure``.
        stragglers: the probability of each attempt that it is slow.
        slowdown: by what the seconds of a slow attempt are multiplied.
        seed: of failures and stragglers, beside the seeds of the trials, which come from the run's.
        checkpoint_dir: where trials get their directories, as in ``LocalExecutor``.

    Raises:
        ExecutorError: for settings that cannot be kept.
    """

    capabilities = Capabilities(streams=True, stops=True, isolates=False, survives_driver=False, pauses=True)

    def __init__(
        self,
        slots: int | None = None,
        *,
        seconds: Seconds = 1.0,
        startup: float = 0.0,
        failures: float = 0.0,
        stragglers: float = 0.0,
        slowdown: float = 10.0,
        seed: int | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(_WHERE, unknown, _OPTIONS)
        self._slots = checked_slots(slots, _WHERE)
        self._cost = SimulatedCost(seconds, startup, failures, stragglers, slowdown, seed)
        self._root = checked_directory(checkpoint_dir, _WHERE)
        self._directories = TrialDirectories(checkpoint_dir)
        self._objective: BoundObjective | None = None
        self._open = False
        self._now = 0.0
        self._order = 0
        self._looks = 0
        self._attempts: dict[str, SimulatedAttempt] = {}
        self._pauses = Pauses(self._directories)
        self._future: list[tuple[float, int, int, SimulatedAttempt]] = []
        """What is planned, as a heap: when, the attempt's dispatch order, its turn, the attempt."""
        self._next_judged: Callable[[str, int], int | None] | None = None
        self._bus = ResultBus()

    @property
    def slots(self) -> int | None:
        """How many attempts it can run at once; None: any number."""
        return self._slots

    @property
    def leaked_slots(self) -> int:
        """None: what is simulated can always be ended."""
        return 0

    def exhausted(self) -> str | None:
        """Never."""
        return None

    def clock(self) -> float:
        """Simulated seconds since the run began in this process; 0.0 while there is none."""
        return self._now

    def judge_by(self, next_judged: Callable[[str, int], int | None] | None) -> None:
        """Take what tells at which steps trials are judged: other reports wait for the next event that counts."""
        self._next_judged = next_judged

    def check(self, objective: Any, search_space: SearchSpace | None = None) -> None:
        """Raise ``ObjectiveError`` when the trial function cannot be called. Changes nothing: another run may be using this."""
        bind_inline(objective, search_space)

    def prepare(
        self, objective: Any, search_space: SearchSpace | None = None, *, run_id: str | None = None, root: Path | None = None
    ) -> None:
        """Take the trial function, and where its trials keep their files, for the next run.

        Raises:
            ObjectiveError: the trial function cannot be called, or is a coroutine function.
            ExecutorError: another run is using this.
        """
        self._refuse_open()
        self._objective = bind_inline(objective, search_space)
        self._directories = TrialDirectories(root if self._root is None else self._root, run_id)

    async def __aenter__(self) -> Self:
        self._refuse_open()
        if self._objective is None:
            raise ExecutorError(_WHERE, "it has no trial function", remedy="Call prepare(objective, search_space) first")
        self._open = True
        self._bus = ResultBus()
        self._bus.open(asyncio.get_running_loop())
        self._pauses = Pauses(self._directories)
        self._attempts.clear()
        self._next_judged = None
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End what still runs, and what is paused."""
        for attempt in self._attempts.values():
            if not attempt.ended:
                attempt.ask("interrupt")
                self._end(attempt, Moment.CUT)
        self._pauses.close()
        self._future.clear()
        self._bus.close()
        self._now = 0.0
        self._order = 0
        self._open = False

    def start(self, task: TrialTask) -> None:
        """Start an attempt. Starting one that was started already does nothing, until its terminal event is acknowledged."""
        known = self._attempts.get(task.trial.id)
        if known is not None and _is_same(known, task):
            return
        if self._objective is None or not self._open:
            raise ExecutorError(f"{_WHERE}.start", "it is not open", remedy="Use it as: async with executor: ...")
        course = self._pauses.take(task) or self._anew(task, self._objective)
        attempt = SimulatedAttempt(task, course, self._order, self._now, self._cost.factor(task))
        self._order += 1
        self._attempts[task.trial.id] = attempt
        self._judge_from(attempt, -1 if task.resume_step is None else task.resume_step)
        self._advance(attempt, self._now + self._cost.startup * attempt.factor)

    def stop(self, trial_id: str, cause: StopCause, grace: float) -> None:
        """Ask a trial to stop: at its report where it waits for the verdict, else at its next one, and after ``grace`` seconds."""
        attempt = self._attempts.get(trial_id)
        if attempt is None or attempt.ended:
            return
        if attempt.waiting is not None:
            self._end_at_report(attempt, cause)
            return
        attempt.ask(cause)
        if grace <= 0:
            self._end(attempt, Moment.CUT)
        elif self._now + grace < attempt.cut_at:
            attempt.cut_at = self._now + grace
            self._plan(attempt, attempt.due, attempt.next)

    def answer(self, trial_id: str, step: int) -> None:
        """The verdict on the report of that step is to go on."""
        attempt = self._attempts.get(trial_id)
        if attempt is not None and attempt.waiting is not None and attempt.waiting == step:
            attempt.waiting = None
            self._judge_from(attempt, step)
            self._advance(attempt, self._now)

    def peek(self) -> Sequence[TrialEvent]:
        """What has happened and is not acknowledged, in the order of time; does not wait."""
        return self._bus.peek()

    async def wait(self, until: float | None = None) -> None:
        """Let time pass, to the next event that counts or to ``until`` (seconds on ``clock()``), and return at once.

        Where nothing will ever happen by itself, it really waits, for a ``wake``.
        """
        self._looks += 1
        if self._looks % _LOOKS == 0:
            await asyncio.sleep(0)
        if self._bus.peek():
            return
        if self._play(until):
            return
        if until is None:
            await self._bus.wait()
        else:
            self._now = max(self._now, until)

    def wake(self) -> None:
        """Make a ``wait`` return that really waits. Safe from any thread."""
        self._bus.wake()

    def acknowledge(self, count: int) -> None:
        """Forget the first ``count`` events of the last ``peek``: they are in the journal."""
        attempts = self._attempts
        for event in self._bus.acknowledge(count):
            if type(event) is Ended:
                if event.checkpoint is not None:
                    self._pauses.recorded(event.trial_id, event.checkpoint)
                known = attempts.get(event.trial_id)
                if known is not None and known.task.trial.attempt == event.attempt:
                    del attempts[event.trial_id]

    def keep_only(self, checkpoints: Collection[str]) -> None:
        """Let go of pauses that are not among these, nor of an event that is not acknowledged yet, and of their files."""
        if self._open:
            self._pauses.keep_only(checkpoints)

    # -- time ------------------------------------------------------------------------------------------------------------------

    def _play(self, until: float | None) -> bool:
        """Let happen what happens up to the next event that counts, and all else at that time; whether there is an event at all."""
        future, made = self._future, 0
        end: float | None = None
        while future and (until is None or future[0][0] <= until) and (end is None or future[0][0] <= end):
            when, _, turn, attempt = heappop(future)
            if attempt.ended or turn != attempt.turn:
                continue
            self._now = when
            made += 1
            if self._happens(attempt):
                end = when
            if made == _MOST_AT_ONCE:
                break
        return made > 0

    def _happens(self, attempt: SimulatedAttempt) -> bool:
        """Let happen what was planned. Returns whether it counts: whether anything could be decided by it."""
        happening = attempt.next
        if isinstance(happening, _NO_REPORT):
            self._end(attempt, happening)
            return True
        step, metrics = happening
        trial = attempt.task.trial
        self._bus.append(0, ReportMade(trial.id, trial.attempt, step, metrics))
        if attempt.cause is not None:
            self._end_at_report(attempt, attempt.cause)
            return True
        if attempt.judged is not None and step >= attempt.judged:
            attempt.waiting = step
            return True
        self._advance(attempt, self._now)
        return False

    def _advance(self, attempt: SimulatedAttempt, begin: float) -> None:
        """Run the trial function up to its next report, and plan when that comes."""
        course, task = attempt.course, attempt.task
        happening: Happening
        try:
            happening = course.next() or Moment.END
        except (Exception, SystemExit) as error:  # noqa: BLE001  # errors of trials are data
            happening = trial_error(error)
        if happening is Moment.END and not course.silent:
            self._plan(attempt, begin, happening)
            return
        step = course.step + 1 if isinstance(happening, _NO_REPORT) else happening[0]
        if self._cost.fails(task, step):
            happening = trial_error(SimulatedFailure(f"{task.address} failed in the epoch of step {step}: it was drawn to."))
        self._plan(attempt, begin + self._cost.seconds(task, step) * attempt.factor, happening)

    def _plan(self, attempt: SimulatedAttempt, due: float, happening: Happening) -> None:
        attempt.due, attempt.next = attempt.planned(due, happening)
        attempt.turn += 1
        heappush(self._future, (attempt.due, attempt.order, attempt.turn, attempt))

    def _judge_from(self, attempt: SimulatedAttempt, step: int) -> None:
        attempt.judged = 0 if self._next_judged is None else self._next_judged(attempt.task.trial.id, step)

    # -- ends ------------------------------------------------------------------------------------------------------------------

    def _end_at_report(self, attempt: SimulatedAttempt, cause: StopCause) -> None:
        """End an attempt at the report that it has just made. One that is paused keeps its course."""
        if cause != "pause" or attempt.cause not in (None, "pause"):
            attempt.ask(cause)
            self._end(attempt, None)
            return
        trial = attempt.task.trial
        try:
            name = self._pauses.keep(attempt.task, attempt.course.step, attempt.course)
        except (ExecutorError, OSError) as error:
            self._end(attempt, trial_error(error))
            return
        attempt.ended = True
        self._bus.append(0, Ended(trial.id, trial.attempt, self._now - attempt.started, None, None, "pause", None, name))

    def _anew(self, task: TrialTask, objective: BoundObjective) -> Course:
        trial, directories, pauses = task.trial, self._directories, self._pauses

        def call(context: TrialContext) -> Any:
            pauses.restore(task)
            return objective.call(context)

        return Course(task, call, lambda: directories.of(trial.id, trial.number))

    def _end(self, attempt: SimulatedAttempt, happening: Happening | None) -> None:
        self._bus.append(0, attempt.end(self._now, happening))

    def _refuse_open(self) -> None:
        if self._open:
            raise ExecutorError(_WHERE, "it is in use by another run", remedy="Make one for each run")


def _is_same(known: SimulatedAttempt, task: TrialTask) -> bool:
    if known.task.trial.attempt == task.trial.attempt:
        return True
    if not known.ended:
        raise IllegalTransition(f"{task.address} cannot start: {known.task.address} of the same trial still runs.")
    return False
