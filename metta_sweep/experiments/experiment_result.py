"""What an experiment without trials of its own gives back: the fields that its pipeline left, and what is known of its run."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from metta_sweep.core.budget import Spend, StopReason
from metta_sweep.core.trial import Metric
from metta_sweep.experiments.children import Children
from metta_sweep.pipeline import PipelineEvent, PipelineResult
from metta_sweep.records import Store

__all__ = ["ExperimentResult", "RunFacts", "Tracing"]

TRACED: Final = 10_000


class Tracing:
    """A listener that keeps the last events of a pipeline."""

    def __init__(self) -> None:
        self.events: deque[PipelineEvent] = deque(maxlen=TRACED)

    def __call__(self, event: PipelineEvent) -> None:
        """Keep it."""
        self.events.append(event)


class RunFacts(NamedTuple):
    """What is known of the run of an experiment."""

    name: str | None
    run_id: str
    address: str
    seed: int
    spend: Spend
    stop_reason: StopReason | None
    stop_detail: str
    trace: Sequence[PipelineEvent]
    outputs: tuple[str, ...]
    """The fields that its last part provides."""
    store: Store | None = None
    """Where it, and what ran inside it, is kept; None: nowhere."""


class ExperimentResult(PipelineResult):
    """The result of an experiment: the final fields of its pipeline are attributes and items of it.

    A field that is called like a property here is read as an item: ``result["spend"]``.
    """

    __slots__ = ("_facts",)

    def __init__(self, result: PipelineResult, facts: RunFacts) -> None:
        super().__init__(result.context, result.profile, result.seconds)
        self._facts = facts

    @property
    def output(self) -> Any:
        """What the last part of the pipeline provided: the value of its one field, or a dict of its fields."""
        names = self._facts.outputs
        return self[names[0]] if len(names) == 1 else {name: self[name] for name in names}

    @property
    def outputs(self) -> dict[str, Any]:
        """The same by name, also where it is one field."""
        return {name: self[name] for name in self._facts.outputs}

    def __as_metrics__(self, where: str) -> dict[str, Metric]:
        """What a trial is worth that returns it: the numbers that the last part of the pipeline provided."""
        from metta_sweep.experiments.as_objective import metrics_of_fields

        return metrics_of_fields(self.outputs, where)

    @property
    def name(self) -> str | None:
        """What its run is kept under; None when it is not kept."""
        return self._facts.name

    @property
    def run_id(self) -> str:
        """The id of its run; of one that is not kept the name under which the experiments inside it are; else empty."""
        return self._facts.run_id

    @property
    def address(self) -> str:
        """Its address in the tree of experiments; empty when it ran inside none."""
        return self._facts.address

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self._facts.seed

    @property
    def spend(self) -> Spend:
        """Trials of the sweeps that ran directly inside it, active seconds, and the cost of all that ran inside it.

        Over all the times it was taken up.
        """
        return self._facts.spend

    @property
    def stop_reason(self) -> StopReason | None:
        """Which cap of its budget is spent, so that experiments inside it may have had less than they wanted; None: none is."""
        return self._facts.stop_reason

    @property
    def stop_detail(self) -> str:
        """The same in words, with the numbers."""
        return self._facts.stop_detail

    @property
    def children(self) -> Children:
        """The results of the experiments that ran directly inside it, by address; read from the store when looked at."""
        facts = self._facts
        return Children(facts.store, facts.name or facts.run_id, facts.address)

    @property
    def trace(self) -> Sequence[PipelineEvent]:
        """What happened in this process, in order: stages that began, ended, were used again; of many the last 10,000 events."""
        return self._facts.trace
