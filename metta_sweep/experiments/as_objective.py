"""Experiments as trial functions: a class is made with the parameters and run, an experiment with inputs gets them as inputs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.described import function_name
from metta_sweep.core.goal import Goal
from metta_sweep.core.metrics import BARE_METRIC
from metta_sweep.core.trial import Metric
from metta_sweep.core.values import plain_scalar
from metta_sweep.errors import InvalidInput, MetricError, ObjectiveError
from metta_sweep.experiments.as_stage import functions_of
from metta_sweep.experiments.class_as_stage import common_parameters, own_parameters
from metta_sweep.experiments.experiment_result import ExperimentResult
from metta_sweep.experiments.tree.node import enclosing
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, Parameter

if TYPE_CHECKING:
    from metta_sweep.experiments.experiment import Experiment
    from metta_sweep.experiments.result import SweepResult

__all__ = ["ExperimentObjective", "metrics_of_fields", "metrics_of_sweep", "trial_function"]

logger: Final = logging.getLogger("metta_sweep")

_WHERE: Final = "SweepExperiment(objective=)"
_WARNED_AT_MOST: Final = 256
_warned: Final[dict[str, None]] = {}
"""Ids of runs that people were warned of."""


def trial_function(objective: Any, goal: Goal) -> Any:
    """The trial function that an experiment, or a class of them, stands for; anything else as it is.

    Raises:
        ObjectiveError: it is a sweep, which takes no parameters; or the pipeline of the experiment has faults.
    """
    from metta_sweep.experiments.experiment import Experiment

    if isinstance(objective, partial) and isinstance(objective.func, type) and issubclass(objective.func, Experiment):
        return _of_class(objective.func, goal, objective)
    if isinstance(objective, type):
        return _of_class(objective, goal) if issubclass(objective, Experiment) else objective
    return _of_instance(objective, goal) if isinstance(objective, Experiment) else objective


class ExperimentObjective:
    """Makes an experiment of what it is called with, runs it, and gives its result."""

    def __init__(
        self,
        made_of: Experiment | type[Experiment] | partial[Any],
        parameters: Iterable[inspect.Parameter],
        functions: tuple[Callable[..., Any], ...],
        goal: Goal,
        *,
        takes_inputs: bool,
    ) -> None:
        self.made_of = made_of
        """The class of which one is made for each trial, or the one that gets the parameters as inputs."""
        self.functions = functions
        """What it calls in the end: its code."""
        self._takes_inputs = takes_inputs
        self._goal = goal
        self.__signature__ = inspect.Signature(list(parameters))
        self.__qualname__ = function_name(made_of)

    async def __call__(self, **params: Any) -> Any:
        """Run one with these parameters."""
        made_of = self.made_of
        if not self._takes_inputs:
            experiment: Any = made_of(**params) if callable(made_of) else made_of
            result = await experiment.arun()
        else:
            experiment = made_of() if isinstance(made_of, type) else made_of
            result = await experiment.arun(inputs=params)
        return self._named(result) if isinstance(result, ExperimentResult) else result

    def _named(self, result: ExperimentResult) -> Any:
        """The metrics that the goal names, where the last part of the pipeline does not provide them; else the result."""
        wanted = [str(goal.metric) for goal in self._goal.objectives if goal.metric is not None]
        if not wanted or all(name in result.outputs for name in wanted) or not all(name in result.context for name in wanted):
            return result
        return {**_numbers(result.outputs), **{name: result[name] for name in wanted}}

    def __repr__(self) -> str:
        return f"the experiment {self.__qualname__}"


def _of_class(kind: type[Experiment], goal: Goal, given: partial[Any] | None = None) -> ExperimentObjective:
    from metta_sweep.experiments.sweep import SweepExperiment

    told = {} if given is None else given.keywords
    own = [parameter for parameter in own_parameters(kind) if parameter.name not in told]
    if given is None and not own and not issubclass(kind, SweepExperiment):
        try:
            inputs = _inputs_of(kind())
        except InvalidInput as error:
            raise ObjectiveError(_WHERE, f"no {kind.__name__} can be made: {error}", found=kind) from error
        return ExperimentObjective(kind, inputs, (kind,), goal, takes_inputs=True)
    # options that all experiments have are no parameters unless one is suggested: what they are annotated with says nothing here
    rest = [Parameter(name, MISSING, None, False, "") for name in common_parameters(kind) if name not in told]
    return ExperimentObjective(given or kind, map(_as_parameter, (*own, *rest)), (kind,), goal, takes_inputs=False)


def _of_instance(experiment: Experiment, goal: Goal) -> ExperimentObjective:
    from metta_sweep.experiments.sweep import SweepExperiment

    kind = type(experiment).__name__
    if isinstance(experiment, SweepExperiment):
        raise ObjectiveError(
            _WHERE,
            "a sweep takes no parameters, so that each trial would run the same one",
            found=experiment,
            expected="a class of sweeps, a function of the parameters that returns a sweep, or an experiment with inputs",
            remedy=f"Write objective=lambda lr: {kind}(...), or search its settings: MetaExperiment(base=sweep, search_space=...)",
        )
    return ExperimentObjective(experiment, _inputs_of(experiment), functions_of(experiment), goal, takes_inputs=True)


def _inputs_of(experiment: Experiment) -> list[inspect.Parameter]:
    """The inputs that its pipeline declares.

    Raises:
        BuildError: with the faults of the pipeline.
        ObjectiveError: it declares none, so that the parameters would reach nobody.
    """
    plan = experiment.build()
    if not plan.inputs:
        kind = type(experiment).__name__
        raise ObjectiveError(
            _WHERE,
            f"the pipeline of {kind} declares no inputs, so that each trial would run the same one",
            found=experiment,
            expected="an experiment whose pipeline declares the parameters as inputs, or what makes one of them",
            remedy=f"Write Pipeline(lr=float) there, objective=lambda lr: {kind}(...), or search its settings: "
            f"MetaExperiment(base={kind}(...), search_space=...)",
        )
    return [
        _as_parameter(Parameter(name, form, None if name in plan.optional else MISSING, False, ""))
        for name, form in plan.inputs.items()
    ]


def _as_parameter(parameter: Parameter) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    annotation: Any = parameter.text if parameter.annotation is UNRESOLVED else parameter.annotation
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=empty if parameter.default is MISSING else parameter.default,
        annotation=empty if annotation is MISSING else annotation,
    )


# -- what their results are worth ------------------------------------------------------------------------------------------------


def metrics_of_sweep(result: SweepResult, where: str) -> dict[str, Metric]:
    """The best score of a sweep, under the name of its metric.

    Raises:
        MetricError: no trial completed, or it has several objectives.
        Interrupted: it stopped for a bad reason; so do ``FailureRateExceeded`` and ``ExecutorExhausted``.
    """
    result.raise_for_stop()
    if result.goal.has_several:
        metrics = [str(goal.metric) for goal in result.goal.objectives]
        raise MetricError(
            f"{where}: the sweep {result.name or result.run_id!r} has several objectives ({', '.join(metrics)}), and so no best "
            "score. Return a number, such as results.hypervolume(reference)."
        )
    if result.best_score is None:
        raise MetricError(
            f"{where}: in the sweep {result.name or result.run_id!r} no trial completed, so that it has no best score; "
            f"found {len(result.trials)} trials, and it stopped by {result.stop_reason}. Give it more trials, or mend what fails."
        )
    _warn_of_other_direction(result)
    return {result.goal.metric or BARE_METRIC: result.best_score}


def _warn_of_other_direction(result: SweepResult) -> None:
    """One warning for a run that maximizes what the sweeps inside it minimize, or the other way round: that is hardly meant."""
    node = enclosing()
    goal = getattr(getattr(node, "run", None), "goal", None)
    if node is None or not isinstance(goal, Goal) or goal.sign == result.goal.sign or node.run_id in _warned:
        return
    _warned[node.run_id] = None
    while len(_warned) > _WARNED_AT_MOST:
        del _warned[next(iter(_warned))]
    direction = result.goal.direction
    logger.warning(
        "%s is to %s the best scores of sweeps which %s: is goal=%r meant for it, too?",
        node.shown,
        goal.direction,
        direction,
        direction,
    )


def metrics_of_fields(fields: Mapping[str, Any], where: str) -> dict[str, Metric]:
    """The numbers that the last part of a pipeline provides. Raises ``MetricError`` when there are none."""
    found = _numbers(fields)
    if not found:
        there = ", ".join(f"{name} ({type(value).__name__})" for name, value in fields.items()) or "nothing"
        raise MetricError(
            f"{where}: the last part of its pipeline provides no number; found {there}; expected a field that is a metric. "
            "Let it provide one, .through(score=float), or name the metric in the goal: goal={'score': 'maximize'}."
        )
    return found


def _numbers(fields: Mapping[str, Any]) -> dict[str, Metric]:
    plain = {name: plain_scalar(value) for name, value in fields.items()}
    return {name: value for name, value in plain.items() if isinstance(value, int | float) and not isinstance(value, bool)}
