"""LinUCB as a picker of the iteration scheduler: similar suggestions share what was learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any, ClassVar, Final, Literal, Never

from metta_sweep.core.distributions import Choice, Distribution, LogInteger, LogUniform, Uniform
from metta_sweep.core.encoding import Encoding
from metta_sweep.core.numbers import check_flag
from metta_sweep.core.ridge import RidgeModel
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.errors import SchedulerError, SuggestionError, a_kind, refuse_unknown
from metta_sweep.schedulers.checks import check_callable, check_count, check_number
from metta_sweep.schedulers.picking import SuggestionPicker
from metta_sweep.schedulers.scheduler import Waiting
from metta_sweep.schedulers.suggestion_fold import Chosen, SuggestionFold, told_of

__all__ = ["Features", "LinearUCB"]

Features = Callable[[dict[str, Any]], Sequence[float]]
"""The features of a suggestion, from its parameters: as many finite numbers each time, best of size about 1."""
_WHERE: Final = "LinearUCB(features=)"
_OPTIONS: Final = ("features", "alpha", "ridge", "shared", "candidates")


class LinearUCB(SuggestionPicker):
    """Prefers the waiting suggestion whose reward may be highest by a linear model of its features (LinUCB, Li et al. 2010).

    The arm is each suggestion, not its branch: a result tells of all suggestions with similar features, of those that were never
    tried too. ``score = theta' x + alpha * sqrt(x' inv(A) x)``, ``A = ridge * I + sum(x x')``. Pending trials narrow the bonus, and
    count with the reward that is predicted for them. Equal scores: the one that has waited longest. Every waiting suggestion is
    looked at for each slot: about 10 us each with 5 features.

    Args:
        features: ``features(params)`` returns the features; or ``"params"``: the parameters themselves, each at its quantile in the
            search space, one per option of a choice, and a 1.
        alpha: exploration weight, at least 0; 0 is greedy.
        ridge: weight of the prior that nothing matters, at least 1e-6: with less, rounding would tell.
        shared: one model for all branches; False: one for each (the *disjoint* model of the paper).
        candidates: so many suggestions wait to be chosen from, at least: they are drawn ahead of an optimizer without end, which
            suits one that does not learn (random, Sobol). What is never chosen goes on waiting: the more the choosier.

    Raises:
        SchedulerError: a setting is out of its range.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "alpha": Uniform(0.0, 4.0),
        "ridge": LogUniform(0.01, 100.0),
        "shared": Choice([True, False]),
        "candidates": LogInteger(8, 256),
    }

    def __init__(
        self,
        features: Features | Literal["params"] = "params",
        alpha: float = 1.0,
        ridge: float = 1.0,
        shared: bool = True,
        candidates: int = 64,
        **unknown: Never,
    ) -> None:
        refuse_unknown("LinearUCB", unknown, _OPTIONS)
        if not isinstance(features, str):
            check_callable(_WHERE, features, "a function (params) -> list of numbers")
        elif features != "params":
            raise SchedulerError(
                _WHERE, "unknown option", found=features, expected="'params' or a function (params) -> list of numbers"
            )
        self.features = features
        self.alpha = check_number("LinearUCB(alpha=)", alpha, least=0, example=1.0)
        self.ridge = check_number("LinearUCB(ridge=)", ridge, least=1e-6, example=1.0)
        self.shared = check_flag(shared, "LinearUCB(shared=)", SchedulerError, remedy="Write one of them")
        self.candidates = check_count("LinearUCB(candidates=)", candidates, example=64)

    def begin(self, setup: Setup) -> LinearIndex:
        """The rule without history, for one run.

        Raises:
            SchedulerError: the features are to be the parameters, and there is no search space.
        """
        if not isinstance(self.features, str):
            return LinearIndex(self, self.features)
        if setup.search_space is None:
            raise SchedulerError(
                _WHERE,
                "the sweep has no search space, so its parameters have no scale",
                found="params",
                expected="a function (params) -> list of numbers",
                remedy="Give the sweep search_space={...}, or write features=lambda params: [1.0, params['lr']]",
            )
        return LinearIndex(self, _ParamsAsFeatures(setup.search_space))


