"""A sweep: many trials of one function, as a pipeline of four stages in a loop."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, ClassVar, Final, Never

from metta_sweep.core.budget import Budget
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.goal import Goal
from metta_sweep.core.resources import Resources
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.errors import InvalidInput, ObjectiveError, refuse_unknown
from metta_sweep.executors import LocalExecutor
from metta_sweep.executors.executor import Executor
from metta_sweep.experiments.as_objective import trial_function
from metta_sweep.experiments.blueprint import Blueprint
from metta_sweep.experiments.definition import SWEEP, as_kept
from metta_sweep.experiments.devices import slots_with_gpus
from metta_sweep.experiments.event_loops import at_home
from metta_sweep.experiments.experiment import Experiment, refuse_positional
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.members import members_of
from metta_sweep.experiments.opening import open_run
from metta_sweep.experiments.outputs import FannedOut, Happened, Picked, Scored
from metta_sweep.experiments.pending import run_either_way
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.settings import (
    check_failures,
    check_hooks,
    check_more,
    check_queue,
    check_resources,
    check_searchable,
    check_tags,
    describe_objective,
    grace_of,
    refuse_options,
    slots_of,
)
from metta_sweep.experiments.signals import how_to_go_on
from metta_sweep.experiments.stages import dispatch, fan_out, pick, score
from metta_sweep.experiments.strategies import branches_of
from metta_sweep.experiments.stream import SweepUpdate, Updates, drive, follow
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.experiments.warm_given import warm_start_of
from metta_sweep.experiments.warm_start import WarmStart
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.supports import check_supported
from metta_sweep.pipeline import Pipeline, Plan
from metta_sweep.pipeline.keeping.code_digest import code_digest
from metta_sweep.records import Store
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["SweepExperiment"]

_OPTIONS: Final = (
    "name",
    "objective",
    "search_space",
    "optimizer",
    "scheduler",
    "goal",
    "metric",
    "slots",
    "executor",
    "failures",
    "hooks",
    "seed",
    "store",
    "resources",
    "grace",
    "tags",
    "warm_start",
)


class SweepExperiment(Experiment):
    """Evaluates suggestions of an optimizer in the order of a scheduler.

    Its pipeline is the loop ``pick > dispatch > score > fan_out``. A subclass may define ``objective`` as a method, and override
    ``pipeline()`` and ``report_results(state)``. Any of the options may be an attribute of the class; those that the constructor
    is given win. None can be changed afterwards.

    Args:
        name: what the run is called. A named one goes on where it was when it is run again.
        objective: the trial function: sync, async or a generator; called with what its signature asks for (parameters by name, a
            ``TrialContext``, a pydantic model, ``params``); returns a metric, ``(mean, sem)`` or a mapping of metrics. Or an
            experiment: a class gets the parameters, an experiment with a pipeline gets them as inputs, a function may return one;
            a sweep counts as its best score. Without an objective the sweep is a template.
        search_space: a mapping of names to distributions, or a pydantic model whose fields carry them.
        optimizer: what to try; random search by default.
        scheduler: when and how long; by default slots are filled as they free.
        goal: ``"maximize"`` (default), ``"minimize"``, or ``{"accuracy": "maximize"}`` where trials return several metrics; with
            several of them, ``{"accuracy": "maximize", "latency": "minimize"}``, the first one leads: scores, rewards and branches
            are its, and ``results.pareto_front`` is what there is in place of a best trial.
        metric: the metric that decides, where the goal does not name it.
        slots: how many trials run at once; by default what the scheduler wishes (3), capped by the executor.
        executor: where trials run; by default in this process.
        failures: attempts, back-off, and the failure rate that ends the run.
        hooks: hooks of the four stages: ``{"score": hooks(after=...)}``.
        seed: the seed of everything random; drawn once per run, and kept, when left out.
        store: where it is kept: a path, ``"sqlite:///dir/file.db"``, ``"memory"`` (a new one each time) or a ``Store``; by default
            what the environment variable METTA_SWEEP_STORE says, else ``./metta_sweep.db``.
        resources: what each trial may use, unless the scheduler says otherwise: ``Resources(time_limit=60)`` bounds its seconds.
        grace: seconds that running trials get at the deadline; by default 10 % of the budget's seconds, at most 10.
        tags: words to find the run by.
        warm_start: trials of earlier runs of the same search space and goal, which the optimizer learns before its first
            suggestion: a result, a list of trials, or a list of these. Kept at the first start of a run, and no part of its budget.

    Raises:
        InvalidInput: a subclass of it for each thing that cannot be; nothing has run or been written then.
    """

    objective: Callable[..., Any] | None = None
    search_space: Any = None
    """A ``SearchSpace``, once the sweep is made; None without one. A class may say anything that the constructor takes."""
    goal: Any = "maximize"
    """A ``Goal``, once the sweep is made."""
    slots: int
    """How many trials run at once, once the sweep is made."""
    hooks: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    tags: tuple[str, ...] = ()
    warm_start: Any = None
    """A ``WarmStart``, once the sweep is made; None without one."""
    _settings: ClassVar[tuple[str, ...]] = _OPTIONS
    _plan: ClassVar[Plan | None] = None
    """The research loop without hooks, built: plans may be run side by side."""

    def __init__(
        self,
        *positional: Never,
        name: str | None = None,
        objective: Callable[..., Any] | Experiment | None = None,
        search_space: Mapping[str, Any] | type | SearchSpace | None = None,
        optimizer: Optimizer | Scheduler | None = None,
        scheduler: Scheduler | None = None,
        goal: str | Mapping[str, str] | Goal | None = None,
        metric: str | None = None,
        slots: int | None = None,
        executor: Executor | None = None,
        failures: FailurePolicy | None = None,
        hooks: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        resources: Resources | None = None,
        grace: float | None = None,
        tags: Sequence[str] | None = None,
        warm_start: SweepResult | WarmStart | Iterable[Any] | None = None,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "objective=train, search_space={...}")
        refuse_options(kind, unknown, _OPTIONS)
        self._set_identity(name, store, seed)
        own = self._own
        self.goal = Goal.of(own("goal", goal), own("metric", metric))
        said = self.objective if objective is None else objective
        meant = trial_function(said, self.goal)
        if objective is not None or meant is not said:
            self.objective = meant
        given = own("search_space", search_space)
        space = None if given is None else SearchSpace.of(given)
        self.optimizer, self.scheduler, self.search_space = members_of(
            own("optimizer", optimizer), own("scheduler", scheduler), space
        )
        self.executor = own("executor", executor)
        slots = own("slots", slots)
        self.slots = slots_of(slots, self.scheduler, self.executor)
        self._slots_given = slots is not None or (self.executor is not None and self.executor.slots is not None)
        self.failures = check_failures(own("failures", failures))
        self.hooks = check_hooks(own("hooks", hooks))
        self.grace = grace_of(own("grace", grace))
        self.resources = check_resources(own("resources", resources))
        self.slots = slots_with_gpus(self.slots, self.resources, self.scheduler, self.executor)
        self.tags = check_tags(own("tags", tags))
        self.warm_start = warm_start_of(own("warm_start", warm_start), self.goal, self.search_space)
        self._made = True
        check_queue(self.optimizer, self.search_space)
        if self.objective is not None:
            check_searchable(self.optimizer, self.search_space)
            check_supported(self.optimizer, self.search_space, self.goal)
            self._executor().check(self.objective, self.search_space)
            # refuses what does not fit the search space before anything is written
            self.scheduler.for_run(Setup(self.search_space, self.goal, self.seed or 0, self.slots, branches_of(self.optimizer)))

    def pipeline(self) -> Pipeline:
        """The research loop. Its stages read the open run, and return events."""
        return (
            Pipeline(sweep=SweepRun)
            .loop_while(lambda ctx: ctx.stop_reason is None, carry={"stop_reason": None}, name="sweep")
            .stage("pick", pick)
            .through(Picked, **self.hooks["pick"])
            .stage("dispatch", dispatch)
            .through(Happened, **self.hooks["dispatch"])
            .stage("score", score)
            .through(Scored, **self.hooks["score"])
            .stage("fan_out", fan_out)
            .through(FannedOut, **self.hooks["fan_out"])
            .end_loop()
        )

    def build(self) -> Plan:
        """The pipeline, checked. Sweeps of a class that says nothing else, without hooks, share one."""
        if type(self).pipeline is not SweepExperiment.pipeline or any(self.hooks.values()):
            return super().build()
        if SweepExperiment._plan is None:
            SweepExperiment._plan = super().build()
        return SweepExperiment._plan

    def report_results(self, state: SweepState) -> Any:
        """What ``update.report`` of a stream holds; override it to tell more. ``state`` must not be changed."""
        return None

    # -- running ---------------------------------------------------------------------------------------------------------------

    def run(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # a sweep takes a budget, no inputs
        self, budget: int | Budget | None = None, *, more: int | None = None, fresh: bool = False, **unknown: Never
    ) -> SweepResult:
        """Run until the budget is spent, or for another of the stop reasons, and return the result.

        In a script it blocks. Ctrl-C (or SIGTERM) then ends it in order, for the reason ``interrupted``; a second one cancels, a
        third exits at once, and the last line printed is the command that goes on. Inside an event loop: ``await
        experiment.run(...)``. Budgets are totals: run again with a larger one, the run goes on; with the same one, it returns at
        once.

        Args:
            budget: a number of trials, or ``Budget(trials=, seconds=, cost=)``. By default that of the run so far; else as much as
                a finite optimizer has; else 100 trials.
            more: so many more trials than there are.
            fresh: start over; a kept run of the name stays as ``name@1``.

        Raises:
            InvalidInput: the budget is none, or the sweep has no objective.
            DefinitionChanged: another definition is kept under the name.
            RunInUse: the run is being run already.
        """
        given = self._checked(budget, more, unknown)
        return run_either_way(
            lambda: self._run(given, more, fresh=fresh),
            f"{type(self).__name__}.run(...)",
            graceful=True,
            resume=how_to_go_on(more=more, fresh=fresh),
        )

    async def arun(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # the same
        self, budget: int | Budget | None = None, *, more: int | None = None, fresh: bool = False, **unknown: Never
    ) -> SweepResult:
        """The coroutine behind ``run``, for ``asyncio.run`` and task groups."""
        return await self._run(self._checked(budget, more, unknown), more, fresh=fresh)

    def plan_resume(self, inputs: object = None, **options: Any) -> Never:
        """A sweep has no such plan: it goes on from its journal, trial by trial, and reuses no recorded output of a stage.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(
            f"{type(self).__name__}.plan_resume()",
            "a sweep is resumed from its journal: trials that ended stay, those that were running start again",
            remedy="Call run() to go on, or look with the command line where it stands: metta-sweep show NAME",
        )

    def stream(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # it tells of trials
        self, budget: int | Budget | None = None, *, more: int | None = None, fresh: bool = False, **unknown: Never
    ) -> Updates:
        """Run, and tell on the way: ``for update in experiment.stream(budget=60)``, or ``async for`` inside an event loop."""
        given = self._checked(budget, more, unknown)

        def start() -> AsyncGenerator[SweepUpdate, None]:
            plan = self.build()
            return follow(open_run(self._blueprint(), self._store, given, more, fresh=fresh), plan, self.report_results)

        return Updates(start, f"{type(self).__name__}.stream(...)", how_to_go_on(more=more, fresh=fresh))

    def open(
        self, budget: int | Budget | None = None, *, more: int | None = None, fresh: bool = False, **unknown: Never
    ) -> AbstractAsyncContextManager[SweepRun]:
        """Open the run for a chain of stages composed by hand: ``plan.run(sweep=run, recorder=run.recorder)``."""
        given = self._checked(budget, more, unknown)
        return open_run(self._blueprint(), self._store, given, more, fresh=fresh)

    async def _run(self, budget: Budget | None, more: int | None, *, fresh: bool) -> SweepResult:
        return await at_home(lambda: self._driven(budget, more, fresh=fresh))

    async def _driven(self, budget: Budget | None, more: int | None, *, fresh: bool) -> SweepResult:
        plan = self.build()
        with self._not_within_itself():
            async with open_run(self._blueprint(), self._store, budget, more, fresh=fresh) as run:
                return await drive(run, plan)

    # -- settings --------------------------------------------------------------------------------------------------------------

    def _checked(self, budget: int | Budget | None, more: int | None, unknown: Mapping[str, Any]) -> Budget | None:
        refuse_unknown(f"{type(self).__name__}.run", unknown, ("budget", "more", "fresh"))
        check_more(more, budget)
        if self.objective is None:
            raise ObjectiveError(
                type(self).__name__,
                "the sweep has no objective, so there is nothing to run",
                remedy="Give objective=train, or define the method objective in a subclass",
            )
        return None if budget is None else Budget.of(budget)

    def _executor(self) -> Executor:
        return self.executor if self.executor is not None else LocalExecutor(slots=self.slots)

    def _blueprint(self) -> Blueprint:
        return Blueprint(
            owner=self,
            name=self.name,
            label=self.name or type(self).__name__,
            objective=self.objective,
            search_space=self.search_space,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            executor=self._executor(),
            goal=self.goal,
            failures=self.failures,
            seed=self.seed,
            slots=self.slots,
            slots_given=self._slots_given,
            own_store=self._given_store,
            grace=self.grace,
            resources=self.resources,
            tags=self.tags,
            warm_start=self.warm_start,
            definition=as_kept(
                {
                    "kind": SWEEP,
                    "class": type(self).__qualname__,
                    "objective": describe_objective(self.objective),
                    "search_space": None if self.search_space is None else self.search_space.describe(),
                    "optimizer": self.optimizer.describe(),
                    "scheduler": self.scheduler.describe(),
                    "goal": self.goal.describe(),
                    "seed": self.seed,
                }
            ),
            code=None if self.objective is None else code_digest(self.objective),
        )
