"""Which reports a scheduler judges: asked once per report, and answered the same way to the score stage and to simulated time."""

from __future__ import annotations

from collections.abc import Callable

from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["NextJudged", "next_judged_of"]

NextJudged = Callable[[str, int], int | None]
"""``Scheduler.next_judged``."""


def next_judged_of(scheduler: Scheduler) -> NextJudged | None:
    """What tells at which step a trial is judged next; None: at every step.

    A class that overrides how reports are judged or noted, but not what its parent says of when, is asked about every report. One
    that neither judges nor takes note of events is asked about none.
    """
    kind = type(scheduler)
    if kind.next_judged is Scheduler.next_judged:
        return _never if all(_owner(kind, name) is Scheduler for name in ("judge", "should_stop", "apply")) else None
    declared = _depth(kind, "next_judged")
    if any(_depth(kind, name) < declared for name in ("judge", "should_stop", "apply")):
        return None
    return scheduler.next_judged


def _never(trial_id: str, step: int) -> None:
    return None


def _owner(kind: type, name: str) -> type:
    return next(part for part in kind.__mro__ if name in vars(part))


def _depth(kind: type, name: str) -> int:
    return kind.__mro__.index(_owner(kind, name))
