"""Learning curves that stand for training: functions of parameters and step, as trial functions of simulated or real time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, Never, Protocol

from metta_sweep.core.metrics import BARE_METRIC, as_metrics
from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.trial import Metric
from metta_sweep.errors import MetricError, ObjectiveError, a_kind, did_you_mean, refuse_unknown
from metta_sweep.executors.context import TrialContext

__all__ = ["LearningCurve", "PowerLaw", "SimulatedTraining", "TabularCurves", "simulated"]


class LearningCurve(Protocol):
    """What a learning curve is: any function of parameters, step and randomness, that remembers nothing."""

    def __call__(self, params: Mapping[str, Any], step: int, rng: Random) -> Any:
        """The metrics at a step, from 1; ``rng`` is the step's own and gives the same numbers each time."""
        ...


Parameter = float | Callable[[Mapping[str, Any]], float]
"""A number, or a function of the parameters of the trial."""


class PowerLaw:
    """A noisy power law: ``limit + scale * step**-rate + noise * N(0, 1)``.

    Each of the four is a number or a function of the trial's parameters: ``PowerLaw(limit=lambda params: abs(params["x"]))``.

    Args:
        limit: what the curve comes to.
        scale: how far it is from there at step 1; negative for a curve that rises.
        rate: how fast it comes there; above 0 to come there at all.
        noise: the standard deviation at each step, 0 or more.
        metric: the name of the metric.

    Raises:
        ObjectiveError: for a setting that is neither.
    """

    def __init__(
        self,
        limit: Parameter,
        scale: Parameter = 1.0,
        rate: Parameter = 0.5,
        noise: Parameter = 0.0,
        *,
        metric: str = "loss",
        **unknown: Never,
    ) -> None:
        refuse_unknown("PowerLaw", unknown, ("limit", "scale", "rate", "noise", "metric"))
        given: tuple[Parameter, ...] = (limit, scale, rate, noise)
        for name, value in zip(("limit", "scale", "rate", "noise"), given, strict=True):
            if not callable(value):
                least = 0.0 if name == "noise" else None
                remedy = "Write a number, or a function of the parameters"
                check_number(value, f"PowerLaw({name}=)", ObjectiveError, at_least=least, remedy=remedy)
        self._given = given
        self._metric = _name(metric, "PowerLaw(metric=)")

    def __call__(self, params: Mapping[str, Any], step: int, rng: Random) -> dict[str, float]:
        """The metric at a step."""
        limit, scale, rate, noise = [float(given(params)) if callable(given) else given for given in self._given]
        value = limit + scale * float(step) ** -rate
        return {self._metric: value + noise * rng.gauss(0.0, 1.0) if noise else value}


class TabularCurves:
    """Recorded curves, one for each configuration: ``TabularCurves({0.1: [0.9, 0.5, 0.4], 0.01: [0.9, 0.8]})``.

    Args:
        table: the metrics of each step from 1 on: numbers, or mappings of metrics.
        key: which row a trial's is: the name of a parameter, names of several (the key is a tuple of their values then), or
            ``key(params)``. None: the value of the only parameter, or the tuple of all.
        metric: the name of the metric, where the table has plain numbers.

    Raises:
        ObjectiveError: the table is empty, or has an empty row; or the key is none.
        MetricError: what was recorded is no metric.
    """

    def __init__(
        self,
        table: Mapping[Any, Sequence[Any]],
        *,
        key: str | Sequence[str] | Callable[[Mapping[str, Any]], Hashable] | None = None,
        metric: str = "loss",
        **unknown: Never,
    ) -> None:
        refuse_unknown("TabularCurves", unknown, ("table", "key", "metric"))
        self._metric = _name(metric, "TabularCurves(metric=)")
        self._key = key if key is None or isinstance(key, str) or callable(key) else _names(key)
        if not isinstance(table, Mapping) or not table:
            raise ObjectiveError(
                "TabularCurves(table)",
                "it holds no curves",
                found=table,
                expected="a mapping of configurations to their metrics, step by step",
                remedy="Write TabularCurves({0.1: [0.9, 0.5], 0.01: [0.9, 0.8]}, key='lr')",
            )
        self._rows: dict[Any, tuple[dict[str, Metric], ...]] = {row: self._checked(row, table[row]) for row in table}

    def __call__(self, params: Mapping[str, Any], step: int, rng: Random) -> dict[str, Metric]:
        """The metrics that were recorded at a step. Raises ``MetricError`` after the last one."""
        row = self._row(params)
        curve = self._rows[row]
        if not 1 <= step <= len(curve):
            raise MetricError(f"TabularCurves[{row!r}]: no step {step} was recorded; the curve has steps 1 to {len(curve)}.")
        return curve[step - 1]

    def length(self, params: Mapping[str, Any]) -> int:
        """How many steps the curve of these parameters has."""
        return len(self._rows[self._row(params)])

    def _row(self, params: Mapping[str, Any]) -> Any:
        key = self._key
        if callable(key):
            row: Any = key(params)
        elif isinstance(key, str):
            row = _value(params, key)
        else:
            values = tuple(params.values()) if key is None else tuple([_value(params, name) for name in key])
            row = values[0] if key is None and len(values) == 1 else values
        if row not in self._rows:
            guess = did_you_mean(str(row), [str(known) for known in self._rows])
            hint = f" Did you mean {guess}?" if guess else " Search only what is in the table: Choice([...])."
            raise MetricError(f"TabularCurves: no curve of {row!r} was recorded, among {len(self._rows)}.{hint}")
        return row

    def _checked(self, row: Any, curve: Any) -> tuple[dict[str, Metric], ...]:
        where = f"TabularCurves[{row!r}]"
        if isinstance(curve, str | bytes) or not hasattr(curve, "__iter__") or not hasattr(curve, "__len__") or not len(curve):
            raise ObjectiveError(
                where, "it is no curve", found=curve, expected="the metrics of each step", remedy="Write [0.9, 0.5]"
            )
        metrics = [value if isinstance(value, Mapping) else {self._metric: value} for value in curve]
        return tuple([as_metrics(value, f"{where} at step {step}") for step, value in enumerate(metrics, 1)])


