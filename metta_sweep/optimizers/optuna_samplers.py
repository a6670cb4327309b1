"""Optuna's samplers: by name, their options, their seeds."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.errors import MissingExtra, OptimizerError, a_kind, did_you_mean

if TYPE_CHECKING:
    import optuna

__all__ = ["SAMPLERS", "import_samplers", "keywords_of", "no_sampler", "sampler_named", "seeded"]

SAMPLERS: Final = {
    "TPE": "TPESampler",
    "GP": "GPSampler",
    "CMA-ES": "CmaEsSampler",
    "NSGA-II": "NSGAIISampler",
    "NSGA-III": "NSGAIIISampler",
    "QMC": "QMCSampler",
    "Random": "RandomSampler",
    "BruteForce": "BruteForceSampler",
}
"""The samplers that have names here, and their classes."""
_BY_CLASS: Final = {kind.upper().removesuffix("SAMPLER"): name for name, kind in SAMPLERS.items()}
_NEEDS: Final = {
    "CMA-ES": (("cmaes", "optuna"),),
    "GP": (("scipy", "optuna"), ("torch", "optuna-gp")),
    "QMC": (("scipy", "optuna"),),
}
"""What a sampler needs beside Optuna, and the extra that brings it."""


def import_samplers() -> Any:
    """Optuna's module of samplers. Raises ``MissingExtra`` when it is not installed."""
    try:
        from optuna import samplers
    except ImportError as missing:
        raise MissingExtra("OptunaOptimizer", extra="optuna", library="optuna") from missing
    return samplers


def _is_there(library: str) -> bool:
    """Whether it is installed, without importing it: torch takes seconds."""
    if library in sys.modules:
        return sys.modules[library] is not None
    return importlib.util.find_spec(library) is not None


def sampler_named(samplers: Any, name: object) -> Callable[..., Any]:
    """The class of the sampler of that name.

    Raises:
        OptimizerError: when there is none.
        MissingExtra: when what it needs beside Optuna is not installed.
    """
    if not isinstance(name, str):
        raise no_sampler(name)
    if name not in SAMPLERS:
        guess = _BY_CLASS.get(name.upper().removesuffix("SAMPLER")) or did_you_mean(name, SAMPLERS)
        raise OptimizerError(
            "OptunaOptimizer(sampler=)",
            f"there is no sampler {name!r}",
            found=name,
            expected="one of " + ", ".join(map(repr, SAMPLERS)) + ", or a sampler of Optuna",
            remedy=f"Did you mean {guess!r}?" if guess else "Write sampler='TPE'",
        )
    for library, extra in _NEEDS.get(name, ()):
        if not _is_there(library):
            raise MissingExtra(f"OptunaOptimizer(sampler={name!r})", extra=extra, library=library)
    found: Callable[..., Any] = getattr(samplers, SAMPLERS[name])
    return found


def no_sampler(found: object) -> OptimizerError:
    """The refusal of something that is none."""
    return OptimizerError(
        "OptunaOptimizer(sampler=)",
        f"{a_kind(found)} is no sampler",
        found=found,
        expected="the name of a sampler, a sampler of Optuna, or what makes one",
        remedy="Write sampler='TPE'",
    )


def keywords_of(factory: Callable[..., Any]) -> set[str] | None:
    """The keywords that it takes; None when it takes any, or when they cannot be read."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL}


def seeded(sampler: optuna.samplers.BaseSampler, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler; where it, or one in it, was made without a seed, it gets this one: a resumed run must draw the same again."""
    from optuna.samplers import BaseSampler

    for part in vars(sampler).values():
        if isinstance(part, BaseSampler):
            seeded(part, seed)
        elif hasattr(type(part), "rng") and getattr(part, "_rng", part) is None:
            part.rng.seed(seed)
    return sampler
