"""Trials that an optimizer did not suggest, looked at before it learns from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import OptimizerError, SuggestionError, a_kind

__all__ = ["check_earlier", "check_learnable", "check_metrics", "fits", "ready_to_learn"]

_TAUGHT: Final = frozenset({TrialState.COMPLETED, TrialState.FAILED, TrialState.STOPPED})
_CUT: Final = ("deadline", "interrupt")


def ready_to_learn(trial: Trial) -> bool:
    """Whether there is something to learn from a trial: it completed, failed, or was stopped by a verdict.

    One that runs or is paused has not ended, and one that a deadline or an interrupt has cut says nothing of its parameters.
    """
    return trial.state in _TAUGHT and trial.reason not in _CUT


def fits(space: SearchSpace | None, params: Mapping[str, Any]) -> bool:
    """Whether the parameters are those of one point of the space. Everything fits where there is none."""
    try:
        if space is not None:
            space.check(params, "")
    except SuggestionError:
        return False
    return True


def check_earlier(trials: Iterable[Trial], space: SearchSpace | None, several: Goal | None, where: str) -> list[Trial]:
    """Those of the trials that there is something to learn from, in their order.

    Args:
        trials: of any run.
        space: what their parameters must fit; None: anything.
        several: the goal of the run that they are told to, where it has several objectives.
        where: who learns from them, for errors.

    Raises:
        OptimizerError: one is no trial, lies outside the search space, or has completed without a finite score; it names the first.
    """
    if isinstance(trials, Trial | Mapping | str | bytes) or not isinstance(trials, Iterable):
        raise OptimizerError(
            where,
            f"{a_kind(trials)} is no list of trials",
            found=trials,
            expected="a list of Trial, such as results.trials",
            remedy="Put it in a list: [trial]" if isinstance(trials, Trial) else "Give results.trials, say",
        )
    found: list[Trial] = []
    for position, trial in enumerate(trials):
        place = f"{where}[{position}]"
        if not isinstance(trial, Trial):
            raise OptimizerError(
                place,
                f"{a_kind(trial)} is no trial",
                found=trial,
                expected="a Trial",
                remedy="Give results.trials, or make one: Trial(id='0', number=0, params={...}, state=COMPLETED, score=0.5)",
            )
        if ready_to_learn(trial):
            check_learnable(trial, space, several, f"{place} (trial {trial.id!r})")
            found.append(trial)
    return found


def check_learnable(trial: Trial, space: SearchSpace | None, several: Goal | None, where: str) -> None:
    """Raise ``OptimizerError`` unless a trial lies in the search space and, where it has completed, has finite scores."""
    if space is not None:
        try:
            space.check(trial.params, where)
        except SuggestionError as fault:
            raise OptimizerError(
                where,
                fault.what,
                found=fault.found,
                expected=fault.expected,
                remedy="Leave it out, or give trials of the same search space",
            ) from None
    if trial.state is TrialState.COMPLETED:
        _check_scores(trial, several, where)


def _check_scores(trial: Trial, several: Goal | None, where: str) -> None:
    scores: Sequence[float | None] = (trial.score,)
    if several is not None:
        check_metrics(trial, several, where)
        scores = tuple(several.scores(trial.metrics).values())
    if any(score is None or not math.isfinite(score) for score in scores):
        raise OptimizerError(
            where,
            "it has completed without a finite score",
            found=trial.score,
            expected="a number",
            remedy="Leave it out, or give its score",
        )


def check_metrics(trial: Trial, goal: Goal, where: str) -> None:
    """Raise ``OptimizerError`` unless the trial has the metrics that the goal names."""
    missing = goal.missing(trial.metrics)
    if missing:
        raise OptimizerError(
            where,
            f"it has no metric {' and none '.join(map(repr, missing))}, which the goal names",
            found=dict(trial.metrics),
            expected="a value of " + " and of ".join(repr(objective.metric) for objective in goal.objectives),
            remedy="Leave it out, or give trials that have them",
        )
