"""Requests for GPUs: granted by an executor that has some to hand out, else advisory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from metta_sweep.core.events import Wait
from metta_sweep.core.resources import Resources
from metta_sweep.executors.executor import Executor, HandsOutGpus, hands_out_gpus
from metta_sweep.schedulers.scheduler import Scheduler

if TYPE_CHECKING:
    from metta_sweep.experiments.sweep_run import SweepRun

__all__ = ["GpuQueue", "slots_with_gpus"]

_log: Final = logging.getLogger("metta_sweep")


class GpuQueue:
    """Whether trials that ask for GPUs may start now. The first that does not fit holds those behind it, so that none starves."""

    def __init__(self, executor: Executor) -> None:
        self._executor = _that_hands_out(executor)
        self._kind = type(executor).__name__
        self._warned = False
        self._head: tuple[Resources, str] | None = None
        """The trial that waits for GPUs, and what it needs."""
        self._told = ""

    @property
    def waiting(self) -> bool:
        """Whether a trial waits for GPUs that are still in use."""
        return self._head is not None and self._executor is not None and not self._executor.admits(*self._head)

    def admit(self, trial_id: str, resources: Resources) -> bool:
        """Whether the trial may start now.

        Raises:
            ExecutorError: it asks for more than the executor has.
        """
        if self._executor is None:
            self._warn(resources)
            return True
        self._head = None
        if self._executor.admits(resources, trial_id):
            return True
        self._head = (resources, trial_id)
        return False

    def clear(self) -> None:
        """Nothing waits for GPUs any more."""
        self._head = None

    def wait_event(self, sweep: SweepRun) -> Wait | None:
        """Why slots are idle, once for each trial that waits."""
        if self._head is None:
            return None
        resources, trial_id = self._head
        why = f"trial {trial_id} waits for gpus: it needs {resources.gpus:g}"
        running = len(sweep.state.running)
        if why == self._told:
            return None
        self._told = why
        return Wait(why, running, max(0, sweep.slots - running))

    def _warn(self, resources: Resources) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "a trial asks for %g gpus, and %s hands out none: the request is advisory, and trials share what there is. "
                "Give it devices to hand out: LocalExecutor(gpus=1)",
                resources.gpus,
                self._kind,
            )


def slots_with_gpus(slots: int, resources: Resources, scheduler: Scheduler, executor: Executor | None) -> int:
    """How many trials run at once, when each takes its share of the GPUs: what cannot start need not be picked yet.

    Raises:
        ExecutorError: each asks for more than the executor has.
    """
    hands_out = _that_hands_out(executor) if resources.gpus else None
    if hands_out is None:
        return slots
    hands_out.admits(resources)
    if type(scheduler).allocate_resources is not Scheduler.allocate_resources:
        return slots
    devices = hands_out.gpus or 0
    room = devices * int(1 / resources.gpus + 1e-9) if resources.gpus < 1 else int(devices // resources.gpus)
    return max(1, min(slots, room))


def _that_hands_out(executor: object) -> HandsOutGpus | None:
    return executor if hands_out_gpus(executor) and executor.gpus is not None else None
