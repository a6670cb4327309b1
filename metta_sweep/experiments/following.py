"""What follows from results: the scheduler's decisions as events, with the follow-ups numbered and checked."""

from __future__ import annotations

from metta_sweep.core.events import Draw, Event, Expand, PaperTrigger, Prune, Score
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Trial
from metta_sweep.errors import SchedulerError
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.schedulers.scheduler import Follow, as_follow_up

__all__ = ["follow_up"]


def follow_up(sweep: SweepRun) -> list[Event]:
    """Ask the scheduler about each result, in order; each decision sees those before it.

    Raises:
        SuggestionError: a follow-up is none, or its id is taken. Nothing of this turn is kept; the results are.
    """
    decided: list[Event] = []
    ids: set[str] = set()
    for trial, score in sweep.state.unfanned:
        for decision in sweep.scheduler.fan_out(trial, score, decided):
            if isinstance(decision, Follow):
                decided.extend(_expansion(sweep, trial, score, decision, decided, ids))
            elif type(decision) is Prune:
                decided.append(decision._replace(dropped=_waiting(sweep, decision.branch, decided)))
            elif type(decision) is PaperTrigger:
                decided.append(decision)
            else:
                raise SchedulerError(
                    f"{type(sweep.scheduler).__name__}.fan_out",
                    f"after trial {trial.id!r} it decided what no fan-out can",
                    found=decision,
                    expected="PaperTrigger, Prune and Follow",
                    remedy="End a run with finished(), and trials with judge()",
                )
    return decided


def _expansion(sweep: SweepRun, trial: Trial, score: Score, follow: Follow, decided: list[Event], ids: set[str]) -> list[Event]:
    index = sweep.state.suggested + sum(1 for event in decided if type(event) is Draw)
    draws: list[Draw] = []
    for number, value in enumerate(follow.suggestions, start=1):
        suggestion = check_suggestion(value, f"the expander's follow-up {number} of trial {trial.id!r}")
        draw = sweep.strategies.follow_up(as_follow_up(suggestion, trial, number), index + len(draws))
        sweep.taken.check(draw, ids)
        draws.append(draw)
    if not draws and not follow.refused:
        return []
    names = tuple(str(draw.id) for draw in draws)
    return [Expand(trial.id, score.branch, follow.reward, follow.threshold, names, follow.refused), *draws]


def _waiting(sweep: SweepRun, branch: str | None, decided: list[Event]) -> int:
    """Suggestions of a branch in the pool, those of this turn included."""
    fold = sweep.state.branches.get(branch)
    fresh = sum(1 for event in decided if type(event) is Draw and event.branch == branch)
    return fresh + (fold.waiting if fold is not None else 0)
