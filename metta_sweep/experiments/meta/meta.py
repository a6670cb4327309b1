"""Experiments that search the settings of another experiment: each trial runs a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Never, Unpack

from metta_sweep.core.budget import Budget
from metta_sweep.core.described import setting
from metta_sweep.core.distributions import Distribution
from metta_sweep.core.goal import Goal
from metta_sweep.core.numbers import check_flag
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.variants import Variants
from metta_sweep.errors import BudgetError, InvalidInput, ObjectiveError
from metta_sweep.experiments.blueprint import Blueprint
from metta_sweep.experiments.definition import as_kept
from metta_sweep.experiments.experiment import Experiment, refuse_positional
from metta_sweep.experiments.members import members_of
from metta_sweep.experiments.meta.child_trial import ChildTrial
from metta_sweep.experiments.meta.options import SweepOptions
from metta_sweep.experiments.meta.origin import Origin
from metta_sweep.experiments.meta.ranges import middle_of, space_of
from metta_sweep.experiments.meta.scores import BEST_SCORE, Score
from metta_sweep.experiments.meta.stepping import ForkingTrial, SteppingTrial, steps_of
from metta_sweep.experiments.meta.template import Template
from metta_sweep.experiments.settings import refuse_options
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.pipeline.keeping.code_digest import code_digest
from metta_sweep.records import digest
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["MetaExperiment"]

_OWN: Final = ("base", "score", "base_budget", "steps", "paired")


class MetaExperiment(SweepExperiment):
    """Searches the settings of another experiment: each trial runs a copy of it with the suggested ones, as a child.

    It is a sweep, and takes what a sweep takes. What is searched is named by paths::

        MetaExperiment(
            base=SweepExperiment(objective=train, search_space=SPACE, scheduler=IterationScheduler()),
            search_space={"scheduler.c": Uniform(0.0, 4.0), "optimizer": Variants(random=RandomOptimizer(), tpe=OptunaOptimizer())},
            base_budget=50,
        ).run(budget=20)

    A path is a setting of the experiment (``slots``, ``tasks``), a setting within one of these (``scheduler.c``,
    ``optimizer.sampler``, ``failures.retries``, ``resources.gpus``, ``scheduler.picker.c``, ``optimizer.optimizers.tpe.sampler``,
    ``base.scheduler.c`` of a meta-experiment), a cap of its budget (``budget.trials``), or a stage of its pipeline
    (``pipeline.train``: ``Variants`` of functions or pipelines of one contract, or None to leave it out). All paths, and the ends
    of all ranges, are tried when the meta-experiment is made. What is copied is made anew by its constructor; the base itself is
    never run or changed.

    A child that ended for a bad reason, or without a score, fails its trial.

    With a scheduler that looks at trials while they run (``ASHAScheduler``, ``PBTScheduler``), or with ``steps=``, a trial has
    steps: at each its copy may spend one ``base_budget`` more, and its score is reported. In a population (``PBTScheduler()``) each
    step is a child of its own, which begins with the journal of the step before it; a member that takes the place of a better one
    goes on from that one's journal, with changed settings: its optimizer then knows all trials in there as those of an earlier run.

    Args:
        base: an experiment, which is copied; or a class or function that is called with the parameters without a dot in their
            path, by name, and returns one.
        search_space: distributions by path; or a list of paths, with the ranges that their strategies declare; None: all that the
            optimizer and the scheduler of the base declare.
        optimizer: what to try, as in any sweep; a scheduler that proposes, such as ``PBTScheduler()``, may stand here.
        scheduler: when and how long, as in any sweep.
        score: what a copy is worth: the name of an attribute of its result, ``"best_score"``, ``"spend.seconds"``, or of a field of
            its pipeline; or a function of the result that returns a metric or a mapping of metrics.
        objective: the trial function, where ``base`` is a sweep without one.
        base_budget: what each copy may spend: trials, or a ``Budget``. None: as much as it would by itself.
        steps: how many steps a trial has; None: one, or as many as the scheduler says.
        paired: whether all copies have the same seed, so that they differ by their settings only. By default each has its own,
            unless the base has one, which all of them have.
        goal: that of the score, as in any sweep. By default, for the best score, the direction of the base's own; otherwise
            ``"maximize"``.
        options: what every sweep takes: ``name``, ``slots``, ``seed``, ``store``, ``failures``, ...

    Raises:
        InvalidInput: a subclass of it for each thing that cannot be; nothing has run or been written then.
    """

    base: Any = None
    score: Any = BEST_SCORE
    base_budget: Any = None
    """A ``Budget``, once the experiment is made; None without one."""
    steps: int | None = None
    paired: bool = False
    goal: Any = None
    _settings: ClassVar[tuple[str, ...]] = (*SweepExperiment._settings, *_OWN)  # noqa: SLF001  # of its base

    def __init__(
        self,
        *positional: Never,
        base: Experiment | type[Experiment] | Callable[..., Experiment] | None = None,
        search_space: Mapping[str, Distribution] | SearchSpace | Iterable[str] | None = None,
        optimizer: Optimizer | Scheduler | None = None,
        scheduler: Scheduler | None = None,
        score: str | Callable[[Any], Any] | None = None,
        objective: Callable[..., Any] | None = None,
        base_budget: int | Budget | None = None,
        steps: int | None = None,
        paired: bool | None = None,
        goal: str | Mapping[str, str] | Goal | None = None,
        **options: Unpack[SweepOptions],
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "base=SweepExperiment(...)")
        known = tuple(dict.fromkeys((*_OWN, *SweepExperiment._settings)))  # noqa: SLF001
        refuse_options(kind, [name for name in options if name not in known], known)
        own = self._own
        self.base = own("base", base)
        self._origin = Origin(self.base, own("objective", objective))
        given = own("search_space", search_space)
        if given is None:
            given = getattr(own("optimizer", optimizer), "search_space", None)
        example, space = self._looked_at(given)
        budget = own("base_budget", base_budget)
        self.base_budget = None if budget is None else Budget.of(budget)
        if self.base_budget is not None and self.base_budget.trials == 0:
            what = "copies that run nothing have no score"
            raise BudgetError(f"{kind}(base_budget=)", what, found=budget, expected="at least one trial", remedy="Write 10, say")
        self.paired = check_flag(own("paired", paired), f"{kind}(paired=)", InvalidInput, remedy="Leave it out")
        self._template = Template(self._origin, space, self.base_budget, example)
        self.score = own("score", score)
        scored = Score(self.score, example)
        self._template.check_stages(scored.check)
        goal = own("goal", goal)
        others: dict[str, Any] = {**options}
        self.steps = own("steps", steps)
        super().__init__(
            search_space=space,
            optimizer=optimizer,
            scheduler=scheduler,
            objective=self._trial_function(scored, members_of(own("optimizer", optimizer), own("scheduler", scheduler), space)[1]),
            goal=scored.default_goal(example) if goal is None else goal,
            **others,
        )

    def _trial_function(self, score: Score, scheduler: Scheduler) -> ChildTrial | SteppingTrial | None:
        template, example = self._template, self._template.example
        if isinstance(example, SweepExperiment) and example.objective is None and self._origin.objective is None:
            return None
        if self.steps is None and not (scheduler.needs_reports or scheduler.needs_pauses or scheduler.proposes):
            return ChildTrial(template, score, paired=self.paired)
        steps = steps_of(self.steps, scheduler, template)
        return (ForkingTrial if scheduler.proposes else SteppingTrial)(template, score, steps, paired=self.paired)

    def _looked_at(self, given: Any) -> tuple[Experiment, SearchSpace]:
        """An experiment like those that will run, and what is searched of it."""
        origin = self._origin
        named = isinstance(given, Mapping | SearchSpace)
        if origin.is_template or not named:
            example = origin.made({})
            return example, space_of(given, example)
        space = SearchSpace.of(given)
        example = origin.made({name: value for name, value in middle_of(space).items() if origin.takes(name)})
        return example, space

    def _blueprint(self) -> Blueprint:
        plan = super()._blueprint()
        own = {
            "base": self._origin.describe(self._template.example),
            "score": setting(self.score),
            "base_budget": None if self.base_budget is None else self.base_budget.describe(),
            "steps": self.steps,
            "paired": self.paired,
        }
        example = self._template.example
        runs = self._origin.objective or (example.objective if isinstance(example, SweepExperiment) else None)
        return plan._replace(
            definition={**plan.definition, "objective": None, **as_kept(own)}, code=_code([runs, self.score, *self._variants()])
        )

    def _variants(self) -> list[Any]:
        """The objects that the search chooses between."""
        space = self.search_space
        levels = [] if space is None else [distribution for _, distribution in space.top]
        return [thing for distribution in levels if isinstance(distribution, Variants) for thing in distribution.objects.values()]

    def _checked(self, *arguments: Any, **keywords: Any) -> Budget | None:
        if self.objective is None:
            kind = type(self._template.example).__name__
            raise ObjectiveError(
                f"{type(self).__name__}(base=)",
                f"{kind}, the base, has no objective, so that there is nothing to run",
                remedy=f"Give it one, base={kind}(objective=train, ...), or here: MetaExperiment(objective=train, ...)",
            )
        return super()._checked(*arguments, **keywords)


def _code(things: Sequence[Any]) -> str | None:
    """One digest of the code of all functions among these; None where there are none."""
    found = [code_digest(thing) for thing in things if callable(thing) and not isinstance(thing, Optimizer | Scheduler)]
    return digest("\n".join(found).encode()) if found else None
