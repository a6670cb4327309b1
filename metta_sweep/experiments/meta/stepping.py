"""Trial functions of schedulers that look at trials while they run: a step is a copy that has spent one budget more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from itertools import count
from typing import Any, Final

from metta_sweep.core.budget import Budget
from metta_sweep.core.numbers import check_int
from metta_sweep.errors import InvalidInput
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments.meta.child_trial import paired_seed, run_copy
from metta_sweep.experiments.meta.lineages import Lineage, forked
from metta_sweep.experiments.meta.scores import Score
from metta_sweep.experiments.meta.template import Template
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.experiments.tree.node import Node, enclosing
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["ForkingTrial", "SteppingTrial", "steps_of"]

_WHERE: Final = "MetaExperiment"


class SteppingTrial:
    """Runs one copy on and on: each step adds its budget, and reports what the copy is worth then.

    Args:
        template: makes the copies.
        score: what they are worth.
        steps: how many steps a trial has; None: until the scheduler ends it.
        paired: whether all copies have the same seed.
    """

    def __init__(self, template: Template, score: Score, steps: int | None, *, paired: bool) -> None:
        self.template = template
        self.score = score
        self.steps = steps
        self.paired = paired

    async def __call__(self, trial: TrialContext) -> AsyncGenerator[Any, None]:
        """One trial: yields at each step. After a pause the copy goes on, found again by its address."""
        copy = self.template.copy(trial.params, **self._seed())
        for step in self._steps_after(trial.resume_step):
            yield await run_copy(copy.spending(step), self.score, trial)

    def _steps_after(self, step: int) -> Iterable[int]:
        return count(step + 1) if self.steps is None else range(step + 1, self.steps + 1)

    def _seed(self) -> dict[str, Any]:
        return {"seed": paired_seed()} if self.paired else {}


class ForkingTrial(SteppingTrial):
    """A member of a population: each step is a run of its own, forked from the one before it, and so is what it takes of others.

    Runs of steps that are over stay as they are, so that any member may go on from them at any time, under other settings.
    """

    async def __call__(self, trial: TrialContext) -> AsyncGenerator[Any, None]:
        """One trial: yields at each step. After a pause it goes on from what its directory says, which may be another member's."""
        node = enclosing()
        if node is None:
            raise InvalidInput(_WHERE, "its trial function was called outside of its run", remedy="Run the experiment")
        before = Lineage.read(trial.checkpoint_dir, trial.resume_step) if trial.resume_step else None
        for step in self._steps_after(trial.resume_step):
            before, metrics = await self._step(node, trial, step, before)
            before.write(trial.checkpoint_dir)
            yield metrics

    async def _step(self, node: Node, trial: TrialContext, step: int, before: Lineage | None) -> tuple[Lineage, Any]:
        params = trial.params
        mark = "" if before is None else before.mark_of_next(trial.id, params)
        name = f"{self.template.called}-{step}{'-' if mark else ''}{mark}"
        address = forked(node, trial.place, name, before)
        copy = self.template.copy(params, name=name, **self._seed())
        added = copy.budget or Budget()
        budget = added if before is None else before.budget_of_next(added)
        metrics = await run_copy(copy._replace(budget=budget), self.score, trial)
        row = node.store.find_run(f"{node.root}/{address}")
        if row is None:
            raise InvalidInput(_WHERE, f"the run {address!r} of a step is not kept", remedy="Give the experiment a store")
        return Lineage(row.run_id, address, trial.id, step, mark, params, budget.trials, budget.seconds, budget.cost), metrics


def steps_of(given: object, scheduler: Scheduler, template: Template) -> int | None:
    """How many steps a trial has; None: the scheduler ends it.

    Raises:
        InvalidInput: it is no number, or nothing says when a trial ends, or what a step spends.
    """
    kind = type(scheduler).__name__
    steps = None if given is None else check_int(given, f"{_WHERE}(steps=)", InvalidInput, at_least=1, remedy="Write steps=10, say")
    if not isinstance(template.example, SweepExperiment):
        called = type(template.example).__name__
        raise InvalidInput(
            f"{_WHERE}(scheduler=)" if given is None else f"{_WHERE}(steps=)",
            f"a step of a trial is a copy that goes on with more trials, and {called} is no sweep ({kind} looks at steps)",
            found=template.example,
            expected="a sweep as base",
            remedy="Leave steps out, and use a scheduler that lets trials run to their end",
        )
    if not template.bounded:
        raise InvalidInput(
            f"{_WHERE}(base_budget=)",
            f"a step of a trial is a copy that has spent one budget more, and nothing says how much that is ({kind} looks at them)",
            found=None,
            expected="what each step adds",
            remedy="Write base_budget=10, say",
        )
    ends = scheduler.proposes or getattr(scheduler, "max_epochs", None) is not None
    if steps is None and not ends:
        raise InvalidInput(
            f"{_WHERE}(steps=)",
            f"{kind} does not say how many steps a trial has",
            found=None,
            expected="how many times base_budget a trial may spend",
            remedy="Write steps=10, say",
        )
    return steps