class SimulatedTraining:
    """A trial function that follows a learning curve: a generator that yields the metrics of each epoch. See ``simulated``."""

    def __init__(self, curve: LearningCurve, epochs: int | None) -> None:
        self.curve = curve
        self.epochs = epochs

    def __call__(self, trial: TrialContext) -> Iterator[dict[str, Any]]:
        """Yield epoch by epoch, after the one that the trial goes on from."""
        params, curve = trial.params, self.curve
        last: int = self.epochs if self.epochs is not None else curve.length(params)  # type: ignore[attr-defined]
        rng = _StepRandom(derive_seed("curve", trial.seed))
        for step in range(trial.resume_step + 1, last + 1):
            rng.begin(step)
            value = curve(params, step, rng)
            yield {"step": step, **value} if isinstance(value, Mapping) else {"step": step, BARE_METRIC: value}

    def __repr__(self) -> str:
        return f"simulated({self.curve!r}, epochs={self.epochs})"


def simulated(curve: LearningCurve, epochs: int | None = None) -> SimulatedTraining:
    """A trial function from a learning curve. It remembers nothing: it goes on after any step, for any trial, anywhere.

    Args:
        curve: ``curve(params, step, rng)`` gives a metric or a mapping of metrics; a ``PowerLaw``, ``TabularCurves`` or a function.
        epochs: how many steps it has; None: as many as were recorded, for ``TabularCurves``.

    Raises:
        ObjectiveError: it cannot be called, or has no end.
    """
    if not callable(curve) or isinstance(curve, type):
        raise ObjectiveError(
            "simulated(curve)",
            f"{'a class' if isinstance(curve, type) else a_kind(curve)} is no learning curve",
            found=curve,
            expected="a function: curve(params, step, rng)",
            remedy="Pass PowerLaw(limit=0.1), say",
        )
    if epochs is not None:
        epochs = check_int(epochs, "simulated(epochs=)", ObjectiveError, at_least=1)
    elif not hasattr(curve, "length"):
        raise ObjectiveError(
            "simulated(epochs=)", "the curve has no end of its own", found=None, expected="1 or more", remedy="Write epochs=100"
        )
    return SimulatedTraining(curve, epochs)


_FLOATS: Final = 2
"""How many are drawn at once: as many as a normal number needs."""


class _StepRandom(Random):
    """Numbers that depend on the seed and the step alone, drawn by counting: no state is carried from step to step."""

    def __init__(self, key: int) -> None:
        super().__init__(0)
        self._key = key
        self.begin(0)

    def begin(self, step: int) -> None:
        """The numbers of this step come next."""
        self._step, self._block = step, 0
        self._left: list[float] = []
        self.gauss_next = None  # what the class it comes from keeps of a pair

    def random(self) -> float:
        """In [0, 1)."""
        if not self._left:
            self._left = unit_floats(self._key + self._block, self._step, _FLOATS)
            self._block += 1
        return self._left.pop()

    def getrandbits(self, k: int, /) -> int:
        """As many random bits."""
        bits = 0
        for _ in range(0, k, 32):
            bits = bits << 32 | int(self.random() * 2.0**32)
        return bits >> (-k % 32)


def _names(key: object) -> tuple[str, ...]:
    if isinstance(key, Iterable):
        names = tuple(key)
        if names and all(isinstance(name, str) for name in names):
            return names
    raise ObjectiveError(
        "TabularCurves(key=)",
        "it names no parameters",
        found=key,
        expected="a name, several names, or a function: key(params)",
        remedy="Write key='lr'",
    )


def _value(params: Mapping[str, Any], name: str) -> Any:
    if name not in params:
        guess = did_you_mean(name, list(params))
        hint = f"Did you mean {guess!r}?" if guess else f"It has {', '.join(map(repr, params)) or 'none'}."
        raise MetricError(f"TabularCurves(key=): the trial has no parameter {name!r}. {hint}")
    return params[name]


def _name(metric: object, where: str) -> str:
    if not isinstance(metric, str) or not metric:
        raise ObjectiveError(where, "a metric has a name", found=metric, expected="a word", remedy="Write metric='loss'")
    return metric
