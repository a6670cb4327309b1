"""Optimizing the optimizer: which configuration of it finds the best scores."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar, Final, Never

from metta_sweep.core.budget import Budget
from metta_sweep.core.distributions import Choice, Distribution, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.levels import active_parameters
from metta_sweep.core.numbers import check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Suggestion, Trial, TrialState
from metta_sweep.errors import BudgetError, InvalidName, OptimizerError, did_you_mean, refuse_unknown
from metta_sweep.experiments.experiment import refuse_positional
from metta_sweep.experiments.one_objective import OneObjective
from metta_sweep.optimizers import BayesianOptimizer
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.pipeline import Context, Pipeline, StageContext, fields
from metta_sweep.pipeline.proof.signature import accepted_keywords
from metta_sweep.records import Store
from metta_sweep.schedulers import SynchronousBatchScheduler

__all__ = ["OptimizerOptimizer", "TriedConfig"]

_OPTIONS: Final = (
    "name",
    "objective",
    "search_space",
    "goal",
    "metric",
    "config_space",
    "meta_optimizer",
    "rounds",
    "budget",
    "repeats",
    "slots",
    "seed",
    "store",
)
_SHORT: Final[Mapping[str, str]] = {"acquisition_fn": "acquisition", "exploration_rate": "exploration"}
"""What ``create_optimizer`` calls these fields of a configuration; others keep their names."""
_METRIC: Final = "performance"
_TAKEN: Final = ("meta_seed", "history", "config", _METRIC)
_MANY: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _documented() -> dict[str, Distribution]:
    """What is searched of a Bayesian optimizer."""
    return {
        "acquisition_fn": Choice(["EI", "UCB"]),
        "exploration_rate": LogUniform(0.01, 3.0),
        "batch_size": Integer(1, 8),
    }


@dataclass(frozen=True, slots=True)
class TriedConfig:
    """One configuration of the optimizer, and what it reached."""

    round: int
    """From 0."""
    config: dict[str, Any]
    performance: float | None
    """The best score of its sweep, the median of them where there were several; None: no trial of it completed."""


class OptimizerOptimizer(OneObjective):
    """Finds the best configuration of an optimizer: each round suggests one, runs a sweep with it, and learns from its best score.

    Its pipeline is the loop ``suggest_config > test_optimizer > update``. A subclass may override each of them
    (``suggest_optimizer_params``, ``run_sweep_with_config``, ``update_meta_model``), and ``create_optimizer``, which makes the
    optimizer of a sweep of what a configuration holds. What the meta-optimizer knows is the carried field ``history``, of which it
    is rebuilt in each round; so a kept run that was killed goes on as if nothing had happened.

    The result has ``history``, ``best_config`` and ``best_performance``.

    Args:
        name: what the run is kept under.
        objective: the trial function of the sweeps, as for ``SweepExperiment``; or a method of that name.
        search_space: what they search.
        goal: as for ``SweepExperiment``, with one objective. The configurations are compared in its direction.
        metric: the metric that decides, where the goal does not name it.
        config_space: what is searched of the optimizer: a mapping of names to distributions. By default ``acquisition_fn``,
            ``exploration_rate`` and ``batch_size``, the fields of the documentation's example.
        meta_optimizer: what suggests configurations; by default ``BayesianOptimizer(initial_trials=4)``.
        rounds: how many configurations are tested, at least 1. A kept run goes on when it is run again with more.
        budget: of each sweep: a number of trials, or a ``Budget``.
        repeats: how many sweeps test one configuration, each with a seed of its own; their median counts.
        slots: of each sweep; by default the batch size.
        seed: the seed of everything random; drawn once per run, and kept, when left out.
        store: where it is kept.

    Raises:
        InvalidInput: a subclass of it for each thing that cannot be.
    """

    config_space: Any = None
    """A ``SearchSpace``, once the experiment is made."""
    meta_optimizer: Any = None
    """An ``Optimizer``, once the experiment is made."""
    rounds: int = 10
    budget: Any = 30
    """A ``Budget``, once the experiment is made."""
    repeats: int = 1
    _settings: ClassVar[tuple[str, ...]] = _OPTIONS

    def __init__(
        self,
        *positional: Never,
        name: str | None = None,
        objective: Callable[..., Any] | None = None,
        search_space: Mapping[str, Any] | type | SearchSpace | None = None,
        goal: str | Mapping[str, str] | Goal | None = None,
        metric: str | None = None,
        config_space: Mapping[str, Any] | SearchSpace | None = None,
        meta_optimizer: Optimizer | None = None,
        rounds: int | None = None,
        budget: int | Budget | None = None,
        repeats: int | None = None,
        slots: int | None = None,
        seed: int | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "objective=train, search_space={...}")
        refuse_unknown(kind, unknown, _OPTIONS)
        self._set_identity(name, store, seed)
        self._set_problem(objective, search_space, goal, metric, slots)
        configs = self._own("config_space", config_space)
        self.config_space = SearchSpace.of(_documented() if configs is None else configs)
        _check_names(self.config_space.names, f"{kind}(config_space=)")
        self.rounds = check_int(self._own("rounds", rounds), f"{kind}(rounds=)", BudgetError, at_least=1, remedy="Write rounds=10")
        self.repeats = check_int(
            self._own("repeats", repeats), f"{kind}(repeats=)", BudgetError, at_least=1, remedy="Write repeats=1"
        )
        self.budget = Budget.of(self._own("budget", budget))
        chosen = self._own("meta_optimizer", meta_optimizer)
        self.meta_optimizer = BayesianOptimizer(initial_trials=4) if chosen is None else _checked(chosen, kind)
        fields(**self._config_fields())  # refuses names that no field can have
        self._made = True
        left = getattr(self._meta_model((), 0), "remaining", None)
        if isinstance(left, int) and left < self.rounds:
            remedy = f"Write rounds={left}, or take one without an end"
            what = f"{type(chosen).__name__} has {left} suggestions and no more"
            raise BudgetError(f"{kind}(rounds=)", what, found=self.rounds, expected=f"at most {left}", remedy=remedy)
        self._check_creator()

    # -- what a subclass may override --------------------------------------------------------------------------------------------

    def pipeline(self) -> Pipeline:
        """The loop of configurations, and the best of them."""
        return (
            Pipeline()
            .stage("begin", self.draw_meta_seed)
            .through(meta_seed=int)
            .loop_while(lambda ctx: len(ctx.history) < self.rounds, carry={"history": []}, name="rounds")
            .stage("suggest_config", self.suggest_optimizer_params)
            .through(fields(**self._config_fields()))
            .stage("test_optimizer", self.run_sweep_with_config)
            .through(performance=float | None)
            .stage("update", self.update_meta_model)
            .through(history=list[TriedConfig])
            .end_loop()
            .stage("conclude", self.conclude)
            .through(best_config=dict[str, Any] | None, best_performance=float | None)
        )

    def draw_meta_seed(self, stage: StageContext) -> int:
        """The seed of the meta-optimizer, unless it has its own."""
        return stage.seed

    def suggest_optimizer_params(self, history: list[TriedConfig], meta_seed: int) -> dict[str, Any]:
        """The configuration to test next: a value, or None, for each field of the configuration."""
        model = self._meta_model(history, meta_seed)
        params = self._next_params(model, len(history))
        return {field: params.get(field) for field in self.config_space.names}

    async def run_sweep_with_config(self, config: Context) -> float | None:
        """Run sweeps with the optimizer of this configuration; the median of their best scores. ``config`` has its fields."""
        chosen = self._chosen(config)
        scores: list[float] = []
        for number in range(self.repeats):
            sweep = self.create_sweep(**self.settings_of(chosen), **self._named(number))
            result = (await sweep.run(budget=self.budget)).raise_for_stop()
            if result.best_score is not None:
                scores.append(result.best_score)
        return median(scores) if scores else None

    def update_meta_model(self, history: list[TriedConfig], config: Context, performance: float | None) -> list[TriedConfig]:
        """All that the meta-optimizer has learned, with this round."""
        return [*history, TriedConfig(len(history), self._chosen(config), performance)]

    def conclude(self, history: list[TriedConfig]) -> dict[str, Any]:
        """The best configuration, the first of equal ones, and what it reached; None where none reached anything."""
        best: TriedConfig | None = None
        for tried in history:
            if tried.performance is not None and (
                best is None or best.performance is None or self.goal.better(tried.performance, best.performance)
            ):
                best = tried
        return {"best_config": best and best.config, "best_performance": best and best.performance}

    def create_optimizer(self, *_: Any, **config: Any) -> Optimizer:
        """The optimizer of a sweep: ``BayesianOptimizer`` with the values of the configuration as its options.

        An override takes what it needs of the configuration, each value by its name: ``create_optimizer(self, acquisition,
        exploration)``. ``acquisition_fn`` is called ``acquisition`` here, and ``exploration_rate`` is ``exploration``.
        """
        return BayesianOptimizer(**{name: value for name, value in config.items() if name != "batch_size"})

    def settings_of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a sweep that tests this configuration: its optimizer, and batches where it holds ``batch_size``."""
        values = {_SHORT.get(field, field): value for field, value in config.items()}
        takes = accepted_keywords(self.create_optimizer)
        optimizer = self.create_optimizer(**{name: value for name, value in values.items() if takes is None or name in takes})
        if "batch_size" not in values:
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "scheduler": SynchronousBatchScheduler(batch_size=values["batch_size"])}

    def _members(self) -> dict[str, Any]:
        return {"config_space": self.config_space.describe(), "meta_optimizer": self.meta_optimizer.describe()}

    # -- pieces ------------------------------------------------------------------------------------------------------------------

    def _chosen(self, config: Context) -> dict[str, Any]:
        """What was suggested: fields without a value are those of other alternatives, unless None is one of their options."""
        fields = {field: config[field] for field in self.config_space.names}
        there = active_parameters(self.config_space.top, fields)
        return {name: fields[name] for name, form in there if fields[name] is not None or form.contains(None)}

    def _named(self, number: int) -> dict[str, str]:
        """The name of a sweep, where one configuration has several: they are siblings."""
        return {} if self.repeats == 1 else {"name": f"sweep-{number}"}

    def _meta_model(self, history: Sequence[TriedConfig], seed: int) -> Optimizer:
        """The meta-optimizer, as it is after these rounds."""
        goal = Goal(self.goal.direction, _METRIC)
        optimizer: Optimizer = self.meta_optimizer.for_run(Setup(self.config_space, goal, seed, 1))
        for tried in history:
            if "index" not in _takes(optimizer):
                optimizer.suggest(1)  # it keeps its own place
            trial = _trial(tried)
            if tried.performance is None:
                optimizer.failed(trial)
            else:
                optimizer.observe(trial, tried.performance)
        return optimizer

    def _next_params(self, optimizer: Optimizer, index: int) -> dict[str, Any]:
        keywords = {"index": index} if "index" in _takes(optimizer) else {}
        found = list(optimizer.suggest(1, **keywords))
        kind = type(optimizer).__name__
        if not found:
            what, remedy = f"it had nothing to suggest in round {index}", f"Write rounds={index}, or take another meta-optimizer"
            raise OptimizerError(f"{kind}.suggest(1)", what, found=found, expected="one configuration", remedy=remedy)
        suggestion: Suggestion = check_suggestion(found[0], kind)
        self.config_space.check(suggestion.params, kind)
        return suggestion.params

    def _config_fields(self) -> dict[str, Any]:
        top = dict(self.config_space.top)
        return {name: _type_of(top[name]) if name in top else Any for name in self.config_space.names}

    def _check_creator(self) -> None:
        """Refuse a creator of optimizers that asks for what no configuration holds, and sweeps that cannot be made."""
        names: tuple[str, ...] = self.config_space.names
        there = [_SHORT.get(name, name) for name in names]
        for parameter in inspect.signature(self.create_optimizer).parameters.values():
            if parameter.default is not parameter.empty or parameter.kind in _MANY or parameter.name in there:
                continue
            guess = did_you_mean(parameter.name, there)
            raise OptimizerError(
                f"{type(self).__name__}.create_optimizer({parameter.name})",
                "no configuration holds it",
                found=parameter.name,
                expected="parameters among " + ", ".join(there),
                remedy=f"Did you mean {guess!r}?" if guess else "Add it to config_space=, or give it a default",
            )
        middle = [0.5] * len(self.config_space.names)
        self.create_sweep(**self.settings_of(self.config_space.sample(middle)))


