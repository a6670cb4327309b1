"""First in, first out."""

from __future__ import annotations

import copy
from typing import Never

from metta_sweep.core.setup import Setup
from metta_sweep.errors import refuse_unknown
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["FIFOScheduler"]


class FIFOScheduler(Scheduler):
    """Fills slots as they free, in the order of suggestions, and lets every trial run to its end.

    Wants 3 slots when the sweep does not say.
    """

    def __init__(self, **unknown: Never) -> None:
        refuse_unknown("FIFOScheduler", unknown, ())

    def for_run(self, setup: Setup) -> FIFOScheduler:
        """Itself: it has neither settings nor history. A subclass gets a copy."""
        return self if type(self) is FIFOScheduler else copy.deepcopy(self)
