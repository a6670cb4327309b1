"""Pareto UCB1 as a picker of the iteration scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Never

from metta_sweep.core.bandit import Best
from metta_sweep.core.distributions import Distribution, Uniform
from metta_sweep.core.events import Error, Event, Reported, Result, Score
from metta_sweep.core.pareto_ucb import ParetoIndex
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Metric, metric_mean
from metta_sweep.errors import SchedulerError, a_kind, did_you_mean, refuse_unknown
from metta_sweep.schedulers.checks import check_choice, check_number
from metta_sweep.schedulers.picking import BranchPicker

__all__ = ["ParetoUCB"]

Direction = Literal["maximize", "minimize"]
_WHERE: Final = "ParetoUCB(metrics=)"


class ParetoUCB(BranchPicker):
    """Prefers branches that no other beats in all of several metrics (Pareto UCB1, Drugan and Nowe 2013).

    Each branch has a UCB score per metric; the next trial belongs to one of the branches whose scores no other branch dominates,
    drawn by the run's seed. Each metric counts on its observed range; a failed trial, or one without all metrics, counts as the
    worst in all of them. Pruning and triggers go by the reward, as ever.

    Args:
        metrics: what counts: ``{"accuracy": "maximize", "latency": "minimize"}``. None: the objectives of the sweep's goal.
        c: exploration weight, at least 0; ``sqrt(2)`` is that of the paper.

    Raises:
        SchedulerError: a setting is out of its range, or fewer than two metrics are named.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "c": Uniform(0.0, 4.0),
    }

    def __init__(self, metrics: Mapping[str, Direction] | None = None, c: float = 2**0.5, **unknown: Never) -> None:
        refuse_unknown("ParetoUCB", unknown, ("metrics", "c"))
        self.metrics = None if metrics is None else _checked(metrics)
        self.c = check_number("ParetoUCB(c=)", c, least=0, example=2**0.5)

    def begin(self, setup: Setup) -> ParetoBranches:
        """The rule without history, for one run.

        Raises:
            SchedulerError: no metrics were named, and the goal has a single one.
        """
        signs = self.metrics
        if signs is None:
            if not setup.goal.has_several:
                raise SchedulerError(
                    _WHERE,
                    "the goal of the sweep has one objective, so there is no front to look for",
                    expected="two metrics or more",
                    remedy="Name them: ParetoUCB({'accuracy': 'maximize', 'latency': 'minimize'}), or give the sweep such a goal",
                )
            chosen = {str(goal.metric): goal.sign for goal in setup.goal.objectives}
        else:
            chosen = {name: 1 if direction == "maximize" else -1 for name, direction in signs.items()}
        return ParetoBranches(chosen, self.c, derive_seed(setup.seed, "picker"))


class ParetoBranches(ParetoIndex[str]):
    """The index, told of the metrics of trials by their events."""

    def __init__(self, signs: Mapping[str, int], c: float, seed: int) -> None:
        super().__init__(tuple(signs), tuple(signs.values()), c, seed)
        self._metrics: dict[str, dict[str, Metric]] = {}
        """Of trials that have not been scored: what they returned, or reported last."""
        self._lacking: dict[str, Metric] = {}
        """Of the last completed trial that did not have all of them."""

    def best(self) -> Best[str] | None:
        """The open branch to pull next; None when none is open.

        Raises:
            SchedulerError: trials have been completed, and none had all the metrics that were named.
        """
        found = super().best()
        if self._lacking and found is not None and found.bonus is not None and not self.knows_any:
            missing = next(name for name in self._names if name not in self._lacking)
            guess = did_you_mean(missing, self._lacking)
            raise SchedulerError(
                _WHERE,
                f"no trial that was completed had all of them: {missing!r} is missing",
                found=list(self._lacking),
                expected=", ".join(self._names),
                remedy=f"Did you mean {guess!r}?" if guess else "Name metrics that the trial function returns",
            )
        return found

    def apply(self, event: Event) -> None:
        """Take note of one event: reports, results, errors and scores matter."""
        if isinstance(event, Result | Reported):
            if event.metrics:
                self._metrics[event.trial_id] = event.metrics
        elif isinstance(event, Error):
            self._metrics.pop(event.trial_id, None)
        elif isinstance(event, Score):
            metrics = self._metrics.pop(event.trial_id, {})
            if event.counts:
                whole = all(name in metrics for name in self._names)
                if event.score is not None and not whole:
                    self._lacking = metrics
                self.learn_vector(event.branch or "", [metric_mean(metrics[name]) for name in self._names] if whole else None)


def _checked(metrics: object) -> dict[str, Direction]:
    if not isinstance(metrics, Mapping):
        raise SchedulerError(
            _WHERE,
            f"{a_kind(metrics)} names no metrics and directions",
            found=metrics,
            expected="a mapping of two metrics or more",
            remedy="Write {'accuracy': 'maximize', 'latency': 'minimize'}",
        )
    if len(metrics) < 2:
        raise SchedulerError(
            _WHERE,
            "one metric has no front",
            found=dict(metrics),
            expected="two metrics or more",
            remedy="Leave picker= out: UCB1 goes by the score",
        )
    for name, direction in metrics.items():
        if not isinstance(name, str) or not name:
            raise SchedulerError(_WHERE, "a metric has a name", found=name, expected="a non-empty string")
        check_choice(f"ParetoUCB(metrics={{{name!r}: ...}})", direction, ("maximize", "minimize"))
    return dict(metrics)