def _check_names(names: Sequence[str], where: str) -> None:
    """Refuse names of fields that the loop itself has, and two that ``create_optimizer`` gets under one name."""
    called: dict[str, str] = {}
    for name in names:
        if name in _TAKEN:
            what, expected = f"the loop has a field {name!r} of its own", f"none of {', '.join(_TAKEN)}"
            raise InvalidName(where, what, found=name, expected=expected, remedy=f"Call it optimizer_{name}, say")
        first = called.setdefault(_SHORT.get(name, name), name)
        if first != name:
            what = f"create_optimizer gets {first!r} and {name!r} as one, {_SHORT.get(name, name)!r}"
            raise InvalidName(where, what, found=name, expected="one of them", remedy="Leave one out")


def _takes(optimizer: Optimizer) -> frozenset[str]:
    takes = accepted_keywords(optimizer.suggest)
    return frozenset({"index"}) if takes is None else takes


def _trial(tried: TriedConfig) -> Trial:
    """A round as its meta-optimizer sees it."""
    done = tried.performance is not None
    return Trial(
        id=str(tried.round),
        number=tried.round,
        params=dict(tried.config),
        index=tried.round,
        state=TrialState.COMPLETED if done else TrialState.FAILED,
        attempt=1,
        metrics={_METRIC: tried.performance} if tried.performance is not None else {},
        score=tried.performance,
    )


def _type_of(distribution: Distribution) -> Any:
    """The type of a field of the configuration."""
    if isinstance(distribution, Uniform | LogUniform):
        return float
    if isinstance(distribution, Integer | LogInteger):
        return int
    if isinstance(distribution, Choice) and all(isinstance(option, str) for option in distribution.options):
        return str
    return Any


def _checked(optimizer: Any, kind: str) -> Optimizer:
    if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
        raise OptimizerError(
            f"{kind}(meta_optimizer=)",
            "a class is no optimizer" if isinstance(optimizer, type) else "it is no optimizer",
            found=optimizer,
            expected="an Optimizer",
            remedy=f"Write {optimizer.__name__}()" if isinstance(optimizer, type) else "Leave it out",
        )
    return optimizer
