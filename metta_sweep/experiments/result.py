"""What a sweep gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from metta_sweep.core.branch import BranchStats
from metta_sweep.core.budget import Spend, StopReason
from metta_sweep.core.events import Reported
from metta_sweep.core.goal import Goal
from metta_sweep.core.trial import Metric, Report, Trial, TrialState
from metta_sweep.errors import ExecutorExhausted, FailureRateExceeded, GoalError, Interrupted, MettaSweepError, StoreError
from metta_sweep.experiments.children import Children
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.goal_fit import reference_of
from metta_sweep.experiments.reading import TraceView, TrialsView
from metta_sweep.experiments.warm_start import WarmSource, warm_sources
from metta_sweep.records import Store

if TYPE_CHECKING:
    from metta_sweep.optimizers.optimizer import Optimizer
    from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["SweepResult"]

T = TypeVar("T")

_BAD = {
    StopReason.INTERRUPTED: Interrupted,
    StopReason.FAILURE_RATE: FailureRateExceeded,
    StopReason.EXECUTOR_EXHAUSTED: ExecutorExhausted,
}


class SweepResult:
    """The result of a run: the best trial, all trials, statistics, and why it stopped.

    Awaiting it gives itself, so that ``await experiment.run()`` and ``experiment.run()`` have one type.
    """

    def __init__(
        self,
        *,
        name: str | None,
        address: str = "",
        run_id: str,
        goal: Goal,
        state: SweepState,
        store: Store,
        spend: Spend,
        added: int,
        seed: int,
        optimizer: Optimizer | None,
        scheduler: Scheduler | None,
        alternatives: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.address = address
        """Its address in the tree of experiments, when it ran inside another one: ``trial[3]>inner``; else empty."""
        self.run_id = run_id
        self.store = store
        """Where the run is kept."""
        self.goal = goal
        self.seed = seed
        """The seed of the run: given, or drawn once."""
        self._optimizer, self._scheduler = optimizer, scheduler
        self._best: Trial | None = state.best
        self._front: list[int] | None = None if state.front is None else state.front.numbers
        unended = {live.number: live.trial() for live in state.live.values()}
        self.trials = TrialsView(store, run_id, state.picked, unended)
        """The picked trials, in that order."""
        self.states: dict[TrialState, int] = dict(Counter(state.ended) + Counter(live.state for live in state.live.values()))
        """How many trials are in each state; states without any are left out."""
        found = {name: stats for name, stats in state.branch_stats().items() if name is not None}
        self.branches: dict[str, BranchStats] = {name: BranchStats(name) for name in alternatives} | found
        """Statistics by branch: the alternatives of ``branch_by``, tried or not, else those that appeared, in that order. Empty for
        a sweep without branches."""
        self.triggers: list[str] = list(state.triggers)
        """Names of the branches whose mean reward reached ``paper_threshold``, in that order."""
        self.spend = spend
        """Trials, active seconds and cost of the run, over all the times it was taken up."""
        self.added = added
        """How many of the trials ended in this call of ``run``; 0 when there was nothing left to do."""
        stop = state.stop
        self.stop_reason: StopReason | None = None if stop is None else StopReason(stop.reason)
        """Why the run ended; None for a run that is still open."""
        self.stop_detail: str = "" if stop is None else stop.detail
        """The same in words, with the numbers."""
        self.trace = TraceView(store, run_id, store.end_of(run_id))
        """Everything that happened, in order."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the run, with what it has learned; the one given to the sweep is never touched.

        Raises:
            StoreError: the result was read back from its store, which does not hold that.
        """
        return self._learned("optimizer", self._optimizer)

    @property
    def scheduler(self) -> Scheduler:
        """The same of the scheduler."""
        return self._learned("scheduler", self._scheduler)

    def _learned(self, what: str, member: T | None) -> T:
        if member is not None:
            return member
        raise StoreError(
            f"results.{what}",
            f"these are results read back from the store, and what the {what} has learned is not kept there",
            found=self,
            remedy="Run the sweep again with the same budget: it returns at once, with that. Or learn from results.trials",
        )

    @property
    def children(self) -> Children:
        """The results of the experiments that ran directly inside it, by address; read from the store when looked at."""
        return Children(self.store, self.name or self.run_id, self.address)

    @property
    def warm_start(self) -> tuple[WarmSource, ...]:
        """Where the trials came from that its optimizer had learned before its first suggestion: the run, and how many trials."""
        return warm_sources(self.store, self.run_id)

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best score, the first of equal ones; None when none completed.

        Raises:
            GoalError: the goal has several objectives.
        """
        return self._single("best")

    @property
    def best_params(self) -> dict[str, Any] | None:
        """The parameters of the best trial. Raises ``GoalError`` when the goal has several objectives."""
        best = self._single("best_params")
        return None if best is None else dict(best.params)

    @property
    def best_score(self) -> float | None:
        """The score of the best trial, in the user's units. Raises ``GoalError`` when the goal has several objectives."""
        best = self._single("best_score")
        return None if best is None else best.score

    @property
    def pareto_front(self) -> list[Trial]:
        """The completed trials that no other dominates, in the order of picks; with one objective those with the best score.

        One trial dominates another that it equals or beats in every objective, and beats in one. Equal ones are all there. With one
        objective all trials are read.
        """
        return self._front_among(self.trials)

    def hypervolume(self, reference: Mapping[str, float]) -> float:
        """The volume that the Pareto front dominates, in the product of the objectives' units: larger is better.

        It is exact. A trial that is not better than the reference in every objective counts nothing.

        Args:
            reference: for each objective a value that is worse than those of interest: ``{"accuracy": 0.0, "latency": 100.0}``.

        Raises:
            GoalError: the goal has one objective, or the reference has not exactly its metrics, as finite numbers.
        """
        from metta_sweep.core.pareto import hypervolume

        objectives = self.goal.objectives
        corner = reference_of(self.goal, reference)
        points = [tuple(self.goal.scores(trial.metrics).values()) for trial in self.pareto_front]
        return hypervolume(points, corner, [goal.sign for goal in objectives])

    def _single(self, name: str) -> Trial | None:
        if self._front is None:
            return self._best
        metrics = [goal.metric for goal in self.goal.objectives]
        pick = "max" if self.goal.sign > 0 else "min"
        raise GoalError(
            f"results.{name}",
            "a run with several objectives has no single best trial",
            found=metrics,
            expected="a goal with one objective",
            remedy=f"Use results.pareto_front: {pick}(results.pareto_front, key=lambda trial: trial.value({metrics[0]!r})), say",
        )

    def _front_among(self, trials: Sequence[Trial]) -> list[Trial]:
        if self._front is not None:
            return [trials[number] for number in self._front]
        best = None if self._best is None else self._best.score
        return [] if best is None else [trial for trial in trials if trial.score == best]

    def reports(self, trial_id: str) -> list[Report]:
        """All that a trial reported, in order, over all its attempts: its learning curve. Read from the trace."""
        return [
            Report(event.step, event.metrics) for event in self.trace if isinstance(event, Reported) and event.trial_id == trial_id
        ]

    def raise_for_stop(self) -> SweepResult:
        """Raise when the run ended for a bad reason: interrupted, failure_rate or executor_exhausted. Returns itself otherwise."""
        if self.stop_reason is not None and self.stop_reason.is_bad:
            error: type[MettaSweepError] = _BAD[self.stop_reason]
            raise error(f"the run {self.name or self.run_id!r} stopped by {self.stop_reason}: {self.stop_detail}.")
        return self

    def __as_metrics__(self, where: str) -> dict[str, Metric]:
        """What a trial is worth that returns it: its best score. Raises ``MetricError`` without one, and for a bad stop reason."""
        from metta_sweep.experiments.as_objective import metrics_of_sweep

        return metrics_of_sweep(self, where)

    def to_frame(self) -> Any:
        """The trials as a data frame: polars where it is installed, else pandas.

        Columns: trial (its id), branch, state, score, params, metrics, origin, attempt, seconds; with several objectives also
        front: whether no other trial dominates it. A metric with a standard error becomes two, ``loss`` and ``loss_sem``. In
        polars, params and metrics are structs; a parameter whose values are of several kinds holds their JSON.

        Raises:
            MissingExtra: neither is installed.
        """
        from metta_sweep.experiments.frames import frame_of

        return frame_of(self.trials, self._front)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the trace, as JSON values. With several objectives there is no ``best``; ``pareto_front`` has ids."""
        best = self._best
        trials = list(self.trials)
        return {
            "name": self.name,
            "run_id": self.run_id,
            "goal": self.goal.describe(),
            "seed": self.seed,
            "best": None if best is None else _plain(best),
            "best_params": None if best is None else dict(best.params),
            "best_score": None if best is None else best.score,
            "pareto_front": [trial.id for trial in self._front_among(trials)],
            "branches": {name: {**asdict(stats), "mean": stats.mean} for name, stats in self.branches.items()},
            "triggers": self.triggers,
            "warm_start": [source._asdict() for source in self.warm_start],
            "spend": self.spend._asdict(),
            "stop_reason": None if self.stop_reason is None else self.stop_reason.value,
            "stop_detail": self.stop_detail,
            "states": {state.value: count for state, count in self.states.items()},
            "trials": [_plain(trial) for trial in trials],
        }

    def to_json(self) -> str:
        """``to_dict()`` as JSON text."""
        from pydantic_core import to_json

        return to_json(self.to_dict()).decode()

    def summary(self) -> str:
        """A table of branches (or of the best trials, without branches), the best trial and the stop reason, for people."""
        from metta_sweep.experiments.summary import summary_of

        return summary_of(self)

    # as a value in contracts: kept as a reference to its run

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from metta_sweep.experiments.kept_result import schema_of

        return schema_of(cls)

    def __as_json__(self) -> dict[str, Any]:
        from metta_sweep.experiments.kept_result import reference

        return reference(self)

    def __fingerprint__(self) -> str:
        return f"{self.run_id} with {len(self.trace)} events"

    _is_result: ClassVar = True
    """It may be awaited, for type checkers, and is there all the same: contracts take it."""
    _made_plain: ClassVar = "x.to_dict()"
    """How contracts say that a dict is made of it."""

    def __await__(self) -> Generator[Any, None, SweepResult]:
        yield from ()
        return self

    def __repr__(self) -> str:
        if self._front is not None:
            best = f"{len(self._front)} in the Pareto front"
        else:
            best = "none completed" if self._best is None else f"best {self._best.score:g} by trial {self._best.id}"
        return f"<SweepResult of {self.name or self.run_id!r}: {len(self.trials)} trials, {best}, {self.stop_reason}>"


def _plain(trial: Trial) -> dict[str, Any]:
    plain = asdict(trial)
    plain["state"] = trial.state.value
    plain["metrics"] = _metrics(trial.metrics)
    plain["reports"] = [{"step": report.step, "metrics": _metrics(report.metrics)} for report in trial.reports]
    plain["error"] = None if trial.error is None else trial.error._asdict()
    return plain


def _metrics(metrics: Mapping[str, Metric]) -> dict[str, float | list[float]]:
    """As they come back from JSON: ``(mean, sem)`` is a list."""
    return {name: list(metric) if isinstance(metric, tuple) else metric for name, metric in metrics.items()}
