"""A search space in Ax's terms."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.levels import Condition, Level
from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers.nevergrad_space import is_ordered

if TYPE_CHECKING:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    Config = ChoiceParameterConfig | RangeParameterConfig

__all__ = ["AxSpace"]


class AxSpace:
    """The parameters of a search space as Ax's client is given them, and the way between its values and ours.

    Ranges are range parameters, logarithms by their scaling; choices are choice parameters, ordered where they are ascending
    numbers, by value where Ax can hold them, else by position; sub-spaces are dependent parameters. A parameter has its name
    there, and a number after it where several alternatives share the name. What has one value only Ax is not told.

    Args:
        level: the top of the search space.
    """

    def __init__(self, level: Level) -> None:
        self._level = level
        self._labels: dict[tuple[Condition, str], str] = {}
        taken: set[str] = set()
        for condition, name, _ in _everything(level, ()):
            label, number = name, 1
            while label in taken:
                number += 1
                label = f"{name}_{number}"
            taken.add(label)
            self._labels[condition, name] = label

    def configs(self) -> list[Config]:
        """The parameters for ``Client.configure_experiment``."""
        return list(self._configs(self._level, ()))

    def params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Our parameters of Ax's values."""
        params: dict[str, Any] = {}
        self._read(self._level, (), values, params)
        return params

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ax's values of these parameters, all of them or some."""
        values: dict[str, Any] = {}
        self._write(self._level, (), params, values)
        return values

    def _configs(self, level: Level, condition: Condition) -> Iterator[Config]:
        for name, distribution in level:
            if not _single(distribution):
                yield self._config(name, distribution, condition)
            if isinstance(distribution, Choice):
                for option, space in _alternatives(distribution):
                    yield from self._configs(space, (*condition, (name, option)))

    def _config(self, name: str, distribution: Distribution, condition: Condition) -> Config:
        label = self._labels[condition, name]
        match distribution:
            case Uniform(lower, upper):
                return _range(label, lower, upper, "float", "linear")
            case LogUniform(lower, upper):
                return _range(label, lower, upper, "float", "log")
            case Integer(lower, upper):
                return _range(label, lower, upper, "int", "linear")
            case LogInteger(lower, upper):
                return _range(label, lower, upper, "int", "log")
            case Choice():
                return self._choice(name, distribution, condition)
        raise OptimizerError(
            "AxOptimizer(search_space=)",
            f"it knows no {type(distribution).__name__}",
            found=distribution,
            expected="Uniform, LogUniform, Integer, LogInteger, Choice or Constant",
            remedy="Use one of those; EvolutionOptimizer and RandomOptimizer search orders, too",
        )

    def _choice(self, name: str, choice: Choice, condition: Condition) -> ChoiceParameterConfig:
        from ax.api.configs import ChoiceParameterConfig

        dependent = {
            value: labels
            for value, (option, space) in zip(_values(choice), _alternatives(choice), strict=False)
            if (labels := list(self._direct(space, (*condition, (name, option)))))
        }
        return ChoiceParameterConfig(
            name=self._labels[condition, name],
            values=_values(choice),
            parameter_type=_kind(choice),
            is_ordered=is_ordered(choice),
            dependent_parameters=dependent or None,
        )

    def _direct(self, level: Level, condition: Condition) -> Iterator[str]:
        """The parameters of a level that Ax is told; those of a choice with one option only stand in its place."""
        for name, distribution in level:
            if not _single(distribution):
                yield self._labels[condition, name]
            elif isinstance(distribution, Choice):
                for option, space in _alternatives(distribution):
                    yield from self._direct(space, (*condition, (name, option)))

    def _read(self, level: Level, condition: Condition, values: Mapping[str, Any], params: dict[str, Any]) -> None:
        for name, distribution in level:
            label = self._labels[condition, name]
            params[name] = distribution.from_unit(0.5) if _single(distribution) else _inside(distribution, values[label])
        for name, distribution in level:
            if isinstance(distribution, Choice):
                for option, space in _alternatives(distribution):
                    if option == params[name]:
                        self._read(space, (*condition, (name, option)), values, params)

    def _write(self, level: Level, condition: Condition, params: Mapping[str, Any], values: dict[str, Any]) -> None:
        for name, distribution in level:
            if name not in params:
                continue
            if not _single(distribution):
                values[self._labels[condition, name]] = _outside(distribution, params[name])
            if isinstance(distribution, Choice):
                for option, space in _alternatives(distribution):
                    if option == params[name]:
                        self._write(space, (*condition, (name, option)), params, values)


def _range(
    label: str, lower: float, upper: float, kind: Literal["float", "int"], scaling: Literal["linear", "log"]
) -> RangeParameterConfig:
    from ax.api.configs import RangeParameterConfig

    return RangeParameterConfig(name=label, bounds=(lower, upper), parameter_type=kind, scaling=scaling)


def _everything(level: Level, condition: Condition) -> Iterator[tuple[Condition, str, Distribution]]:
    for name, distribution in level:
        yield condition, name, distribution
        if isinstance(distribution, Choice):
            for option, space in _alternatives(distribution):
                yield from _everything(space, (*condition, (name, option)))


def _alternatives(choice: Choice) -> list[tuple[Any, Level]]:
    """The options with their sub-spaces, where there are sub-spaces."""
    return [] if choice.spaces is None else list(zip(choice.options, choice.spaces, strict=True))


def _single(distribution: Distribution) -> bool:
    """Whether it has one value only."""
    if isinstance(distribution, Integer | LogInteger):
        return distribution.lower == distribution.upper
    return isinstance(distribution, Constant) or (isinstance(distribution, Choice) and len(distribution.options) == 1)


def _kind(choice: Choice) -> Literal["float", "int", "str"]:
    """The type of the options, where Ax can hold them by value; text for positions."""
    kinds = {type(option) for option in choice.options}
    if kinds == {int}:
        return "int"
    return "float" if kinds <= {int, float} else "str"


def _values(choice: Choice) -> list[Any]:
    """The options by value, where they are all text or all numbers; else their positions as text."""
    kinds = {type(option) for option in choice.options}
    if kinds in ({str}, {int}):
        return list(choice.options)
    if kinds <= {int, float}:
        return [float(option) for option in choice.options]
    return [str(position) for position in range(len(choice.options))]


def _outside(distribution: Distribution, value: Any) -> Any:
    if isinstance(distribution, Choice):
        return _values(distribution)[distribution.position(value) or 0]
    return float(value) if isinstance(distribution, Uniform | LogUniform) else value


def _inside(distribution: Distribution, value: Any) -> Any:
    if isinstance(distribution, Choice):
        return copy.deepcopy(distribution.options[_values(distribution).index(value)])
    if isinstance(distribution, Uniform | LogUniform):
        return max(distribution.lower, min(distribution.upper, float(value)))
    if isinstance(distribution, Integer | LogInteger):
        return max(distribution.lower, min(distribution.upper, int(value)))
    return value
