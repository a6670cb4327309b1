"""The executor of this process: coroutines as tasks of the event loop, everything else in worker threads."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from types import CoroutineType
from typing import Any, Never, Self

from metta_sweep.core.given import Remembers
from metta_sweep.core.resources import Resources
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import Metric, TrialError
from metta_sweep.errors import ExecutorError, IllegalTransition, refuse_unknown
from metta_sweep.executors.attempt import Attempt
from metta_sweep.executors.bus import ResultBus
from metta_sweep.executors.checks import FilePath, checked_directory, checked_slots, devices_of
from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.cutting import LAST_GRACE, Cutting
from metta_sweep.executors.directories import TrialDirectories
from metta_sweep.executors.executor import Capabilities, Ended, StopCause, TrialEvent, TrialTask
from metta_sweep.executors.failure import trial_error
from metta_sweep.executors.leaks import Leaks
from metta_sweep.executors.objective import BoundObjective, Kind, bind_objective
from metta_sweep.executors.outcome import awaitable, ended_of, in_thread, is_unrun, metrics_of
from metta_sweep.executors.pausing import must_restore, restore, save, tidy
from metta_sweep.here import here
from metta_sweep.threads import Leaked, WorkerThreads

__all__ = ["LocalExecutor"]


class LocalExecutor(Remembers):
    """Runs trials in this process.

    Coroutine functions and async generators run as tasks on the event loop, all other functions in worker threads. What cannot be
    ended (a function in a thread that does not look at ``trial.should_stop``, a coroutine that will not be cancelled) is reported
    as ended all the same, with a warning on the logger ``metta_sweep``; it is listed in ``leaked`` and holds its slot until it
    really ends. A trial that raises while the deadline or an interrupt ends it was stopped, and has not failed: its metadata tell
    the error.

    Args:
        slots: how many attempts it can run at once; None: any number.
        checkpoint_dir: where trials get their directories, ``<checkpoint_dir>/<run id>/<trial id>``; by default beside the file
            that keeps the run, ``metta_sweep.db-checkpoints`` say, else among the system's temporary files. They are kept.
        gpus: how many GPUs it hands out to trials that ask for them: ``trial.devices`` are their numbers, and a trial starts when
            what it asks for is free. None: requests for GPUs are advisory.

    Raises:
        ExecutorError: for settings that cannot be kept.
    """

    capabilities = Capabilities(streams=True, stops=True, isolates=False, survives_driver=False, pauses=True)

    def __init__(
        self, slots: int | None = None, *, checkpoint_dir: FilePath | None = None, gpus: int | None = None, **unknown: Never
    ) -> None:
        refuse_unknown("LocalExecutor", unknown, ("slots", "checkpoint_dir", "gpus"))
        self._slots = checked_slots(slots, "LocalExecutor")
        self._root = checked_directory(checkpoint_dir, "LocalExecutor")
        self._devices = devices_of(gpus, "LocalExecutor")
        self._objective: BoundObjective | None = None
        self._attempts: dict[str, Attempt] = {}
        self._leaks = Leaks()
        self._cutting = Cutting(self._end, self._give_up)
        self._running = 0
        self._order = 0
        self._workers: WorkerThreads | None = None
        self._open = False
        self.loop: asyncio.AbstractEventLoop
        self.thread = 0
        self.bus = ResultBus()
        self.directories = TrialDirectories(checkpoint_dir)

    @property
    def slots(self) -> int | None:
        """How many attempts it can run at once; None: any number."""
        return self._slots

    @property
    def gpus(self) -> int | None:
        """How many GPUs it hands out; None: requests are advisory."""
        return None if self._devices is None else self._devices.count

    def admits(self, resources: Resources, trial_id: str | None = None) -> bool:
        """Whether the GPUs asked for are free, or were given to the running attempt of that trial. ``ExecutorError``: too many."""
        known = None if trial_id is None else self._attempts.get(trial_id)
        return self._devices is None or self._devices.admit(resources) or (known is not None and not known.ended)

    @property
    def busy(self) -> int:
        """How many attempts run, those given up included."""
        return self._running + len(self._leaks)

    @property
    def leaked_slots(self) -> int:
        """How many attempts were reported as ended, and still run."""
        return len(self._leaks)

    @property
    def leaked(self) -> tuple[Leaked, ...]:
        """The attempts that were reported as ended, and still run; longest first. Their names are addresses."""
        return self._leaks.listed()

    def exhausted(self) -> str | None:
        """Never of itself: a slot that is held by an attempt that was given up frees when that one ends."""
        return None

    def check(self, objective: Any, search_space: SearchSpace | None = None) -> None:
        """Raise ``ObjectiveError`` when the trial function cannot be called. Changes nothing: another run may be using this."""
        bind_objective(objective, search_space)

    def prepare(
        self,
        objective: Any,
        search_space: SearchSpace | None = None,
        *,
        run_id: str | None = None,
        root: Path | None = None,
    ) -> None:
        """Take the trial function, and where its trials keep their files, for the next run.

        Raises:
            ObjectiveError: the trial function cannot be called.
            ExecutorError: another run is using this.
        """
        self._refuse_open()
        self._objective = bind_objective(objective, search_space)
        self.directories = TrialDirectories(root if self._root is None else self._root, run_id)

    def _refuse_open(self) -> None:
        if self._open:
            raise ExecutorError("LocalExecutor", "it is in use by another run", remedy="Make one for each run")

    async def __aenter__(self) -> Self:
        self._refuse_open()
        if self._objective is None:
            raise ExecutorError("LocalExecutor", "it has no trial function", remedy="Call prepare(objective, search_space) first")
        self._open = True
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.bus = ResultBus()
        self.bus.open(self.loop)
        self._attempts.clear()
        self._running = 0
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop what still runs: coroutines are cancelled, functions in threads are given up."""
        running = [attempt for attempt in self._attempts.values() if not attempt.ended]
        for attempt in running:
            attempt.ask("interrupt")
            self._cutting.cut(attempt)
        tasks = [attempt.handle for attempt in running if attempt.handle is not None and not attempt.handle.done()]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=LAST_GRACE)
        finally:
            for attempt in running:
                if not attempt.ended:
                    self._give_up(attempt)
            self.bus.close()
            self.directories.close()
            if self._workers is not None:
                self._workers.close()
                self._workers = None
            self._open = False

    def start(self, task: TrialTask) -> None:
        """Start an attempt. Starting one that was started already does nothing, until its terminal event is acknowledged."""
        trial = task.trial
        known = self._attempts.get(trial.id)
        if known is not None and self._is_same(known, task):
            return
        objective = self._objective
        if objective is None or not self._open:
            raise ExecutorError("LocalExecutor.start", "it is not open", remedy="Use it as: async with executor: ...")
        attempt = Attempt(self, task, self._order)
        if task.resources.gpus and self._devices is not None:
            attempt.give(self._devices.take(attempt, task.resources))
        self._order += 1
        self._attempts[trial.id] = attempt
        self._running += 1
        if objective.kind is Kind.THREAD:
            attempt.in_thread = True
            attempt.call = self._pool().submit(
                partial(in_thread, objective, attempt, attempt.context), partial(self._returned, attempt), name=task.address
            )
        else:
            attempt.handle = self.loop.create_task(self._run(attempt, objective.call), name=task.address)
        if task.resources.time_limit is not None:
            attempt.limit = self.loop.call_later(task.resources.time_limit, self._cutting.time_up, attempt)

    def stop(self, trial_id: str, cause: StopCause, grace: float) -> None:
        """Ask a running trial to stop, and stop it after ``grace`` seconds. The first cause counts, and the shortest grace.

        Of one that is to pause the directory is kept when its code has ended: a generator pauses at its ``yield``, another function
        when it has seen ``should_stop``, a coroutine that does not look is cancelled after its grace. A function in a thread that
        does not look, and a coroutine that swallows its cancellation, run to their end.
        """
        attempt = self._attempts.get(trial_id)
        if attempt is None or attempt.ended:
            return
        attempt.ask(cause)
        if cause != "pause":
            attempt.cut_after(grace, self._cutting.cut)
        elif attempt.handle is not None:
            attempt.cut_after(grace, self._cutting.cut_to_pause)

    def answer(self, trial_id: str, step: int) -> None:
        """The verdict on the report of that step is to go on: wakes a generator that waits for it."""
        attempt = self._attempts.get(trial_id)
        if attempt is not None and attempt.step == step:
            attempt.decide(go_on=True)

    def peek(self) -> Sequence[TrialEvent]:
        """What has happened and is not acknowledged, in the order of dispatch; does not wait."""
        return self.bus.peek()

    async def wait(self, until: float | None = None) -> None:
        """Return as soon as something is unacknowledged, or at ``until`` (seconds on the event loop's clock)."""
        await self.bus.wait(until)

    def wake(self) -> None:
        """Make a running ``wait`` return. Safe from any thread."""
        self.bus.wake()

    def acknowledge(self, count: int) -> None:
        """Forget the first ``count`` events of the last ``peek``: they are in the journal."""
        attempts = self._attempts
        for event in self.bus.acknowledge(count):
            if type(event) is Ended:
                if event.checkpoint is not None:
                    self.directories.checkpoints.release(event.checkpoint)
                known = attempts.get(event.trial_id)
                if known is not None and known.task.trial.attempt == event.attempt:
                    del attempts[event.trial_id]

    def keep_only(self, checkpoints: Collection[str]) -> None:
        """Remove checkpoints that are not among these, nor of an event that is not acknowledged yet; in a worker thread."""
        if self._open:
            tidy(self.directories.checkpoints, checkpoints, self._pool())

    def _is_same(self, known: Attempt, task: TrialTask) -> bool:
        if known.task.trial.attempt == task.trial.attempt:
            return True
        if not known.ended:
            raise IllegalTransition(f"{task.address} cannot start: {known.task.address} of the same trial still runs.")
        return False

    def _pool(self) -> WorkerThreads:
        if self._workers is None:
            self._workers = WorkerThreads(name="metta_sweep-trial")
        return self._workers

    async def _run(self, attempt: Attempt, call: Callable[[TrialContext], Any]) -> None:
        """Run a trial on the event loop, up to its terminal event."""
        attempt.begun = True
        here.set(attempt.context)
        try:
            if attempt.task.resume_step is not None and must_restore(attempt):
                await self._pool().run(partial(restore, attempt), name=attempt.task.address)
            given = call(attempt.context)
            value = await (given if type(given) is CoroutineType else awaitable(attempt, given))
            if type(value) is not float and is_unrun(value):
                value = await awaitable(attempt, value)
            metrics = metrics_of(attempt, value)
        except asyncio.CancelledError as cancelled:
            # our own cancellation ends the trial as it was asked to; any other goes on its way, and leaves an error
            if attempt.cut:
                self._end(attempt)
            else:
                self._end(attempt, error=trial_error(cancelled))
                raise
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # errors of trials are data; one that nobody noted would hold the run for ever
            self._end(attempt, error=trial_error(error))
        else:
            self._end(attempt, metrics)
        finally:
            here.set(None)  # what the task keeps would keep the attempt alive, and the attempt keeps the task

    def _returned(self, attempt: Attempt, value: Any, error: Exception | None) -> None:
        """A function in a thread has returned or raised."""
        attempt.call = None
        if error is not None:
            self._end(attempt, error=trial_error(error))
        elif isinstance(value, AsyncGenerator) or inspect.isawaitable(value) or is_unrun(value):
            attempt.handle = self.loop.create_task(self._run(attempt, lambda _: value), name=attempt.task.address)
        else:
            try:
                metrics = metrics_of(attempt, value)
            except Exception as wrong:  # noqa: BLE001  # a mapping of a user may raise anything
                self._end(attempt, error=trial_error(wrong))
            else:
                self._end(attempt, metrics)

    def _end(self, attempt: Attempt, metrics: dict[str, Metric] | None = None, error: TrialError | None = None) -> None:
        """Put the terminal event on the bus; the end of an attempt that was given up only frees its slot."""
        if attempt.ended:
            self._released(attempt)
            return
        attempt.ended = True
        ended = ended_of(attempt, self.loop.time() - attempt.started, metrics, error)
        attempt.release()
        if ended.stopped == "pause":
            save(attempt, ended, self._pool(), partial(self._finish, attempt, self.bus))
        else:
            self.bus.append(attempt.order, ended)
            self._running -= 1

    def _finish(self, attempt: Attempt, bus: ResultBus, ended: Ended) -> None:
        """Put the terminal event of an attempt that was paused on the bus of its run."""
        bus.append(attempt.order, ended)
        if bus is self.bus:
            self._running -= 1

    def _give_up(self, attempt: Attempt) -> None:
        """Report an attempt as ended although it runs on."""
        self._leaks.add(attempt)
        self._end(attempt)
        if attempt.call is not None:
            attempt.call.abandon()
        self._leaks.warn(attempt)

    def _released(self, attempt: Attempt) -> None:
        if self._leaks.discard(attempt):
            self.bus.wake()
