"""What one trial may use of the hardware, and for how long."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.errors import BudgetError

__all__ = ["Resources"]


@dataclass(frozen=True, slots=True)
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

    cpus: float | None = None
    gpus: float = 0
    memory: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.cpus is not None:
            remedy = "Leave it out to take what the executor gives"
            put(self, "cpus", check_number(self.cpus, "Resources(cpus=)", BudgetError, above=0, remedy=remedy))
        put(self, "gpus", check_number(self.gpus, "Resources(gpus=)", BudgetError, at_least=0, remedy="Write 0 for none"))
        if self.memory is not None:
            remedy = "Give bytes, such as 4 * 2**30, or leave it out for no limit"
            put(self, "memory", check_int(self.memory, "Resources(memory=)", BudgetError, at_least=1, remedy=remedy))
        if self.time_limit is not None:
            remedy = "Give seconds, or leave it out for no limit"
            put(self, "time_limit", check_number(self.time_limit, "Resources(time_limit=)", BudgetError, above=0, remedy=remedy))

    def describe(self) -> dict[str, Any]:
        """The resources as JSON."""
        return asdict(self)
