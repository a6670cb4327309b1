"""A comparison is an experiment: a sweep each of whose trials is one run of one side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from logging import getLogger
from typing import Any, ClassVar, Final, Never

from metta_sweep.core.budget import Budget
from metta_sweep.core.described import function_name
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.goal import Goal
from metta_sweep.core.numbers import check_int
from metta_sweep.core.paired import pairs_needed
from metta_sweep.core.trial import TrialState
from metta_sweep.errors import BudgetError, FailureRateExceeded, refuse_unknown
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments.comparison.as_stage import as_comparison
from metta_sweep.experiments.comparison.pairs import ALPHA
from metta_sweep.experiments.comparison.problems import OWN, problems_of
from metta_sweep.experiments.comparison.result import ComparedRun, Comparison
from metta_sweep.experiments.comparison.runs import InPairs, RunsAtOnce
from metta_sweep.experiments.comparison.scoring import NO_SCORE, Score, as_run, check_score, kept_of, score_of
from metta_sweep.experiments.comparison.sides import BEST_SCORE, goal_of, sides_of
from metta_sweep.experiments.experiment import Experiment, refuse_positional
from metta_sweep.experiments.pending import run_either_way
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.settings import slots_of
from metta_sweep.experiments.signals import how_to_go_on
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.pipeline.parts.guest import Guest
from metta_sweep.records import Store
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["ComparisonExperiment"]

_OWN_OPTIONS: Final = ("experiments", "repeats", "budget", "problems", "score", "goal", "name", "store", "seed", "slots", "tags")
_ENDED: Final = (TrialState.COMPLETED, TrialState.FAILED)
_log: Final = getLogger("metta_sweep")


class ComparisonExperiment(SweepExperiment):
    """Runs experiments against each other, in pairs: for each problem and repeat one run of each side.

    All sides of a pair get the same problem. What is random in them is independent: each run has a seed of its own, which depends
    on the seed of the comparison, the problem, the repeat and the side alone. Each run is a trial of the comparison, and the
    experiment in it a child, so that a named comparison goes on where it was, and a larger number of repeats adds to those that
    there are. A run without a score, since none of its trials completed or it raised an error, counts as worse than any score.

    Args:
        experiments: the sides by name: experiments, of which each run gets a copy, or classes and functions that make one, called
            with ``problem=`` where they take it.
        repeats: how many runs each side gets on each problem; at least 6 for a difference to be significant.
        budget: of each run: a number of trials, or a ``Budget``; None: what each experiment runs by itself.
        problems: by name, objectives or ``(objective, search_space)``, which are put into the experiments; a function with a
            parameter ``seed`` makes the problem of a pair, the same for all sides. None: experiments have objectives.
        score: what is compared: an attribute of results, or a function of a result. None counts as no score.
        goal: ``"maximize"`` or ``"minimize"``; by default what the experiments do.
        name: what the comparison is kept under.
        store: where it is kept.
        seed: of all that is random in it; drawn once, and kept, when left out.
        slots: how many trials of all runs run at once; by default as many as one run of the widest side takes. Where they suffice
            for several runs of it, several run at once.
        tags: words to find it by.

    Raises:
        InvalidInput: an experiment cannot be run on a problem, or anything else cannot be; nothing has run then. To find out,
            each factory is called once, with the seed 0.
    """

    _settings: ClassVar[tuple[str, ...]] = (*_OWN_OPTIONS, "optimizer", "scheduler", "search_space", "executor", "failures")
    experiments: Mapping[str, Any] | None = None
    repeats: int = 30
    budget: int | Budget | None = None
    problems: Mapping[str, Any] | None = None
    score: Score = BEST_SCORE

    def __init__(
        self,
        *positional: Never,
        experiments: Mapping[str, Any] | None = None,
        repeats: int | None = None,
        budget: int | Budget | None = None,
        problems: Mapping[str, Any] | None = None,
        score: Score | None = None,
        goal: str | Goal | None = None,
        name: str | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        seed: int | None = None,
        slots: int | None = None,
        tags: Sequence[str] | None = None,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "experiments={...}, repeats=30, budget=100")
        refuse_unknown(kind, unknown, _OWN_OPTIONS)
        own = self._own
        self._sides = sides_of(own("experiments", experiments))
        self.repeats = check_int(own("repeats", repeats), "compare(repeats=)", BudgetError, at_least=1, remedy="Write repeats=30")
        given = own("budget", budget)
        self.budget = None if given is None else Budget.of(given)
        if self.budget is not None and self.budget.trials == 0:
            raise BudgetError(
                "compare(budget=)",
                "runs of no trials have no score",
                found=given,
                expected="1 trial or more",
                remedy="Write budget=40, say",
            )
        self.score = check_score(own("score", score))
        searched = {name for side in self._sides.values() for name in side.searched}
        self._problems = problems_of(own("problems", problems), searched)
        samples = self._samples()
        direction = goal_of({name: sides[0] for name, sides in samples.items()}, self.score, goal)
        self._names = list(self._problems or [OWN])
        widest = max(_slots_of(one) for made in samples.values() for one in made)
        wished = own("slots", slots)
        total = widest if wished is None else slots_of(wished, Scheduler(), None, "compare(slots=)")
        shared = any(getattr(one, "executor", None) is not None for made in samples.values() for one in made)
        super().__init__(
            name=name,
            optimizer=InPairs(self._names, list(self._sides), self._described(samples)),
            scheduler=RunsAtOnce(1 if shared else max(1, total // widest)),
            goal=direction,
            slots=total,
            failures=FailurePolicy(tolerated_rate=1.0),
            seed=seed,
            store=store,
            tags=tags,
        )

    async def objective(self, trial: TrialContext) -> dict[str, Any]:
        """One run of one side."""
        params = trial.params
        side = self._sides[params["side"]]
        instance = None if self._problems is None else self._problems[params["problem"]].instance(params["problem_seed"])
        experiment = side.experiment(instance, params["seed"])
        result = await (experiment.run() if self.budget is None else experiment.run(budget=self.budget))
        trial.metadata.update(kept_of(result))
        return {"score": score_of(result, self.score)}

    def run(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # it gives a comparison
        self, budget: int | Budget | None = None, *, fresh: bool = False, **unknown: Never
    ) -> Comparison:
        """Run all pairs, and compare. Inside an event loop: ``await experiment.run()``.

        Args:
            budget: caps on the comparison as a whole: its trials are runs. By default all of them are run.
            fresh: start over; a kept comparison of the name stays as ``name@1``.

        Raises:
            DefinitionChanged: another comparison is kept under the name.
            RunInUse: it is being run already.
            FailureRateExceeded: the first runs of a side all raised an error.
        """
        given = self._checked(budget, None, unknown)
        return run_either_way(
            lambda: self._compared(given, fresh=fresh),
            f"{type(self).__name__}.run()",
            graceful=True,
            resume=how_to_go_on(more=None, fresh=fresh),
        )

    async def arun(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # the same
        self, budget: int | Budget | None = None, *, fresh: bool = False, **unknown: Never
    ) -> Comparison:
        """The coroutine behind ``run``, for ``asyncio.run`` and task groups."""
        return await self._compared(self._checked(budget, None, unknown), fresh=fresh)

    def __as_stage__(self, stage: str, constants: Mapping[str, Any], /) -> Guest:
        """What a pipeline needs to know to take it as a stage: its output is the comparison."""
        return as_comparison(super().__as_stage__(stage, constants), stage)

    @classmethod
    def __class_as_stage__(cls, stage: str, constants: Mapping[str, Any], /) -> Guest:
        """The same of one that is made when the stage runs."""
        return as_comparison(super().__class_as_stage__(stage, constants), stage)

    async def _compared(self, budget: Budget, *, fresh: bool) -> Comparison:
        self._warn_of_too_few()
        return self.comparison_of(await self._run(budget, None, fresh=fresh))

    def comparison_of(self, results: SweepResult) -> Comparison:
        """What the runs say. Raises ``FailureRateExceeded`` where they say nothing of a side, since all of its runs are broken."""
        ended = [trial for trial in results.trials if trial.state in _ENDED]
        for side in self._sides:
            errors = [trial.error for trial in ended if trial.branch == side]
            if errors and all(error is not None and error.type != NO_SCORE for error in errors):
                last = errors[-1]
                raise FailureRateExceeded(
                    f"compare(): all {len(errors)} runs of {side!r} raised an error, so that it cannot be compared; the last: "
                    f"{last and last.type}: {last and last.message.rstrip('.')}. Mend it, and start over with fresh=True."
                )
        runs = [run for run in map(as_run, ended) if run.repeat < self.repeats]
        return Comparison(
            name=results.name,
            run_id=results.run_id,
            score=_named(self.score),
            direction=self.goal.direction,
            sides=tuple(self._sides),
            problems=tuple(self._names),
            repeats=self.repeats,
            seed=results.seed,
            runs=tuple(sorted(runs, key=self._place)),
            spend=results.spend,
            stop_reason=results.stop_reason,
            stop_detail=results.stop_detail,
        ).of_sweep(results)

    def _place(self, run: ComparedRun) -> tuple[int, int, int]:
        return run.repeat, self._names.index(run.problem), list(self._sides).index(run.side)

    def _checked(self, budget: int | Budget | None, more: int | None, unknown: Mapping[str, Any]) -> Budget:
        """The caps on the comparison: all its runs, or fewer."""
        if more is not None:
            raise BudgetError(
                f"{type(self).__name__}.run(more=)",
                "a comparison is as large as its repeats say",
                found=more,
                expected="no number of further runs",
                remedy=f"Make it with more repeats under the same name: repeats={self.repeats + 10}, say",
            )
        given = super()._checked(budget, more, unknown) or Budget()
        runs = self.repeats * len(self._names) * len(self._sides)
        return Budget(runs if given.trials is None else min(runs, given.trials), given.seconds, given.cost)

    def _samples(self) -> dict[str, list[Experiment]]:
        """One experiment of each side for each problem, made to find out what does not fit."""
        samples: dict[str, list[Experiment]] = {}
        instances = [None] if self._problems is None else [problem.instance(0) for problem in self._problems.values()]
        for name, side in self._sides.items():
            samples[name] = [side.experiment(instance, 0) for instance in instances]
            for made in samples[name]:
                side.check_seeds(made)
        return samples

    def _described(self, samples: Mapping[str, Sequence[Experiment]]) -> dict[str, Any]:
        """What makes the comparison what it is, but for its seed and the number of repeats."""
        problems = None if self._problems is None else {name: one.describe() for name, one in self._problems.items()}
        return {
            "class": InPairs.__qualname__,
            "experiments": {name: self._sides[name].describe(made[0]) for name, made in samples.items()},
            "problems": problems,
            "score": _named(self.score),
            "budget": None if self.budget is None else Budget.of(self.budget).describe(),
        }

    def _warn_of_too_few(self) -> None:
        sides, problems = len(self._sides), len(self._names)
        needed = math.ceil(pairs_needed(ALPHA, sides * (sides - 1) // 2) / problems)
        if self.repeats < needed:
            _log.warning(
                "compare(repeats=%d): no difference can be significant with so few; %d repeats are the least for %d sides on %d %s",
                self.repeats,
                needed,
                sides,
                problems,
                "problem" if problems == 1 else "problems",
            )


def _named(score: Score) -> str:
    return score if isinstance(score, str) else str(function_name(score))


def _slots_of(experiment: Experiment) -> int:
    slots = getattr(experiment, "slots", None)
    return slots if isinstance(slots, int) else 1
