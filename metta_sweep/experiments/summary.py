"""A result for people: a table, the best trial, and why the run stopped."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from metta_sweep.core.branch import BranchStats
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
    console.print(_branches(results) if results.branches else _trials(results))
    for line in _tail(results):
        console.print(line, markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _head(results: SweepResult) -> str:
    spend = results.spend
    cost = f", cost {spend.cost:g}" if spend.cost else ""
    return f"{results.name or results.run_id}: {spend.trials} trials in {spend.seconds:.1f} s{cost}"


def _branches(results: SweepResult) -> Table:
    from rich.table import Table

    table = Table("branch", "state", box=None, pad_edge=False)
    for title in ("runs", "failed", "mean reward", "best score"):
        table.add_column(title, justify="right")
    ranked = sorted(results.branches.values(), key=lambda stats: -stats.mean)
    for stats in ranked[:SHOWN_BRANCHES]:
        mean = f"{stats.mean:.4g}" if stats.runs else "-"
        table.add_row(str(stats.name), _state(stats), str(stats.runs), str(stats.failed), mean, _number(stats.best_score))
    if len(ranked) > SHOWN_BRANCHES:
        table.add_row(f"... and {len(ranked) - SHOWN_BRANCHES} more", "", "", "", "", "")
    return table


def _state(stats: BranchStats) -> str:
    if stats.pruned:
        return "pruned"
    return "paper" if stats.triggered else "open"


def _trials(results: SweepResult) -> Table:
    from rich.table import Table

    table = Table("trial", "state", box=None, pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("params", overflow="fold")
    sign = results.goal.sign
    scored = sorted((trial for trial in results.trials if trial.score is not None), key=lambda trial: -sign * (trial.score or 0.0))
    for trial in scored[:SHOWN_TRIALS]:
        table.add_row(trial.id, trial.state.value, _number(trial.score), _params(trial.params))
    if len(scored) > SHOWN_TRIALS:
        table.add_row(f"... and {len(scored) - SHOWN_TRIALS} more", "", "", "")
    return table


def _tail(results: SweepResult) -> list[str]:
    lines = [""]
    if results.best is not None:
        lines.append(f"best   {_number(results.best_score)} by trial {results.best.id}: {_params(results.best.params)}")
    else:
        lines.append("best   none: no trial completed")
    if results.triggers:
        lines.append(f"papers {', '.join(results.triggers)}")
    lines.append(f"stop   {results.stop_reason}: {results.stop_detail}")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value!r}" for name, value in params.items())
