"""A result for people: a table, the best trial, and why the run stopped."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

from metta_sweep.core.trial import TERMINAL_STATES, TrialState

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from metta_sweep.core.branch import BranchStats
    from metta_sweep.core.goal import Goal
    from metta_sweep.core.trial import Trial
    from metta_sweep.experiments.result import SweepResult

__all__ = ["summary_of"]

SHOWN_TRIALS = 10
SHOWN_BRANCHES = 30
WIDTH = 110


def summary_of(results: SweepResult) -> str:
    """The summary as text without colours, at most ``WIDTH`` columns wide."""
    from rich.console import Console  # slow to import, needed only here

    out = StringIO()
    console = Console(file=out, width=WIDTH, no_color=True, highlight=False, force_terminal=False)
    console.print(_head(results), markup=False)
    seen = _Seen(results)
    table, left_out = _branches(results) if results.branches else _trials(results.goal, seen)
    if table.row_count:
        console.print(table)
    if left_out:
        console.print(f"... and {left_out} more")
    for line in _tail(results, seen):
        console.print(line, markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _head(results: SweepResult) -> str:
    spend = results.spend
    cost = f", cost {spend.cost:g}" if spend.cost else ""
    ended_before = sum(results.states.get(state, 0) for state in TERMINAL_STATES) - results.added
    if not ended_before:
        news = ""
    elif results.added == 0:
        news = "; complete, nothing was left to run"
    else:
        now, before = ("ended", "before") if results.states.get(TrialState.PAUSED) else ("of them", "were kept")
        news = f"; {results.added} {now} now, {ended_before} {before}"
    return f"{results.name or results.run_id}: {spend.trials} trials in {spend.seconds:.1f} s{cost}{news}"


def _table(*titles: str) -> Table:
    """An empty table with a line under its header. Plain characters: the text may go to any terminal or file."""
    from rich.box import Box
    from rich.table import Table

    line_under_header = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    return Table(*titles, box=line_under_header, show_edge=False, pad_edge=False)


def _branches(results: SweepResult) -> tuple[Table, int]:
    table = _table("branch", "state")
    for title in ("runs", "failed", "mean reward", "best score"):
        table.add_column(title, justify="right")
    ranked = sorted(results.branches.values(), key=lambda stats: -stats.mean)
    for stats in ranked[:SHOWN_BRANCHES]:
        mean = _number(stats.mean if stats.runs else None)
        table.add_row(_plain(stats.name), _state(stats), str(stats.runs), str(stats.failed), mean, _number(stats.best_score))
    return table, max(len(ranked) - SHOWN_BRANCHES, 0)


def _state(stats: BranchStats) -> str:
    if stats.pruned:
        return "pruned"
    return "paper" if stats.triggered else "open"


class _Seen:
    """What a summary shows of the trials, found by reading each of them once at most."""

    def __init__(self, results: SweepResult) -> None:
        self.scored = 0
        self.failed = 0
        self.last_failed: Trial | None = None
        self.best: list[Trial] = []
        """The trials with the best scores, the first of equal ones first; with several objectives those of the Pareto front."""
        self.front: list[Trial] | None = results.pareto_front if results.goal.has_several else None
        if results.branches and not any(stats.failed for stats in results.branches.values()):
            return
        sign = results.goal.sign
        scored = self._scored(results.trials)
        best = heapq.nlargest(SHOWN_TRIALS, scored, key=lambda trial: sign * (trial.score or 0.0))
        self.best = best if self.front is None else best_of(results.goal, self.front)

    def _scored(self, trials: Iterable[Trial]) -> Iterator[Trial]:
        for trial in trials:
            if trial.state is TrialState.FAILED:
                self.failed += 1
                self.last_failed = trial
            if trial.score is not None:
                self.scored += 1
                yield trial


def _trials(goal: Goal, seen: _Seen) -> tuple[Table, int]:
    table = _table("trial", "state")
    for title in [str(one.metric) for one in goal.objectives] if goal.has_several else ["score"]:
        table.add_column(_plain(title), justify="right")
    table.add_column("params", overflow="fold")
    for trial in seen.best:
        numbers = goal.scores(trial.metrics).values() if goal.has_several else [trial.score]
        table.add_row(_plain(trial.id), trial.state.value, *map(_number, numbers), _plain(_params(trial.params)))
    return table, (seen.scored if seen.front is None else len(seen.front)) - len(seen.best)


def _tail(results: SweepResult, seen: _Seen) -> list[str]:
    lines = [""]
    if seen.front is not None:
        lines += _front(results, seen.front)
    elif results.best is not None:
        lines.append(f"best    {results.best_score:.6g} by trial {results.best.id}: {_params(results.best.params)}")
    else:
        lines.append("best    none: no trial completed")
    if results.triggers:
        lines.append(f"papers  {', '.join(results.triggers)}: mean reward reached the paper threshold")
    if seen.last_failed is not None:
        last = seen.last_failed
        lines.append(f"failed  {seen.failed} of {len(results.trials)} trials; the last of them, trial {last.id}: {_error(last)}")
    early = [f"{count} {state}" for state in (TrialState.STOPPED, TrialState.PAUSED) if (count := results.states.get(state))]
    if early:
        more = "; with a larger budget the best of them go on" if results.states.get(TrialState.PAUSED) else ""
        lines.append(f"early   {' and '.join(early)} of {len(results.trials)} trials, before their end{more}")
    lines.append(f"stop    {results.stop_reason}: {results.stop_detail}")
    return lines


def best_of(goal: Goal, front: list[Trial]) -> list[Trial]:
    """The first trials of a Pareto front, those with the best leading metric first."""
    return heapq.nsmallest(SHOWN_TRIALS, front, key=lambda trial: -goal.sign * goal.score(trial.metrics))


def _front(results: SweepResult, front: list[Trial]) -> list[str]:
    """How large the Pareto front is; and what is in it, where no table shows it."""
    if not front:
        return ["front   empty: no trial completed"]
    lines = [f"front   {len(front)} of {len(results.trials)} trials, which no other dominates"]
    if results.branches:
        for trial in best_of(results.goal, front):
            numbers = ", ".join(f"{name} {value:.6g}" for name, value in results.goal.scores(trial.metrics).items())
            lines.append(f"        {numbers} by trial {trial.id}: {_params(trial.params)}")
    if results.branches and len(front) > SHOWN_TRIALS:
        lines.append(f"        ... and {len(front) - SHOWN_TRIALS} more")
    return lines


def _error(trial: Trial) -> str:
    return "unknown" if trial.error is None else f"{trial.error.type}: {trial.error.message}".splitlines()[0]


def _number(value: float | None) -> str:
    """With four decimals where that suits, so that columns line up at the point."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"


def _plain(text: object) -> Text:
    """Text of users, in which brackets mean nothing."""
    from rich.text import Text

    return Text(str(text))


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value!r}" for name, value in params.items())
