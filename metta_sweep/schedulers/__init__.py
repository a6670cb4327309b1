"""When trials start, and how long they run."""

from __future__ import annotations

from metta_sweep.schedulers.fifo import FIFOScheduler
from metta_sweep.schedulers.iteration import IterationScheduler
from metta_sweep.schedulers.scheduler import Follow, Offer, Scheduler, Waiting

__all__ = ["FIFOScheduler", "Follow", "IterationScheduler", "Offer", "Scheduler", "Waiting"]
