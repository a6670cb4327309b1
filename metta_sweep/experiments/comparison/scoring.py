"""From the result of one run to what a comparison keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final, TypeAlias

from metta_sweep.core.budget import Spend
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import InvalidInput, NoScore, a_kind
from metta_sweep.executors.failure import error_name
from metta_sweep.experiments.comparison.result import ComparedRun
from metta_sweep.experiments.experiment_result import ExperimentResult
from metta_sweep.experiments.result import SweepResult

__all__ = ["NO_SCORE", "Score", "as_run", "check_score", "kept_of", "score_of"]

Score: TypeAlias = str | Callable[[Any], Any]
"""What experiments are compared by: an attribute of their results, or a function of them."""
NO_SCORE: Final = error_name(NoScore)
"""The error of a run without a score: the side is sound, and the run counts as worse than any."""


def check_score(score: object) -> Score:
    """The score, if it is one. Raises ``InvalidInput``."""
    if isinstance(score, str) and score and all(part.isidentifier() for part in score.split(".")):
        return score
    if callable(score):
        made: Callable[[Any], Any] = score
        return made
    raise InvalidInput(
        "compare(score=)",
        f"{a_kind(score)} is no score" if not isinstance(score, str) else "it is no name of an attribute",
        found=score,
        expected="an attribute of results, such as 'best_score', or a function of a result",
        remedy="Write score=lambda result: result.best_score, say",
    )


def score_of(result: Any, score: Score) -> Any:
    """The score of a result.

    Raises:
        NoScore: it has none, since no trial completed.
        InvalidInput: the result has no such attribute.
    """
    if callable(score):
        value = score(result)
    else:
        try:
            value = reduce(getattr, score.split("."), result)
        except AttributeError as missing:
            names = list(result.outputs) if isinstance(result, ExperimentResult) else []
            raise InvalidInput(
                "compare(score=)",
                f"{a_kind(result)} has no {score!r}",
                found=score,
                expected="an attribute of the result" + (f", such as its outputs {', '.join(map(repr, names))}" if names else ""),
                remedy=f"Write score={names[-1]!r}, say, or a function of the result"
                if names
                else "Write a function of the result",
            ) from missing
    if value is None:
        raise NoScore(_why_none(result))
    return value


def _why_none(result: Any) -> str:
    if not isinstance(result, SweepResult):
        return "its score is None"
    failed = result.states.get(TrialState.FAILED, 0)
    if not len(result.trials):
        return f"no trial was run: {result.stop_detail}"
    last = next((trial.error for trial in reversed(result.trials) if trial.error is not None), None)
    said = "" if last is None else f"; the last one that failed: {last.type}: {last.message}".splitlines()[0]
    return f"no trial completed, {failed} of {len(result.trials)} failed{said}"


def kept_of(result: Any) -> dict[str, Any]:
    """What is kept of a result beside its score, as JSON: where it is kept, why it ended, and how its best score went on."""
    kept: dict[str, Any] = {}
    reason = getattr(result, "stop_reason", None)
    if reason is not None:
        kept["stop_reason"] = str(reason)
    run = getattr(result, "name", None) or getattr(result, "run_id", None)
    if run is not None:
        kept["run"] = str(run)
    spend = getattr(result, "spend", None)
    if isinstance(spend, Spend):
        kept["spend"] = list(spend)
    if isinstance(result, SweepResult | ExperimentResult):
        kept["leaf_trials"] = _leaves(result)
    if isinstance(result, SweepResult) and not result.goal.has_several:
        kept["curve"] = _curve(result)
    return kept


def _leaves(result: SweepResult | ExperimentResult) -> int:
    """The trials in it, and in all that ran inside it, that have no experiment inside them: the work that was done."""
    children = result.children
    inside = {address: _leaves(child) for address, child in children.items()}
    own = 0
    if isinstance(result, SweepResult):
        places = {address.partition(">")[0] for address in inside}
        own = sum(f"trial[{trial.id}]" not in places for trial in result.trials) if places else len(result.trials)
    return own + sum(inside.values())


def _curve(result: SweepResult) -> list[tuple[int, float]]:
    """The trials, counted from 1 in the order of picks, that were better than all before them."""
    best: float | None = None
    curve: list[tuple[int, float]] = []
    for trial in result.trials:
        if trial.score is not None and (best is None or result.goal.better(trial.score, best)):
            best = trial.score
            curve.append((trial.number + 1, best))
    return curve


def as_run(trial: Trial) -> ComparedRun:
    """A run from its trial."""
    params, kept = trial.params, trial.metadata
    spend = Spend(*kept.get("spend", (0, trial.seconds or 0.0, 0.0)))
    error = trial.error
    said = None if error is None else error.message if error.type == NO_SCORE else f"{error.type}: {error.message}"
    return ComparedRun(
        problem=params["problem"],
        repeat=params["repeat"],
        side=params["side"],
        score=trial.score,
        trials=int(spend.trials),
        leaf_trials=int(kept.get("leaf_trials", spend.trials)),
        seconds=spend.seconds,
        cost=spend.cost,
        seed=params["seed"],
        run=kept.get("run"),
        stop_reason=kept.get("stop_reason"),
        error=said,
        curve=tuple((int(number), float(best)) for number, best in kept.get("curve", ())),
    )
