"""Equal shares as a picker of the iteration scheduler."""

from __future__ import annotations

from typing import Never

from metta_sweep.core.round_robin import FewestPulls
from metta_sweep.core.setup import Setup
from metta_sweep.errors import refuse_unknown
from metta_sweep.schedulers.picking import BranchPicker

__all__ = ["RoundRobin"]


class RoundRobin(BranchPicker):
    """Gives every branch the same number of trials, whatever they bring: what other pickers are compared with.

    Next is the branch with the fewest trials, pending ones included; of several the one that is earliest in the queue.
    """

    def __init__(self, **unknown: Never) -> None:
        refuse_unknown("RoundRobin", unknown, ())

    def begin(self, setup: Setup) -> FewestPulls[str]:
        """The rule without history, for one run."""
        return FewestPulls()
