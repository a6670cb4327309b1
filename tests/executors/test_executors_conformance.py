"""Every executor of the package does what executors must."""

from __future__ import annotations

from metta_sweep.executors import Executor, LocalExecutor, SimulatedExecutor
from metta_sweep.testing import ExecutorConformance


class TestLocalExecutor(ExecutorConformance):
    """Of this process."""

    def make_executor(self) -> Executor:
        """Any number of slots."""
        return LocalExecutor()


class TestSimulatedExecutor(ExecutorConformance):
    """Of simulated time."""

    epoch = 3600.0

    def make_executor(self) -> Executor:
        """An hour for each epoch."""
        return SimulatedExecutor(slots=4, seconds=self.epoch)
