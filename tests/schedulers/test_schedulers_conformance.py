"""Every scheduler of the package passes the conformance suite."""

from __future__ import annotations

from metta_sweep.schedulers import FIFOScheduler, IterationScheduler, Scheduler
from metta_sweep.testing import SchedulerConformance


class TestFIFOScheduler(SchedulerConformance):
    """In the order of suggestions, to the end."""

    def make_scheduler(self) -> Scheduler:
        """As it comes."""
        return FIFOScheduler()


class TestIterationScheduler(SchedulerConformance):
    """Two branches; rewards in [0, 1], which falling curves have not."""

    symmetric = False

    def make_scheduler(self) -> Scheduler:
        """Branches by ``arm``."""
        return IterationScheduler(branch_by="arm", prune_floor=0.4, prune_after_runs=2)
