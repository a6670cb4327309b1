"""A curriculum: one task after the other, each a sweep, the next one when the task is mastered."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, Never

from metta_sweep.core.budget import Budget
from metta_sweep.core.numbers import check_flag, check_int
from metta_sweep.core.trial import Trial
from metta_sweep.core.values import plain_scalar
from metta_sweep.errors import BudgetError, GoalError, InvalidInput, a_kind, did_you_mean, refuse_unknown
from metta_sweep.experiments.experiment import Experiment, refuse_positional
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.experiments.tasks import (
    TakenTaskResults,
    TaskResults,
    TaskRound,
    checked_mastery,
    named_tasks,
    sweep_name,
    task_name,
)
from metta_sweep.experiments.with_settings import with_settings
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.pipeline import Pipeline, fields
from metta_sweep.pipeline.proof.signature import accepted_keywords
from metta_sweep.records import Store

__all__ = ["CurriculumExperiment"]

_OPTIONS: Final = (
    "name",
    "tasks",
    "sweep",
    "mastered",
    "budget_per_task",
    "max_rounds",
    "on_failure",
    "transfer",
    "slots",
    "seed",
    "store",
)


class CurriculumExperiment(Experiment):
    """Optimizes one task after the other. Each is a sweep; the next one comes when the task is mastered, or given up.

    Its pipeline is ``init``, then the loop ``select_task > optimize_task > check_mastery > advance`` while ``task_idx <
    len(tasks)``. A task that is not mastered gets another round: a further sweep with as much budget again, which begins with what
    the rounds before it have found. A subclass may override ``setup_curriculum``, ``get_next_task``, ``create_sweep_for_task``,
    ``create_optimizer_for_task``, ``run_task_sweep``, ``evaluate_progress``, ``advance`` and ``pipeline()``.

    The result has ``history`` (a ``TaskRound`` for each sweep), ``mastered_tasks`` (their names), and ``best_score`` and
    ``best_params`` of the last task that was tried.

    Args:
        name: what the run is kept under.
        tasks: what is learned, in this order: JSON values (an item ``"name"`` of a dict names it), objects with a ``name``, or a
            mapping of names to objects. Objects flow through the pipeline by their names.
        sweep: makes the sweep of a task: ``sweep(task)`` returns a ``SweepExperiment`` that has not been run. One that also takes
            ``task_round`` or ``earlier`` gets the number of the round, and the trials that it may begin with.
        mastered: the score at which a task is mastered (at most that, where scores are minimized), or a function of the
            ``TaskResults`` and the task. None: a task is mastered when a trial of its sweep has completed.
        budget_per_task: of each round: a number of trials, or a ``Budget``; None: what a sweep has by default.
        max_rounds: how many rounds a task gets.
        on_failure: after the last round without mastery: ``"advance"`` to the next task, or ``"stop"`` the curriculum.
        transfer: whether the sweep of a task begins with the trials of the tasks before it, too. All have one search space then.
        slots: how many trials of the sweeps run at once, at most; each has its own slots as well.
        seed: the seed of everything random; drawn once per run, and kept, when left out.
        store: where it is kept.

    Raises:
        InvalidInput: a subclass of it for each thing that cannot be.
    """

    tasks: Any = None
    sweep: Callable[..., SweepExperiment] | None = None
    mastered: Any = None
    budget_per_task: int | Budget | None = None
    max_rounds: int = 3
    on_failure: Literal["advance", "stop"] = "advance"
    transfer: bool = False
    _settings: ClassVar[tuple[str, ...]] = _OPTIONS

    def __init__(
        self,
        *positional: Never,
        name: str | None = None,
        tasks: Sequence[Any] | Mapping[str, Any] | None = None,
        sweep: Callable[..., SweepExperiment] | None = None,
        mastered: float | Callable[[TaskResults, Any], bool] | None = None,
        budget_per_task: int | Budget | None = None,
        max_rounds: int | None = None,
        on_failure: Literal["advance", "stop"] | None = None,
        transfer: bool | None = None,
        slots: int | None = None,
        seed: int | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "tasks=[...], sweep=make_sweep")
        refuse_unknown(kind, unknown, _OPTIONS)
        self._set_identity(name, store, seed)
        own = self._own
        self._set_slots(slots)
        self.tasks = own("tasks", tasks)
        self._labels, self._objects = self._named_tasks()
        if sweep is not None:
            self.sweep = sweep
        _check_maker(self.sweep, kind)
        self.mastered = checked_mastery(own("mastered", mastered), f"{kind}(mastered=)")
        budget = own("budget_per_task", budget_per_task)
        self.budget_per_task = None if budget is None else Budget.of(budget)
        remedy = "Write max_rounds=3"
        self.max_rounds = check_int(own("max_rounds", max_rounds), f"{kind}(max_rounds=)", BudgetError, at_least=1, remedy=remedy)
        self.on_failure = _checked_word(own("on_failure", on_failure), f"{kind}(on_failure=)")
        remedy = "Write transfer=True, and later tasks begin with what earlier ones have found"
        self.transfer = check_flag(own("transfer", transfer), f"{kind}(transfer=)", InvalidInput, remedy=remedy)
        self._made = True

    # -- what a subclass may override --------------------------------------------------------------------------------------------

    def pipeline(self) -> Pipeline:
        """The loop over the tasks."""
        drawn = type(self).setup_curriculum is not CurriculumExperiment.setup_curriculum
        settings = {"budget_per_task": Any, "mastered": Any, "max_rounds": int, "on_failure": str, "transfer": bool}
        carry = {"task_idx": 0, "task_round": 1, "gave_up": False, "history": [], "earlier": []}
        return (
            Pipeline()
            .stage("settings", self.settings_now)
            .through(fields(**settings), checkpoint=False)  # those of now count: what is done differently is done again
            .stage("init", self.setup_curriculum)
            .through(tasks=list[Any], checkpoint=drawn)
            .loop_while(lambda ctx: ctx.task_idx < len(ctx.tasks) and not ctx.gave_up, carry=carry, name="tasks")
            .stage("select_task", self.get_next_task)
            .through(current_task=Any)
            .stage("optimize_task", self.run_task_sweep)
            .through(task_results=TakenTaskResults)
            .stage("check_mastery", self.evaluate_progress)
            .through(should_advance=bool)
            .stage("advance", self.advance)
            .through(task_idx=int, task_round=int, gave_up=bool, history=list[TaskRound], earlier=list[Trial])
            .end_loop()
            .stage("conclude", self.conclude)
            .through(mastered_tasks=list[str], best_score=float | None, best_params=dict[str, Any] | None)
        )

    def settings_now(self) -> dict[str, Any]:
        """What the stages read of the settings."""
        names = ("budget_per_task", "mastered", "max_rounds", "on_failure", "transfer")
        return {name: getattr(self, name) for name in names}

    def setup_curriculum(self) -> list[Any]:
        """The tasks, in their order: JSON values, or names.

        The sweep of each is made once here, so that one that cannot be made is told before any of them runs.
        """
        if self.sweep is not None:
            for label in self._labels:
                self.create_sweep_for_task(self.task_of(label), 1, [])
        return list(self._labels)

    def get_next_task(self, tasks: list[Any], task_idx: int) -> Any:
        """The task of this round."""
        return tasks[task_idx]

    def create_optimizer_for_task(self, task: Any) -> Optimizer | None:
        """The optimizer of a task's sweep; None: the one that its sweep has."""
        return None

    def create_sweep_for_task(self, task: Any, task_round: int, earlier: list[Trial]) -> SweepExperiment:
        """The sweep of one round of a task. It learns ``earlier`` before it begins.

        Raises:
            InvalidInput: there is no ``sweep=``, or it makes something else.
        """
        kind = type(self).__name__
        if self.sweep is None:
            remedy = "Give sweep=make_sweep, or override create_sweep_for_task or run_task_sweep"
            raise InvalidInput(f"{kind}(sweep=)", "nothing says how a task is optimized", found=None, remedy=remedy)
        offered = {"task_round": task_round, "earlier": earlier}
        takes = accepted_keywords(self.sweep)
        asked = {name: value for name, value in offered.items() if takes is not None and name in takes}
        made: object = self.sweep(task, **asked)
        if not isinstance(made, SweepExperiment):
            raise InvalidInput(
                f"{kind}(sweep=)",
                f"for task {task_name(task)!r} it made {a_kind(made)}",
                found=made,
                expected="a SweepExperiment that has not been run",
                remedy="Return SweepExperiment(...) without .run(), or override run_task_sweep",
            )
        if made.goal.has_several and self.mastered is not None and not callable(self.mastered):
            raise GoalError(
                f"{kind}(mastered=)",
                f"the sweep of task {task_name(task)!r} has several objectives, and so no best score",
                found=self.mastered,
                expected="a function of the results and the task",
                remedy="Write mastered=lambda results, task: ..., which looks at results.trials",
            )
        settings: dict[str, Any] = {} if made.name else {"name": sweep_name(task, task_round)}
        optimizer = self.create_optimizer_for_task(task)
        if optimizer is not None:
            settings["optimizer"] = optimizer
        if earlier and "earlier" not in asked:
            settings["warm_start"] = earlier
        return with_settings(made, **settings)

    async def run_task_sweep(self, current_task: Any, task_round: int, earlier: list[Trial], budget_per_task: Any) -> TaskResults:
        """Optimize the task: run its sweep. An override may return a ``SweepResult`` as well."""
        sweep = self.create_sweep_for_task(self.task_of(current_task), task_round, earlier)
        return TaskResults.of(await sweep.run(budget=budget_per_task))

    def evaluate_progress(self, current_task: Any, task_results: TaskResults, mastered: Any) -> bool:
        """Whether the task is mastered."""
        if mastered is None:
            return any(trial.score is not None for trial in task_results.trials)
        if callable(mastered):
            answer: Any = plain_scalar(mastered(task_results, self.task_of(current_task)))
            return check_flag(answer, f"{type(self).__name__}(mastered=)(results, task)", InvalidInput, remedy="Return a bool")
        score = task_results.best_score
        if score is None:
            return False
        threshold = float(mastered)
        return score <= threshold if task_results.direction == "minimize" else score >= threshold

    def advance(
        self,
        current_task: Any,
        task_results: TaskResults,
        should_advance: bool,
        task_idx: int,
        task_round: int,
        history: list[TaskRound],
        earlier: list[Trial],
        max_rounds: int,
        on_failure: str,
        transfer: bool,
    ) -> dict[str, Any]:
        """What follows: the next task, another round of this one, or the end."""
        done = TaskRound.of(task_name(current_task), task_round, task_results, mastered=should_advance)
        out_of_rounds = not should_advance and task_round >= max_rounds
        leaves = should_advance or out_of_rounds
        return {
            "task_idx": task_idx + leaves,
            "task_round": 1 if leaves else task_round + 1,
            "gave_up": out_of_rounds and on_failure == "stop",
            "history": [*history, done],
            "earlier": [*earlier, *task_results.trials] if transfer or not leaves else [],
        }

    def conclude(self, history: list[TaskRound]) -> dict[str, Any]:
        """Which tasks were mastered, and what the last one that was tried came to."""
        last = history[-1] if history else None
        return {
            "mastered_tasks": [done.task for done in history if done.mastered],
            "best_score": last and last.best_score,
            "best_params": last and last.best_params,
        }

    def _named_tasks(self) -> tuple[list[Any], dict[str, Any]]:
        if self.tasks is None and type(self).setup_curriculum is not CurriculumExperiment.setup_curriculum:
            return [], {}
        return named_tasks(self.tasks, f"{type(self).__name__}(tasks=)")

    def task_of(self, current_task: Any) -> Any:
        """The task that a value of ``current_task`` stands for: the object of that name, or the value itself."""
        return self._objects.get(current_task, current_task) if isinstance(current_task, str) else current_task


def _check_maker(sweep: object, kind: str) -> None:
    if sweep is None or (callable(sweep) and not isinstance(sweep, Experiment)):
        return
    raise InvalidInput(
        f"{kind}(sweep=)",
        "all tasks would share one sweep" if isinstance(sweep, Experiment) else f"{a_kind(sweep)} cannot be called",
        found=sweep,
        expected="a function of a task that returns its SweepExperiment",
        remedy="Write sweep=lambda task: SweepExperiment(...)",
    )


def _checked_word(value: Any, where: str) -> Literal["advance", "stop"]:
    if value == "advance":
        return "advance"
    if value == "stop":
        return "stop"
    guess = did_you_mean(value, ("advance", "stop")) if isinstance(value, str) else None
    remedy = f"Did you mean {guess!r}?" if guess else "Write 'advance'"
    what = "there is no such answer to a task that is not mastered"
    raise InvalidInput(where, what, found=value, expected="'advance' or 'stop'", remedy=remedy)