class _ParamsAsFeatures:
    """A 1, and the parameters at their place in the search space."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._encoding = Encoding(space)

    def __call__(self, params: dict[str, Any]) -> list[float]:
        try:
            self._space.check(params, _WHERE)
        except SuggestionError as error:  # follow-ups need not lie in the search space
            remedy = "Keep follow-ups within the search space, or write features= as a function (params) -> list of numbers"
            raise SchedulerError(
                f"{_WHERE[:-1]}'params')", error.what, found=error.found, expected=error.expected, remedy=remedy
            ) from None
        return [1.0, *self._encoding.encode(params)]


class LinearIndex(SuggestionFold):
    """The models, and the features of what waits and runs."""

    def __init__(self, settings: LinearUCB, features: Features) -> None:
        super().__init__(settings.candidates)
        self._settings = settings
        self._features = features
        self._width: int | None = None
        self._models: dict[str, RidgeModel] = {}
        self._known: dict[int, tuple[float, ...]] = {}
        """The features of suggestions that wait."""
        self._running: dict[str, tuple[str, tuple[float, ...]]] = {}
        self._thetas: dict[str, list[float]] = {}
        """Within an overlay: the coefficients of each model; and the inverses with what was taken in it."""
        self._inverses: dict[str, list[list[float]]] = {}

    def choose(self, waiting: Mapping[int, Waiting]) -> Chosen | None:
        """The one of the highest score."""
        alpha, best = self._settings.alpha, None
        for number, item in waiting.items():
            x = self._x(item)
            key = self._key(item)
            mean = RidgeModel.predict(self._theta(key, len(x)), x)
            bonus = alpha * RidgeModel.bonus(self._inverses[key], x)
            if best is None or mean + bonus > best[0]:
                best = (mean + bonus, mean, bonus, number)
        if best is None:
            return None
        score, mean, bonus, number = best
        return Chosen(number, score, mean, bonus, f"highest of {len(waiting)} suggestions")

    def took(self, waiting: Waiting) -> None:
        """Narrow the bonus of what is similar."""
        RidgeModel.narrow(self._inverses[self._key(waiting)], self._x(waiting))

    def overlaid(self, *, begins: bool) -> None:
        """Forget what was taken."""
        self._thetas.clear()
        self._inverses.clear()

    def pulled(self, trial_id: str, waiting: Waiting) -> None:
        """It runs."""
        key, x = self._key(waiting), self._x(waiting)
        self._known.pop(waiting.suggestion, None)
        self._running[trial_id] = (key, x)
        self._model(key, len(x)).pull(x)

    def learned(self, trial_id: str, reward: float) -> None:
        """Its reward, in the unit it came in."""
        key, x = self._running.pop(trial_id)
        self._models[key].learn(x, reward)

    def gave_up(self, trial_id: str) -> None:
        """It was cut short."""
        key, x = self._running.pop(trial_id)
        self._models[key].give_up(x)

    def _theta(self, key: str, width: int) -> list[float]:
        theta = self._thetas.get(key)
        if theta is None:
            model = self._model(key, width)
            low, high = self._range or (0.0, 1.0)
            theta = self._thetas[key] = model.coefficients(low, high - low or 1.0)
            self._inverses[key] = model.narrowed()
        return theta

    def _model(self, key: str, width: int) -> RidgeModel:
        model = self._models.get(key)
        if model is None:
            model = self._models[key] = RidgeModel(width, self._settings.ridge)
        return model

    def _key(self, waiting: Waiting) -> str:
        return "" if self._settings.shared else waiting.branch or ""

    def _x(self, waiting: Waiting) -> tuple[float, ...]:
        number = waiting.suggestion
        x = self._known.get(number)
        if x is None:
            with told_of(_WHERE, number):
                given = self._features(dict(waiting.params))
            x = self._known[number] = self._checked(given, number)
        return x

    def _checked(self, given: Any, number: int) -> tuple[float, ...]:
        where = f"{_WHERE} for suggestion {number}"
        try:
            values = tuple(given)
        except TypeError:
            raise SchedulerError(where, f"it returned {a_kind(given)}", found=given, expected="a list of numbers") from None
        for value in values:
            if isinstance(value, bool | complex) or not isinstance(value, Real) or not isfinite(value):
                raise SchedulerError(where, "a feature is no finite number", found=value, expected="a list of finite numbers")
        if self._width is None:
            self._width = len(values)
        if len(values) != self._width or not values:
            raise SchedulerError(
                where, f"it returned {len(values)} features", found=given, expected=f"{self._width or 1}, as for every suggestion"
            )
        return tuple(map(float, values))
