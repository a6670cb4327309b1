"""A search space in Optuna's terms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Permutation, Uniform
from metta_sweep.core.levels import Condition, Level, in_words
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import OptimizerError

if TYPE_CHECKING:
    import optuna

    OptunaDistribution = optuna.distributions.BaseDistribution

__all__ = ["MOST_ORDERED", "OptunaSpace"]

MOST_ORDERED: Final = 5
"""Of so many items, all 120 orders are choices of Optuna, by number; of more, it would learn nothing."""


class OptunaSpace:
    """Asks a trial of Optuna for the parameters of a search space, one after another.

    A parameter has its name there, and beside it its condition where alternatives have different distributions of that name, since
    Optuna knows one distribution per name. Options are choices of Optuna by value where all are scalars, else by position.

    Args:
        space: the search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._labels: dict[tuple[Condition, str], str] = {}
        ways: dict[str, list[OptunaDistribution]] = {}
        for _, name, distribution in _everything(space.top, ()):
            made = _distribution(distribution)
            if made is not None and made not in ways.setdefault(name, []):
                ways[name].append(made)
        for condition, name, _ in _everything(space.top, ()):
            shared = len(ways.get(name, ())) < 2
            self._labels[condition, name] = name if shared else f"{name} [{in_words([condition])}]"
        self._top = space.top

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """The parameters that the trial suggests."""
        params: dict[str, Any] = {}
        self._walk(self._top, (), lambda label, distribution: _suggested(trial, label, distribution), params)
        return params

    def labelled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """These parameters, all of them or some, as a trial of Optuna has them."""
        return {label: _outside(distribution, params[name]) for label, name, distribution in self._active(params)}

    def distributions(self, params: Mapping[str, Any]) -> dict[str, OptunaDistribution]:
        """The distributions of Optuna of these parameters."""
        made = {label: _distribution(distribution) for label, _, distribution in self._active(params)}
        return {label: distribution for label, distribution in made.items() if distribution is not None}

    def _active(self, params: Mapping[str, Any]) -> list[tuple[str, str, Distribution]]:
        found: list[tuple[str, str, Distribution]] = []
        self._collect(self._top, (), params, found)
        return found

    def _collect(
        self, level: Level, condition: Condition, params: Mapping[str, Any], found: list[tuple[str, str, Distribution]]
    ) -> None:
        for name, distribution in level:
            if name in params:
                found.append((self._labels[condition, name], name, distribution))
                for option, space in _alternatives(distribution, params[name]):
                    self._collect(space, (*condition, (name, option)), params, found)

    def _walk(self, level: Level, condition: Condition, draw: Callable[[str, Distribution], Any], params: dict[str, Any]) -> None:
        for name, distribution in level:
            params[name] = draw(self._labels[condition, name], distribution)
        for name, distribution in level:
            for option, space in _alternatives(distribution, params[name]):
                self._walk(space, (*condition, (name, option)), draw, params)


def _alternatives(distribution: Distribution, value: Any) -> list[tuple[Any, Level]]:
    """The option that was chosen with its sub-space, where there are sub-spaces."""
    if not isinstance(distribution, Choice) or distribution.spaces is None:
        return []
    position = distribution.position(value)
    return [] if position is None else [(distribution.options[position], distribution.spaces[position])]


def _everything(level: Level, condition: Condition) -> list[tuple[Condition, str, Distribution]]:
    found: list[tuple[Condition, str, Distribution]] = []
    for name, distribution in level:
        found.append((condition, name, distribution))
        if isinstance(distribution, Choice):
            for option, space in zip(distribution.options, distribution.spaces or (), strict=False):
                found += _everything(space, (*condition, (name, option)))
    return found


def _by_position(choice: Choice) -> bool:
    """Whether its options cannot be choices of Optuna by value: those are scalars, and True is 1 among them."""
    options = choice.options
    return any(isinstance(option, list | dict) for option in options) or len(set(options)) < len(options)


def _choices(choice: Choice) -> list[Any]:
    return list(range(len(choice.options))) if _by_position(choice) else list(choice.options)


def _outside(distribution: Distribution, value: Any) -> Any:
    if isinstance(distribution, Choice):
        position = distribution.position(value) or 0
        return position if _by_position(distribution) else distribution.options[position]
    return distribution.number(value) if isinstance(distribution, Permutation) else value


def _distribution(distribution: Distribution) -> OptunaDistribution | None:
    """Optuna's distribution; None for a constant, which it is not asked for."""
    from optuna import distributions

    match distribution:
        case Uniform(lower, upper):
            return distributions.FloatDistribution(lower, upper)
        case LogUniform(lower, upper):
            return distributions.FloatDistribution(lower, upper, log=True)
        case Integer(lower, upper):
            return distributions.IntDistribution(lower, upper)
        case LogInteger(lower, upper):
            return distributions.IntDistribution(lower, upper, log=True)
        case Choice():
            return distributions.CategoricalDistribution(_choices(distribution))
        case Permutation(items) if len(items) <= MOST_ORDERED:
            return distributions.CategoricalDistribution(range(distribution.count))
        case Constant():
            return None
    raise _unknown(distribution)


def _suggested(trial: optuna.Trial, label: str, distribution: Distribution) -> Any:
    match distribution:
        case Uniform(lower, upper):
            return max(lower, min(upper, trial.suggest_float(label, lower, upper)))
        case LogUniform(lower, upper):
            return max(lower, min(upper, trial.suggest_float(label, lower, upper, log=True)))
        case Integer(lower, upper):
            return max(lower, min(upper, trial.suggest_int(label, lower, upper)))
        case LogInteger(lower, upper):
            return max(lower, min(upper, trial.suggest_int(label, lower, upper, log=True)))
        case Choice(options):
            chosen: Any = trial.suggest_categorical(label, _choices(distribution))
            return copy.deepcopy(options[chosen]) if _by_position(distribution) else options[distribution.position(chosen) or 0]
        case Permutation():
            return distribution.order(trial.suggest_categorical(label, range(distribution.count)))
        case Constant(value):
            return copy.deepcopy(value)
    raise _unknown(distribution)


def _unknown(distribution: Distribution) -> OptimizerError:
    return OptimizerError(
        "OptunaOptimizer(search_space=)",
        f"it knows no {type(distribution).__name__}"
        + (f" of more than {MOST_ORDERED} items" * isinstance(distribution, Permutation)),
        found=distribution,
        expected=f"Uniform, LogUniform, Integer, LogInteger, Choice, Constant, or a Permutation of up to {MOST_ORDERED} items",
        remedy="Use one of those, or an optimizer that searches orders: EvolutionOptimizer, RandomOptimizer",
    )
