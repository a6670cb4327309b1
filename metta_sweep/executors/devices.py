"""GPUs that an executor hands out: which attempt has which, in whole devices or in shares of one."""

from __future__ import annotations

from typing import Final

from metta_sweep.core.resources import Resources
from metta_sweep.errors import ExecutorError
from metta_sweep.executors.attempt import Attempt

__all__ = ["Devices"]

_WHOLE: Final = 1_000_000
"""Shares are counted in millionths of a device, so that three thirds fit on one."""


class Devices:
    """So many devices, numbered from 0, and the attempts that hold them: each until its code has really ended."""

    def __init__(self, count: int, kind: str) -> None:
        self.count = count
        self._kind = kind
        self._held: dict[Attempt, tuple[tuple[int, ...], int]] = {}

    def admit(self, resources: Resources) -> bool:
        """Whether what is asked for is free now.

        Raises:
            ExecutorError: it never will be.
        """
        self._check(resources.gpus)
        return self._find(resources.gpus) is not None

    def take(self, attempt: Attempt, resources: Resources) -> tuple[int, ...]:
        """Give devices to an attempt. A share goes to the fullest device that has room; whole ones are those of lowest number."""
        self._check(resources.gpus)
        found = self._find(resources.gpus)
        if found is None:
            raise ExecutorError(
                f"{self._kind}.start",
                f"{attempt.task.address} needs {_shown(resources.gpus)}, and they are in use",
                found=f"free: {self._free()}",
                remedy="Ask admits(resources) first",
            )
        if found:
            self._held[attempt] = (found, min(_WHOLE, _units(resources.gpus)))
        return found

    def _check(self, gpus: float) -> None:
        where = "Resources(gpus=)"
        if gpus > self.count:
            raise ExecutorError(
                where,
                f"a trial needs more than {self._kind} has, so it would wait for ever",
                found=gpus,
                expected=f"at most {self.count}",
                remedy=f"Ask for less, or give the executor more: {self._kind}(gpus={_ceiling(gpus)})",
            )
        if gpus > 1 and gpus != int(gpus):
            raise ExecutorError(
                where,
                "only one device can be shared",
                found=gpus,
                expected="a whole number, or a share below 1",
                remedy=f"Write {_ceiling(gpus)}",
            )

    def _find(self, gpus: float) -> tuple[int, ...] | None:
        free = self._free()
        if gpus >= 1:
            whole = [device for device, units in enumerate(free) if units == _WHOLE]
            return tuple(whole[: int(gpus)]) if len(whole) >= gpus else None
        if gpus <= 0:
            return ()
        room = [(units, device) for device, units in enumerate(free) if units >= _units(gpus)]
        return (min(room)[1],) if room else None

    def _free(self) -> list[int]:
        """What is free of each device. Looks at each holder: threads may end when no loop is there to be told."""
        free = [_WHOLE] * self.count
        for attempt in [attempt for attempt in self._held if attempt.ended and attempt.over]:
            del self._held[attempt]
        for devices, units in self._held.values():
            for device in devices:
                free[device] -= units
        return free


def _units(gpus: float) -> int:
    return max(1, int(gpus * _WHOLE))


def _ceiling(gpus: float) -> int:
    return -int(-gpus // 1)


def _shown(gpus: float) -> str:
    return "1 GPU" if gpus == 1 else f"{gpus:g} GPUs"
