"""What simulated attempts cost and suffer: seconds per epoch, failures, stragglers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.values import plain_scalar
from metta_sweep.errors import ExecutorError
from metta_sweep.executors.executor import TrialTask

__all__ = ["Seconds", "SimulatedCost", "SimulatedFailure"]

Seconds = float | Callable[[Mapping[str, Any], int], float]
"""Seconds of an epoch: a number, or ``seconds(params, step)``."""

_WHERE = "SimulatedExecutor"


class SimulatedFailure(RuntimeError):
    """A failure that ``SimulatedExecutor(failures=)`` drew."""


class SimulatedCost:
    """The settings that say what epochs and attempts cost. Draws depend on seeds, attempt and step alone, never on their order."""

    def __init__(
        self, seconds: Seconds, startup: float, failures: float, stragglers: float, slowdown: float, seed: int | None
    ) -> None:
        if not callable(seconds):
            remedy = "Write seconds=1.0, or a function: seconds=lambda params, step: params['width'] / 100"
            check_number(seconds, f"{_WHERE}(seconds=)", ExecutorError, at_least=0.0, remedy=remedy)
        self._seconds = seconds
        self.startup = check_number(startup, f"{_WHERE}(startup=)", ExecutorError, at_least=0.0)
        remedy = "Write failures=0.01: how often epochs fail. What follows from it is the sweep's: failures=FailurePolicy(...)"
        self.failures = check_number(failures, f"{_WHERE}(failures=)", ExecutorError, at_least=0.0, at_most=1.0, remedy=remedy)
        self.stragglers = check_number(stragglers, f"{_WHERE}(stragglers=)", ExecutorError, at_least=0.0, at_most=1.0)
        self.slowdown = check_number(slowdown, f"{_WHERE}(slowdown=)", ExecutorError, at_least=1.0)
        self._seed = 0 if seed is None else check_int(seed, f"{_WHERE}(seed=)", ExecutorError, at_least=0)

    def seconds(self, task: TrialTask, step: int) -> float:
        """Seconds of the epoch that ends with ``step``, on a machine that is not slow.

        Raises:
            ExecutorError: the function of the settings gave no such number.
        """
        given = self._seconds
        if not callable(given):
            return given
        found = given(task.trial.params, step)
        if type(found) is float and 0.0 <= found < math.inf:
            return found
        found = plain_scalar(found)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0.0 <= found < math.inf:
            raise ExecutorError(
                f"{_WHERE}(seconds=)",
                f"for step {step} of {task.address} it gave no seconds",
                found=found,
                expected="a finite number, 0 or more",
                remedy="Return the seconds of one epoch",
            )
        return float(found)

    def factor(self, task: TrialTask) -> float:
        """By what the seconds of this attempt are multiplied."""
        if self.stragglers > 0.0 and self._draw("straggler", task, 0) < self.stragglers:
            return self.slowdown
        return 1.0

    def fails(self, task: TrialTask, step: int) -> bool:
        """Whether the attempt fails in the epoch that ends with ``step``."""
        return self.failures > 0.0 and self._draw("failure", task, step) < self.failures

    def _draw(self, what: str, task: TrialTask, step: int) -> float:
        return unit_floats(derive_seed("simulated", what, self._seed, task.seed, task.trial.attempt), step, 1)[0]
