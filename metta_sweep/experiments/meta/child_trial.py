"""The trial function of a meta-experiment: run one copy, and score it."""

from __future__ import annotations

from typing import Any

from metta_sweep.core.seeds import derive_seed
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments.meta.scores import Score
from metta_sweep.experiments.meta.template import Copy, Template
from metta_sweep.experiments.tree.node import enclosing

__all__ = ["ChildTrial", "run_copy"]


class ChildTrial:
    """Runs the copy of one suggestion, as a child, and returns what it is worth.

    Args:
        template: makes the copies.
        score: what they are worth.
        paired: whether all copies have the same seed.
    """

    def __init__(self, template: Template, score: Score, *, paired: bool) -> None:
        self.template = template
        self.score = score
        self.paired = paired

    async def __call__(self, trial: TrialContext) -> Any:
        """One trial."""
        seed = {"seed": paired_seed()} if self.paired else {}
        return await run_copy(self.template.copy(trial.params, **seed), self.score, trial)


async def run_copy(copy: Copy, score: Score, trial: TrialContext) -> Any:
    """Run a copy to its end, and score it. One that ended badly is an error.

    Raises:
        RunStopped: the copy was interrupted, too much of it failed, or its executor could not go on.
        MetricError: it has no score.
        Exception: what ended it, or what a function of the user raises.
    """
    result = await copy.run()
    trial.metadata["run"] = getattr(result, "name", None) or getattr(result, "run_id", None)
    check = getattr(result, "raise_for_stop", None)
    if check is not None:
        check()
    return await score.of(result, trial.address)


def paired_seed() -> int:
    """The seed that all copies of one meta-experiment have: of the run that they are in."""
    node = enclosing()
    return derive_seed(0 if node is None else node.seed, "paired")
