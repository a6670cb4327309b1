"""Is one experiment better than another? The question in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Never

from metta_sweep.core.budget import Budget
from metta_sweep.core.goal import Goal
from metta_sweep.experiments.comparison.experiment import ComparisonExperiment
from metta_sweep.experiments.comparison.result import Comparison
from metta_sweep.experiments.comparison.scoring import Score
from metta_sweep.experiments.comparison.sides import BEST_SCORE
from metta_sweep.records import Store

__all__ = ["compare"]


def compare(
    experiments: Mapping[str, Any],
    repeats: int = 30,
    budget: int | Budget | None = None,
    *,
    problems: Mapping[str, Any] | None = None,
    score: Score = BEST_SCORE,
    goal: str | Goal | None = None,
    seed: int | None = None,
    name: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    slots: int | None = None,
    fresh: bool = False,
    **unknown: Never,
) -> Comparison:
    """Run experiments against each other: ``compare({"random": ..., "bayesian": ...}, repeats=30, budget=40).summary()``.

    Blocks in a script; inside an event loop (a notebook, a stage, a trial) write ``await compare(...)``. One that has a name goes
    on where it was when it is called again, with more repeats, too.

    Args:
        experiments: the sides by name: experiments, of which each run gets a copy, or classes and functions that make one, called
            with ``problem=`` where they take it.
        repeats: pairs of runs on each problem. At least 6 pairs are needed for a difference of two sides to be significant.
        budget: of each run: a number of trials, or a ``Budget``; None: what each experiment runs by itself.
        problems: by name, objectives or ``(objective, search_space)``, which are put into the experiments; a function with a
            parameter ``seed`` makes the problem of a pair, the same for all sides. None: the experiments have objectives.
        score: what is compared: an attribute of results, or a function of a result.
        goal: ``"maximize"`` or ``"minimize"``; by default what the experiments do.
        seed: of all that is random in it; drawn when left out.
        name: what the comparison is kept under.
        store: where it is kept, as for any experiment.
        slots: how many trials of all runs run at once; by default as many as one run of the widest side takes.
        fresh: start over; a kept comparison of the name stays as ``name@1``.

    Raises:
        InvalidInput: an experiment cannot be run on a problem, or anything else cannot be; nothing has run then.
        FailureRateExceeded: the first three runs of a side all raised an error.
    """
    experiment = ComparisonExperiment(
        experiments=experiments,
        repeats=repeats,
        budget=budget,
        problems=problems,
        score=score,
        goal=goal,
        seed=seed,
        name=name,
        store=store,
        slots=slots,
        **unknown,
    )
    return experiment.run(fresh=fresh)
