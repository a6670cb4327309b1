"""One of several phases of a search: its optimizer, and when the next one begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from metta_sweep.address import check_name
from metta_sweep.core.numbers import check_int
from metta_sweep.errors import OptimizerError, a_kind, refuse_unknown
from metta_sweep.optimizers.member import check_member
from metta_sweep.optimizers.optimizer import Optimizer

__all__ = ["Phase", "checked_phases", "names_of"]

_OPTIONS: Final = ("optimizer", "trials", "min_observed", "max_parallel", "name")


@dataclass(frozen=True, slots=True)
class Phase:
    """One of several phases of a search.

    Args:
        optimizer: who suggests in this phase.
        trials: how many trials it suggests before the next phase begins; a failed one is made up for by another. None: any number,
            which only the last phase may have.
        min_observed: how many of its trials must have a result before the next phase begins: completed ones, and those stopped by a
            verdict. 0: the next phase begins as soon as the trials were suggested.
        max_parallel: how many of its trials are in flight at once, those not counted that are paused. None: as many as there are
            slots.
        name: what it is called in origins; by default its optimizer's class, in lower case and without "Optimizer".

    Raises:
        OptimizerError: the optimizer is none, or a number is out of its range.
        UnknownOption: for any other keyword.
        InvalidName: for a name that cannot be one.
    """

    optimizer: Optimizer
    trials: int | None = None
    min_observed: int = 0
    max_parallel: int | None = None
    name: str | None = None

    def __new__(cls, *_args: object, **named: object) -> Self:
        """Refuse keywords that people bring from elsewhere, with "did you mean"."""
        refuse_unknown("Phase", [name for name in named if name not in _OPTIONS], _OPTIONS)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        check_member(self.optimizer, "Phase(optimizer)")
        for name, least in (("trials", 1), ("min_observed", 0), ("max_parallel", 1)):
            value = getattr(self, name)
            if value is not None:
                remedy = f"Write {name}={max(least, 5)}, say"
                object.__setattr__(self, name, check_int(value, f"Phase({name}=)", OptimizerError, at_least=least, remedy=remedy))
        if self.min_observed > (self.trials or 0):
            raise OptimizerError(
                "Phase(min_observed=)",
                "the next phase would never begin: the results cannot be more than the trials"
                if self.trials is not None
                else "no phase follows one without an end, so that nothing waits for its results",
                found=self.min_observed,
                expected="0" if self.trials is None else f"at most trials={self.trials}",
                remedy="Give trials=, or leave min_observed out" if self.trials is None else "Lower it, or give more trials",
            )
        if self.name is not None:
            check_name(self.name, "Phase(name=)")


def checked_phases(phases: object) -> tuple[Phase, ...]:
    """The phases, of which all but the last one have an end. Raises ``OptimizerError`` for what is no such list."""
    if isinstance(phases, Phase | Mapping | str) or not isinstance(phases, Iterable):
        raise OptimizerError(
            "Phases(phases)",
            f"{a_kind(phases)} is no list of phases",
            found=phases,
            expected="a list of Phase",
            remedy="Write Phases([Phase(SobolOptimizer(), trials=5), Phase(BayesianOptimizer())]), say",
        )
    checked: list[Phase] = []
    for number, phase in enumerate(phases):
        if not isinstance(phase, Phase):
            raise OptimizerError(
                f"Phases[{number}]",
                f"{a_kind(phase)} is no phase",
                found=phase,
                expected="a Phase",
                remedy="Write Phase(optimizer, trials=5)",
            )
        checked.append(phase)
    if not checked:
        raise OptimizerError("Phases(phases)", "it has no phases", found=phases, expected="at least one Phase", remedy="Add one")
    for number, phase in enumerate(checked[:-1]):
        if phase.trials is None:
            raise OptimizerError(
                f"Phases[{number}].trials",
                "a phase without an end is followed by another, which would never begin",
                found=None,
                expected="a number of trials for each phase but the last",
                remedy="Write Phase(optimizer, trials=5)",
            )
    return tuple(checked)


def names_of(phases: Sequence[Phase]) -> list[str]:
    """Their names, each once: ``random``, ``random-2`` where they were not given."""
    given = [phase.name for phase in phases if phase.name is not None]
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise OptimizerError("Phases(phases)", f"two phases are called {twice!r}", found=twice, remedy="Rename one of them")
    names: list[str] = []
    for phase in phases:
        kind = type(phase.optimizer).__name__
        plain = kind.removesuffix("Optimizer").lower() or kind.lower()
        name, number = phase.name or plain, 1
        while phase.name is None and (name in names or name in given):
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names
