"""What a sweep is given as ``warm_start``: results and trials of earlier runs, checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from metta_sweep.core.goal import Goal
from metta_sweep.core.metrics import BARE_METRIC, as_metrics
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import GoalError, OptimizerError, a_kind
from metta_sweep.experiments.reading import TrialsView
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.warm_start import WarmSource, WarmStart
from metta_sweep.optimizers.earlier import check_earlier, check_learnable, check_metrics, ready_to_learn

__all__ = ["warm_start_of"]

_WHERE: Final = "SweepExperiment(warm_start=)"


class _Group(NamedTuple):
    """Trials that come from one run, or from nobody knows where."""

    run: str | None
    run_id: str | None
    goal: Goal | None
    trials: Iterable[Trial]

    @property
    def where(self) -> str:
        """What it is called in errors."""
        return _WHERE if self.run is None else f"{_WHERE}, run {self.run!r}, trials"


def warm_start_of(given: Any, goal: Goal, space: SearchSpace | None) -> WarmStart | None:
    """What a sweep was given as ``warm_start``: results, trials, or a list of these. None when there is nothing to learn.

    Raises:
        OptimizerError: something else was given, or a trial does not fit the search space, or lacks the score or a metric.
        GoalError: a result has another goal.
        MetricError: the metrics of a trial are none.
    """
    if given is None:
        return None
    if isinstance(given, WarmStart):
        # that of a sweep of which this is a copy, maybe with another search space
        check_earlier(given.trials(), space, goal if goal.has_several else None, _WHERE)
        return given
    known: list[Trial] = []
    sources: list[tuple[WarmSource, str | None]] = []
    for group in _merged(_groups(given)):
        trials = _learnable(group, goal, space)
        if trials:
            known += trials
            sources.append((WarmSource(group.run, len(trials)), group.run_id))
    return WarmStart.of(known, sources) if known else None


def _groups(given: Any) -> Iterator[_Group]:
    if isinstance(given, SweepResult):
        yield _Group(given.name or given.run_id, given.run_id, given.goal, given.trials)
    elif isinstance(given, TrialsView):
        yield _Group(given.run_id, given.run_id, None, given)
    elif isinstance(given, Trial):
        yield _Group(None, None, None, (given,))
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        for item in given:
            yield from _groups(item)
    else:
        raise OptimizerError(
            _WHERE,
            f"{a_kind(given)} holds no trials",
            found=given,
            expected="a SweepResult, a list of Trial, or a list of these",
            remedy="Give the result of an earlier sweep: warm_start=results",
        )


def _merged(groups: Iterable[_Group]) -> list[_Group]:
    """Single trials one after another are one group."""
    found: list[_Group] = []
    for group in groups:
        if group.run is None and found and found[-1].run is None:
            found[-1] = found[-1]._replace(trials=[*found[-1].trials, *group.trials])
        else:
            found.append(group)
    return found


def _learnable(group: _Group, goal: Goal, space: SearchSpace | None) -> list[Trial]:
    """Those of its trials that teach something, made plain, with the score of this goal."""
    if group.goal is not None:
        _check_goal(group, group.goal, goal)
    found: list[Trial] = []
    for position, trial in enumerate(group.trials):
        if ready_to_learn(trial):
            where = f"{group.where}[{position}] (trial {trial.id!r})"
            plain = _plain(trial, goal, where)
            check_learnable(plain, space, goal if goal.has_several else None, where)
            found.append(plain)
    return found


def _plain(trial: Trial, goal: Goal, where: str) -> Trial:
    params = check_suggestion(trial.params, where).params
    metrics = as_metrics(trial.metrics, where) if trial.metrics else {}
    plain = replace(trial, params=params, metrics=metrics, metadata={}, reports=trial.reports[-1:])
    if trial.error is not None:
        plain = replace(plain, error=trial.error._replace(traceback=""))
    if trial.state is not TrialState.COMPLETED:
        return plain
    told = bool(metrics) and (goal.has_several or (goal.metric is not None and list(metrics) != [BARE_METRIC]))
    if not told:
        return plain
    check_metrics(plain, goal, where)
    return replace(plain, score=goal.score(metrics))


def _check_goal(group: _Group, theirs: Goal, ours: Goal) -> None:
    """Refuse a result of another goal: a metric that both have in another direction, or none that leads here."""
    by_name = {goal.metric: goal for goal in theirs.objectives}
    both_named = ours.metric is not None and theirs.metric is not None
    pairs = [(by_name[goal.metric], goal) for goal in ours.objectives if goal.metric in by_name] if both_named else [(theirs, ours)]
    differs = next((f"it is to {one.direction}" for one, other in pairs if one.direction != other.direction), None)
    if both_named and ours.metric not in by_name:
        differs = f"its metric is {theirs.metric!r}"
    if differs is not None:
        raise GoalError(
            f"{_WHERE}, run {group.run!r}",
            f"the run had another goal: {differs}",
            found=theirs.describe(),
            expected=f"results of the goal {ours.describe()!r}",
            remedy="Give results of the same goal; or list(results.trials), where the trials have the metric of this goal",
        )
