"""Ax: Sobol points, and then Bayesian optimization with BoTorch."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Never

from metta_sweep.core.distributions import Choice, Distribution, LogInteger
from metta_sweep.core.numbers import check_int
from metta_sweep.core.seeds import seed_of_32_bits
from metta_sweep.errors import MissingExtra, OptimizerError, a_kind, did_you_mean, refuse_unknown
from metta_sweep.optimizers.ask_tell import AskTellOptimizer
from metta_sweep.optimizers.ax_space import AxSpace
from metta_sweep.optimizers.quiet import Quiet
from metta_sweep.optimizers.supports import Supports

if TYPE_CHECKING:
    from metta_sweep.core.search_space import SearchSpace
    from metta_sweep.core.trial import Trial
    from metta_sweep.optimizers.ask_tell import Space

__all__ = ["AxOptimizer"]

_QUIET: Final = Quiet("ax", "botorch", "linear_operator")
_OPTIONS: Final = ("search_space", "acquisition", "initial_trials", "seed", "duplicates")
_ACQUISITIONS: Final = {
    "EI": "qLogNoisyExpectedImprovement",
    "UCB": "qUpperConfidenceBound",
    "PI": "qProbabilityOfImprovement",
    "SR": "qSimpleRegret",
}
_TALKS_WHEN_IMPORTED: Final = "ax.storage.sqa_store.with_db_settings_base"
"""Gives itself a level and says something, all in its import."""
_OF_SEVERAL: Final = "qLogNoisyExpectedHypervolumeImprovement"
_LARGEST: Final = 1e100
"""Results beyond it are told as this: the square of a larger one is none of a float's."""


