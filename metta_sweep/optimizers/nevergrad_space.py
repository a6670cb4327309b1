"""A search space in Nevergrad's terms."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Permutation, Uniform
from metta_sweep.core.levels import Level
from metta_sweep.errors import OptimizerError

if TYPE_CHECKING:
    from nevergrad import p

__all__ = ["NevergradSpace", "is_ordered"]

_OPTION: Final = "option"
_SPACE: Final = "space"


class NevergradSpace:
    """The parametrization of a search space, and the way between its values and parameters.

    Ranges are ``Scalar`` and ``Log``, for whole numbers with integer casting. Options are known by position: those that are
    ascending numbers as a ``TransitionChoice``, others as a ``Choice``, sub-spaces as a ``Choice`` between ``Dict``s. An order is a
    ``Scalar`` for each item, by which they are sorted (SOURCE: Bean 1994, random keys). What has one value only is a constant.

    Args:
        level: the top of the search space.
        fixed: parameters that have one value. They are taken to fit the space.
    """

    def __init__(self, level: Level, fixed: Mapping[str, Any]) -> None:
        self._level = level
        self._fixed = fixed
        self.parametrization: p.Dict = self._dict(level)

    def params(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a value of the parametrization."""
        params: dict[str, Any] = {}
        self._read(self._level, value, params)
        return params

    def candidate(self, params: Mapping[str, Any]) -> p.Dict:
        """A candidate with these parameters, which was not asked for."""
        child = self.parametrization.spawn_child()
        self._write(self._level, child, params)
        return child

    def _dict(self, level: Level) -> p.Dict:
        import nevergrad as ng

        return ng.p.Dict(**{name: self._parameter(name, distribution) for name, distribution in level})

    def _parameter(self, name: str, distribution: Distribution) -> Any:
        from nevergrad import p

        if isinstance(distribution, Choice) and distribution.spaces is not None:
            left = range(len(distribution.options)) if name not in self._fixed else [distribution.position(self._fixed[name]) or 0]
            return p.Choice([p.Dict(**{_OPTION: number, _SPACE: self._dict(distribution.spaces[number])}) for number in left])
        if self._single(name, distribution):
            return None
        match distribution:
            case Uniform(lower, upper):
                return p.Scalar(lower=lower, upper=upper)
            case LogUniform(lower, upper):
                return p.Log(lower=lower, upper=upper)
            case Integer(lower, upper):
                return p.Scalar(lower=lower, upper=upper).set_integer_casting()
            case LogInteger(lower, upper):
                return p.Log(lower=lower, upper=upper).set_integer_casting()
            case Choice(options):
                numbers = list(range(len(options)))
                return p.TransitionChoice(numbers) if is_ordered(distribution) else p.Choice(numbers)
            case Permutation(items):
                return p.Dict(**{str(number): p.Scalar(lower=0.0, upper=1.0) for number in range(len(items))})
        raise OptimizerError(
            "NevergradOptimizer(search_space=)",
            f"it knows no {type(distribution).__name__}",
            found=distribution,
            expected="Uniform, LogUniform, Integer, LogInteger, Choice, Permutation or Constant",
            remedy="Use one of those",
        )

    def _single(self, name: str, distribution: Distribution) -> bool:
        """Whether it has one value only."""
        if name in self._fixed or isinstance(distribution, Constant):
            return True
        if isinstance(distribution, Integer | LogInteger):
            return distribution.lower == distribution.upper
        return isinstance(distribution, Choice) and distribution.spaces is None and len(distribution.options) == 1

    def _read(self, level: Level, value: Mapping[str, Any], params: dict[str, Any]) -> None:
        below: list[tuple[Level, Mapping[str, Any]]] = []
        for name, distribution in level:
            found = value[name]
            if isinstance(distribution, Choice) and distribution.spaces is not None:
                number = int(found[_OPTION])
                params[name] = distribution.options[number]
                below.append((distribution.spaces[number], found[_SPACE]))
            elif self._single(name, distribution):
                params[name] = copy.deepcopy(self._fixed.get(name, distribution.from_unit(0.5)))
            elif isinstance(distribution, Uniform | LogUniform):
                params[name] = max(distribution.lower, min(distribution.upper, float(found)))
            elif isinstance(distribution, Integer | LogInteger):
                params[name] = max(distribution.lower, min(distribution.upper, int(found)))
            elif isinstance(distribution, Choice):
                params[name] = copy.deepcopy(distribution.options[int(found)])
            elif isinstance(distribution, Permutation):
                keys = [float(found[str(number)]) for number in range(len(distribution.items))]
                params[name] = distribution.of_places(sorted(range(len(keys)), key=keys.__getitem__))
        for space, inner in below:
            self._read(space, inner, params)

    def _write(self, level: Level, candidate: Any, params: Mapping[str, Any]) -> None:
        for name, distribution in level:
            if isinstance(distribution, Choice) and distribution.spaces is not None:
                number = distribution.position(params[name]) or 0
                for alternative in candidate[name].choices:
                    if alternative[_OPTION].value == number:
                        self._write(distribution.spaces[number], alternative[_SPACE], params)
                        candidate[name].value = alternative.value
            elif isinstance(distribution, Choice) and not self._single(name, distribution):
                candidate[name].value = distribution.position(params[name])
            elif isinstance(distribution, Permutation) and not self._single(name, distribution):
                for number, place in enumerate(distribution.places(params[name]) or ()):
                    candidate[name][str(place)].value = (number + 0.5) / len(distribution.items)
            elif not self._single(name, distribution):
                candidate[name].value = params[name]


def is_ordered(choice: Choice) -> bool:
    """Whether its options are ascending numbers, so that neighbours are alike."""
    options = choice.options
    if len(options) < 2 or any(isinstance(option, bool) or not isinstance(option, int | float) for option in options):
        return False
    return all(before < after for before, after in pairwise(options))
