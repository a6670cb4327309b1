"""What one trial may use of the hardware, and for how long."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Never

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.errors import BudgetError, refuse_unknown

__all__ = ["Resources"]

_OPTIONS: Final = ("cpus", "gpus", "memory", "time_limit")


@dataclass(frozen=True, slots=True, init=False)
class Resources:
    """Hardware and time of one trial.

    Args:
        cpus: cores, fractions allowed; None: whatever the executor gives.
        gpus: devices, fractions allowed.
        memory: bytes; None: not limited.
        time_limit: seconds that one attempt may run; None: not limited.

    Raises:
        BudgetError: for numbers that nothing can have.
    """

    cpus: float | None
    gpus: float
    memory: int | None
    time_limit: float | None

    def __init__(
        self,
        cpus: float | None = None,
        gpus: float = 0,
        memory: int | None = None,
        time_limit: float | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown("Resources", unknown, _OPTIONS)
        if cpus is not None:
            remedy = "Leave it out to take what the executor gives"
            cpus = check_number(cpus, "Resources(cpus=)", BudgetError, above=0, remedy=remedy)
        if memory is not None:
            remedy = "Give bytes, such as 4 * 2**30, or leave it out for no limit"
            memory = check_int(memory, "Resources(memory=)", BudgetError, at_least=1, remedy=remedy)
        if time_limit is not None:
            remedy = "Give seconds, or leave it out for no limit"
            time_limit = check_number(time_limit, "Resources(time_limit=)", BudgetError, above=0, remedy=remedy)
        put = object.__setattr__
        put(self, "cpus", cpus)
        put(self, "gpus", check_number(gpus, "Resources(gpus=)", BudgetError, at_least=0, remedy="Write 0 for none"))
        put(self, "memory", memory)
        put(self, "time_limit", time_limit)

    def describe(self) -> dict[str, Any]:
        """The resources as JSON."""
        return asdict(self)