class AxOptimizer(AskTellOptimizer[int]):
    """Asks Ax's client (SOURCE: Olson et al. 2025; Balandat et al. 2020). Run one at a time, it suggests what the client does.

    The centre of the space, Sobol points up to ``initial_trials`` (more of them while too few results are there), and then a
    Gaussian process with the acquisition function. Metrics ``(mean, sem)`` are told with their noise, if the first one is.

    Importing Ax takes seconds: it is done at the first suggestion. The process's random generators are put back after each
    suggestion; trials in threads that draw meanwhile should do so from generators of their own.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        acquisition: ``"EI"`` (log noisy expected improvement; with several objectives that of the hypervolume), ``"UCB"``, ``"PI"``
            (probability of improvement), ``"SR"`` (simple regret: the posterior mean), or a class of BoTorch.
        initial_trials: how many trials there are before the model.
        seed: a whole number; None: derived from the sweep's seed.
        duplicates: whether parameters may be suggested that were suggested before.

    Raises:
        OptimizerError: for an acquisition function that there is none of.
        MissingExtra: when Ax is not installed.
    """

    stays_inside = True
    slow = True
    supports = Supports(most_ordered=0)
    attempts = 2

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "acquisition": Choice(["EI", "UCB", "PI", "SR"]),
        "initial_trials": LogInteger(3, 30),
    }

    def __init__(
        self,
        search_space: Space | None = None,
        acquisition: str | type = "EI",
        initial_trials: int = 5,
        seed: int | None = None,
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("AxOptimizer", unknown, _OPTIONS)
        super().__init__(search_space, seed, duplicates)
        if sys.modules.get("ax", ...) is None or ("ax" not in sys.modules and importlib.util.find_spec("ax") is None):
            raise MissingExtra("AxOptimizer", extra="ax", library="ax-platform")
        _check_acquisition(acquisition)
        self.acquisition = acquisition
        self.initial_trials = check_int(
            initial_trials, "AxOptimizer(initial_trials=)", OptimizerError, at_least=1, remedy="Write initial_trials=5"
        )
        self.supports = Supports(several_objectives=acquisition == "EI" or isinstance(acquisition, type), most_ordered=0)
        self._sems: list[float] | None = None

    @property
    def origin(self) -> str:
        """``"ax EI"``, say."""
        return f"ax {self.acquisition if isinstance(self.acquisition, str) else self.acquisition.__name__}"

    # -- asking and telling ------------------------------------------------------------------------------------------------------

    def _begin(self, space: SearchSpace, seed: int) -> None:
        self._space = AxSpace(space.top)
        self._sems = None
        self._has_noise: bool | None = None
        self._metrics = [f"objective_{number}" for number in range(len(self._goal.objectives))]
        talker = logging.getLogger(_TALKS_WHEN_IMPORTED)
        disabled, talker.disabled = talker.disabled, True
        with _QUIET:
            # of its own: loggers that the import makes are known to the next entry only
            importlib.import_module("ax.api.client")
        talker.disabled = disabled
        with _QUIET:
            configs = self._space.configs()
            self._client: Any = (
                self._make_client(configs, seed if 0 <= seed < 2**32 else seed_of_32_bits(seed)) if configs else None
            )

    def _make_client(self, configs: list[Any], seed: int) -> Any:
        from ax.api.client import Client
        from ax.api.utils.generation_strategy_dispatch import choose_generation_strategy
        from ax.api.utils.structs import GenerationStrategyDispatchStruct

        client = Client(random_seed=seed)
        client.configure_experiment(parameters=configs)
        signs = ["" if goal.sign > 0 else "-" for goal in self._goal.objectives]
        client.configure_optimization(objective=", ".join(map("".join, zip(signs, self._metrics, strict=True))))
        plan = GenerationStrategyDispatchStruct(
            initialization_budget=self.initial_trials,
            initialization_random_seed=seed,
            allow_exceeding_initialization_budget=True,
        )
        client.set_generation_strategy(choose_generation_strategy(plan, botorch_acqf_class=self._acquisition_class()))
        return client

    def _acquisition_class(self) -> Any:
        if isinstance(self.acquisition, type):
            return self.acquisition
        from botorch import acquisition
        from botorch.acquisition.multi_objective import logei

        if self._goal.has_several:
            return getattr(logei, _OF_SEVERAL)
        return getattr(acquisition, _ACQUISITIONS[self.acquisition])

    def _ask(self, fixed: Mapping[str, Any] | None) -> tuple[int, dict[str, Any]] | None:
        if self._client is None:
            return -1, self._space.params({})
        from ax.exceptions.core import OptimizationComplete

        wanted = self._space.values(fixed) if fixed else None
        for _ in range(self.attempts):
            with _QUIET:
                try:
                    asked = self._client.get_next_trials(1, fixed_parameters=wanted)
                except OptimizationComplete:
                    return None  # it says that the space is exhausted, or finds the same points again
            for number, values in asked.items():
                params = self._space.params(values)
                if not fixed:
                    return number, params
                if all(_same(params.get(name), value) for name, value in fixed.items()):
                    return number, {name: _exactly(fixed, name, value) for name, value in params.items()}
                self._drop(number)  # the centre of the space, which Ax begins with, whatever is fixed
        return None

    def _learn(self, trial: Trial, result: float | Mapping[str, float], asked: int | None) -> None:
        found = [_sem(trial, goal.metric) for goal in self._goal.objectives]
        if None not in found:
            self._sems = [sem for sem in found if sem is not None]
        super()._learn(trial, result, asked)

    def _attach(self, params: dict[str, Any]) -> int:
        if self._client is None:
            return -1
        with _QUIET:
            number: int = self._client.attach_trial(self._space.values(params))
        return number

    def _tell(self, asked: int, params: dict[str, Any], values: list[float]) -> None:
        if self._client is None:
            return
        if self._has_noise is None:
            # Ax takes the errors of all results or of none: the first one decides, and the last ones known stand for missing ones
            self._has_noise = self._sems is not None
        told: list[Any] = [max(-_LARGEST, min(_LARGEST, value)) for value in values]
        if self._has_noise and self._sems is not None:
            told = list(zip(told, self._sems, strict=True))
        with _QUIET:
            self._client.complete_trial(asked, dict(zip(self._metrics, told, strict=True)))

    def _tell_failed(self, asked: int, params: dict[str, Any]) -> None:
        self._drop(asked)

    def _drop(self, asked: int) -> None:
        if self._client is not None:
            with _QUIET:
                self._client.mark_trial_abandoned(asked)

    def _tell_stopped(self, asked: int, trial: Trial) -> None:
        report, name = trial.last_report, self._goal.metric
        if name is None and report is not None and len(report.metrics) == 1:
            (name,) = report.metrics
        if self._client is None or report is None or name not in report.metrics or self._goal.has_several:
            self._drop(asked)
            return
        with _QUIET:
            told: Any = (report.value(name), self._sems[0]) if self._has_noise and self._sems else report.value(name)
            self._client.attach_data(asked, {self._metrics[0]: told}, progression=report.step)
            self._client.mark_trial_early_stopped(asked)


def _check_acquisition(acquisition: object) -> None:
    if isinstance(acquisition, str) and acquisition in _ACQUISITIONS:
        return
    if isinstance(acquisition, type) and any(kind.__module__.startswith("botorch.") for kind in acquisition.__mro__):
        return
    guess = did_you_mean(acquisition, _ACQUISITIONS) if isinstance(acquisition, str) else None
    raise OptimizerError(
        "AxOptimizer(acquisition=)",
        f"there is no acquisition function {acquisition!r}" if isinstance(acquisition, str) else f"{a_kind(acquisition)} is none",
        found=acquisition,
        expected="one of " + ", ".join(map(repr, _ACQUISITIONS)) + ", or a class of BoTorch",
        remedy=f"Did you mean {guess!r}?" if guess else "Write acquisition='EI'",
    )


def _exactly(fixed: Mapping[str, Any], name: str, value: Any) -> Any:
    return float(fixed.get(name, value)) if isinstance(value, float) else value


def _same(found: Any, fixed: Any) -> bool:
    """Whether it is the fixed value, but for rounding on the way through Ax's scales."""
    return math.isclose(found, fixed, rel_tol=1e-9) if isinstance(found, float) else bool(found == fixed)


def _sem(trial: Trial, metric: str | None) -> float | None:
    """The standard error of the mean of a metric, where the trial gave one."""
    found = trial.metrics.get(metric) if metric is not None else next(iter(trial.metrics.values()), None)
    return float(found[1]) if isinstance(found, tuple) else None
