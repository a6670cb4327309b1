"""What is shown of a run while it goes on: a table that is drawn anew on a terminal, one line per finished trial elsewhere.

All of it goes to the standard error. Logs go through the same console, above the table. What is told is committed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from metta_sweep.cli.progress import Pace, Progress, best_branches, progress_of
from metta_sweep.cli.text import duration, number, params_text, plain
from metta_sweep.core.goal import Goal
from metta_sweep.core.pareto import Front
from metta_sweep.core.trial import Trial
from metta_sweep.experiments.sweep_run import SweepRun

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["Lines", "LiveTable", "shown", "trial_line"]

PAUSE: Final = 0.25
"""Seconds between two looks at the run, at least."""
SHARE: Final = 20
"""A look may take one part in so many of the time: drawing never slows the run."""
SHOWN_BRANCHES: Final = 12


class Lines:
    """One line for each trial that has ended."""

    def __init__(self, console: Console, run: SweepRun) -> None:
        self._console = console
        self._run = run
        self._waiting: list[str] = []
        self._ended = sum(run.state.ended.values())

    def watch(self, trial: Trial) -> None:
        """A trial has ended. It is told at the next look, after it has been committed."""
        self._ended += 1
        state = self._run.state
        several = None if state.front is None else (state.goal, state.front)
        self._waiting.append(trial_line(trial, self._ended, self._run.budget.trials, state.best, several))

    def look(self) -> None:
        """Tell what has gathered."""
        if self._waiting:
            self._run.recorder.flush()
            lines, self._waiting = self._waiting, []
            self._console.file.write("".join(f"{line}\n" for line in lines))
            self._console.file.flush()

    def close(self) -> None:
        """Tell the rest."""
        self.look()


class LiveTable:
    """A table of the run, drawn in place."""

    def __init__(self, console: Console, run: SweepRun) -> None:
        from rich.live import Live

        self._run = run
        self._pace = Pace()
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty())
        self._live.start()

    def look(self) -> None:
        """Draw it as the run is now."""
        self._run.recorder.flush()
        progress = progress_of(self._run)
        self._pace.see(progress)
        self._live.update(self._drawn(progress), refresh=True)

    def close(self) -> None:
        """Take it away: the summary follows."""
        self._live.stop()

    def _drawn(self, progress: Progress) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        lines: list[RenderableType] = [Text(line) for line in _head(self._run, progress, self._pace)]
        branches, more = best_branches(self._run, SHOWN_BRANCHES)
        if branches:
            from rich.table import Table

            table = Table("branch", "state", box=None, pad_edge=False)
            for title in ("runs", "running", "mean reward", "best score"):
                table.add_column(title, justify="right")
            for stats in branches:
                state = "pruned" if stats.pruned else "paper" if stats.triggered else "open"
                mean = number(stats.mean) if stats.runs else "-"
                name = Text(plain(str(stats.name)))
                table.add_row(name, state, str(stats.runs), str(stats.pending), mean, number(stats.best_score))
            lines.append(table)
            if more:
                lines.append(Text(f"... and {more} more"))
        return Group(*lines)


@asynccontextmanager
async def shown(run: SweepRun, console: Console) -> AsyncIterator[None]:
    """While the block runs, the run is shown. A terminal that has gone is no reason to end it."""
    view: LiveTable | Lines
    if console.is_terminal:
        view = LiveTable(console, run)
    else:
        view = Lines(console, run)
        run.watchers.append(view.watch)
    looking = asyncio.create_task(_look(view))
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait({looking})
        with suppress(OSError):
            view.close()
        if not looking.cancelled():
            looking.result()


async def _look(view: LiveTable | Lines) -> None:
    while True:
        began = time.perf_counter()
        try:
            view.look()
        except OSError:
            return
        await asyncio.sleep(max(PAUSE, SHARE * (time.perf_counter() - began)))


def trial_line(trial: Trial, ended: int, limit: int | None, best: Trial | None, several: tuple[Goal, Front] | None = None) -> str:
    """What is told of a trial that has ended; with several objectives, its metrics, and how many trials none dominates."""
    of = f"{ended}/{limit}" if limit is not None else str(ended)
    told = [f"[{of}]", f"trial {trial.id}", trial.state.value]
    if trial.branch is not None:
        told.append(trial.branch)
    if trial.score is not None:
        scores = {"score": trial.score} if several is None else several[0].scores(trial.metrics)
        told.extend(f"{name} {number(value)}" for name, value in scores.items())
    if trial.error is not None:
        told.append(f"{trial.error.type}: {trial.error.message}".splitlines()[0])
    if best is not None:
        told.append("the best so far" if best.id == trial.id else f"best {number(best.score)}")
    if several is not None:
        told.append(f"in the front of {len(several[1])}" if trial.number in several[1] else f"front of {len(several[1])}")
    if trial.seconds is not None:
        told.append(duration(trial.seconds))
    told.append(params_text(trial.params))
    return plain("  ".join(told))


def _head(run: SweepRun, progress: Progress, pace: Pace) -> list[str]:
    of = "" if progress.limit is None else f" of {progress.limit}"
    states = ", ".join(f"{count} {state}" for state, count in progress.states.items())
    first = [f"{run.name or run.run_id}: {progress.picked}{of} trials", states, duration(progress.seconds)]
    if pace.rate is not None:
        first.append(f"{pace.rate:.3g} trials/s")
    left = pace.left(progress, run.budget.seconds)
    if left is not None:
        first.append(f"about {duration(left)} left")
    lines = ["  ".join(part for part in first if part)]
    if progress.front is not None:
        lines.append(f"front of {progress.front}: trials that no other dominates")
    if progress.best is not None:
        best = progress.best
        lines.append(f"best {number(best.score)} by trial {plain(best.id)}: {params_text(best.params)}")
    return lines
