"""The settings of population based training, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from metta_sweep.core.numbers import check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import SchedulerError, did_you_mean
from metta_sweep.schedulers.checks import check_choice, check_number

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution

__all__ = [
    "OPTIONS",
    "WHERE",
    "Exploit",
    "Explore",
    "check_explored",
    "factors_of",
    "methods_of",
    "seed_of",
    "share_of",
    "space_of",
]

WHERE: Final = "PBTScheduler"
OPTIONS: Final = (
    "population_size",
    "num_generations",
    "exploit_method",
    "explore_method",
    "quantile",
    "epochs_per_generation",
    "resample_probability",
    "perturb_factors",
    "search_space",
    "seed",
)
Exploit = Literal["truncation", "tournament"]
Explore = Literal["perturb", "resample"]


def methods_of(exploit: Any, explore: Any) -> tuple[Exploit, Explore]:
    """How members copy others, and how they change what they copied."""
    check_choice(f"{WHERE}(exploit_method=)", exploit, get_args(Exploit))
    check_choice(f"{WHERE}(explore_method=)", explore, get_args(Explore))
    return exploit, explore


def share_of(name: str, value: object, *, most: float, zero: bool) -> float:
    """A share: at most ``most``; at least 0, or above it."""
    where = f"{WHERE}({name}=)"
    share = check_number(where, value, least=0, example=0.25)
    if share > most or (share == 0 and not zero):
        raise SchedulerError(
            where,
            "it is no such share",
            found=value,
            expected=f"{'from' if zero else 'above'} 0 to {most:g}",
            remedy="Write 0.25, say",
        )
    return share


def factors_of(factors: object) -> tuple[float, ...]:
    """What parameters are multiplied by, one of them at random."""
    where = f"{WHERE}(perturb_factors=)"
    if isinstance(factors, str) or not isinstance(factors, Sequence) or not factors:
        raise SchedulerError(where, "they are no factors", found=factors, expected="numbers above 0", remedy="Write (1.2, 0.8)")
    checked = tuple(check_number(where, factor, least=0, example=1.2) for factor in factors)
    if 0.0 in checked:
        raise SchedulerError(
            where, "a factor of 0 loses the value", found=factors, expected="numbers above 0", remedy="Write (1.2, 0.8)"
        )
    return checked


def space_of(space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None) -> SearchSpace | None:
    """What is explored."""
    return None if space is None else SearchSpace.of(space)


def seed_of(seed: object) -> int | None:
    """The seed of what is decided at random."""
    return None if seed is None else check_int(seed, f"{WHERE}(seed=)", SchedulerError, remedy="Leave it out to take the sweep's")


def check_explored(explored: SearchSpace | None, searched: SearchSpace | None) -> SearchSpace:
    """The search space that is explored: that of the sweep, or the part of it that was given."""
    if explored is None:
        if searched is None:
            raise SchedulerError(
                WHERE,
                "it has no search space, so it does not know how parameters may change",
                found=None,
                expected="the distributions of the parameters",
                remedy="Give search_space={'lr': LogUniform(1e-4, 1e-1)} to the sweep, or to it",
            )
        return searched
    for name in explored.names:
        if searched is not None and name not in searched.names:
            guess = did_you_mean(name, searched.names)
            raise SchedulerError(
                f"{WHERE}(search_space=)",
                f"the search space of the sweep has no parameter {name!r}",
                found=name,
                expected="some of " + ", ".join(searched.names),
                remedy=f"Did you mean {guess!r}?" if guess else "Name parameters that may change while a member is trained",
            )
    return explored
