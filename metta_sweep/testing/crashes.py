"""Crashes at will: a run that ends where an output is being recorded, as if its process had died there.

```python
with crash_at("train"):
    asyncio.run(plan.run(name="digits", store=store, n=3))
result = asyncio.run(plan.run(name="digits", store=store, n=3))  # goes on from what was recorded before "train"
```
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Literal, cast

from metta_sweep.clock import crash_points
from metta_sweep.errors import InvalidInput, did_you_mean

__all__ = ["CrashPlan", "Crashed", "NeverReached", "crash_at"]

_SHOWN: Final = 30


class Crashed(BaseException):
    """The run ended here, as ``crash_at`` was told. No ``except Exception`` sees it, no hook and no retry."""


class NeverReached(AssertionError):
    """The block ended, and its run never came to where it was to crash."""


class CrashPlan:
    """Where a run is to end; and what it passed on its way.

    Args:
        address: of the stage whose output is being recorded: ``train``, ``tasks[3]/fit``, ``train[item=7]``.
        moment: before or after it is recorded.
        occurrence: 1 for the first time that the run comes there; more, for an address that several runs in the block pass.
        kill: end the process itself, by SIGKILL.
    """

    def __init__(self, address: str, moment: Literal["before", "after"], occurrence: int, *, kill: bool) -> None:
        self.address = address
        self.moment = moment
        self.crashed = False
        """Whether the run came there."""
        self.passed: Counter[str] = Counter()
        """Addresses at which something was recorded, or about to be, and how often; in the order of their first time."""
        self._point = f"persist.{moment}"
        self._occurrence = occurrence
        self._kill = kill

    def __call__(self, passing: str) -> None:
        """Take note of a crash point; end the run if it is the one. What has ended, and all around it, records nothing."""
        point, _, address = passing.partition(" ")
        if self.crashed:
            raise Crashed(f"the run ended {self.moment} {self.address} was recorded; {address or point} came too late")
        if not point.startswith("persist."):
            return
        if point != self._point:
            return
        self.passed[address] += 1
        if address != self.address or self.passed[address] < self._occurrence:
            return
        self.crashed = True
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Crashed(f"the run ends {self.moment} the output of {address} is recorded")

    def story(self) -> str:
        """Why nothing crashed: what was passed instead."""
        times = self.passed[self.address]
        head = f"crash_at({self.address!r}): "
        if times:
            count = "once" if times == 1 else f"{times} times"
            return f"{head}an output was recorded there {count}; found occurrence={self._occurrence}. Lower it."
        if not self.passed:
            return f"{head}nothing was recorded in the block; expected a run that is kept. Pass name= and store= to Plan.run()."
        guess = did_you_mean(self.address, self.passed)
        hint = f" Did you mean {guess!r}?" if guess else ""
        shown = ", ".join(list(self.passed)[:_SHOWN]) + (
            f" and {len(self.passed) - _SHOWN} more" if len(self.passed) > _SHOWN else ""
        )
        return f"{head}nothing was recorded at that address; recorded were: {shown}.{hint} What is reused is not recorded again."


@contextmanager
def crash_at(
    address: str, moment: Literal["before", "after"] = "before", *, occurrence: int = 1, kill: bool = False
) -> Generator[CrashPlan, None, None]:
    """End the kept run in the block as a crash would, where the output of ``address`` is recorded. The block goes on after it.

    Args:
        address: of a stage, with its iterations and items: ``train``, ``tasks[3]/fit``, ``train[item=7]``.
        moment: ``before`` it is recorded: the stage runs again on resume. ``after``: it does not.
        occurrence: 1 for the first time that the block comes there; of stages inside trials, one time for each trial.
        kill: end the process itself, by SIGKILL, instead of raising ``Crashed``: for a script that is run as a child.

    Yields:
        The plan of the crash: ``crashed`` tells whether it happened, ``passed`` what was recorded.

    Raises:
        NeverReached: at the end of the block, where the run never came there. It lists where it did come.
        InvalidInput: a moment that there is not, or an occurrence below 1.
    """
    if moment not in ("before", "after"):
        raise InvalidInput(
            "crash_at(moment=)",
            "there is no such moment",
            found=moment,
            expected="'before' or 'after'",
            remedy="Write moment='after'",
        )
    if not isinstance(cast("object", occurrence), int) or occurrence < 1:
        raise InvalidInput(
            "crash_at(occurrence=)", "the first time is 1", found=occurrence, expected="an int of at least 1", remedy="Leave it out"
        )
    plan = CrashPlan(address, moment, occurrence, kill=kill)
    try:
        with crash_points(plan):
            yield plan
    except Crashed:
        if not plan.crashed:
            raise  # as another one was told, around this one
    except BaseExceptionGroup as group:
        if not plan.crashed or group.split(Crashed)[1] is not None:
            raise
    except BaseException as error:
        if not plan.crashed:
            error.add_note(f"before the crash: {plan.story()}")
        raise
    else:
        if not plan.crashed:
            raise NeverReached(plan.story())
