"""The run of an experiment that has no trials of its own, as the tree of experiments sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from metta_sweep.core.budget import Budget, Spend, StopReason
from metta_sweep.errors import Interrupted
from metta_sweep.experiments.grace import CHILDS_SHARE, beat_for, grace_for
from metta_sweep.experiments.tree.node import Node
from metta_sweep.experiments.tree.spent import read_spent, spent_payload
from metta_sweep.pipeline.keeping.recording import StoreRecorder

__all__ = ["PipelineRun"]


class PipelineRun:
    """A running experiment without trials.

    Args:
        node: its place in the tree.
        budget: what it, and all that runs inside it, may use.
        kept: where its stages are kept; None: nowhere.
    """

    def __init__(self, node: Node, budget: Budget, kept: StoreRecorder | None) -> None:
        self._node = node
        self._budget = budget
        self._kept = kept
        self._why = ""
        self._time: Callable[[], float] = asyncio.get_running_loop().time
        self._began = self._time()
        self._grace = grace_for(None, budget)
        self._before = 0.0
        if kept is not None:
            for record in kept.store.records(kept.run_id):
                self._before = max(self._before, record.elapsed)
                if record.kind == "child":
                    node.know(record.address, read_spent(record))
            kept.elapsed = self.seconds
        left = None if budget.seconds is None else budget.seconds - self._before
        self.deadline = None if left is None else self._began + left
        """When its seconds are over, by the clock of the event loop; None: never."""

    def seconds(self) -> float:
        """Active seconds, over all the times it was taken up."""
        return self._before + self._time() - self._began

    def own_spend(self) -> Spend:
        """Time: it has no trials."""
        return Spend(seconds=self.seconds())

    def end_early(self, why: str, grace: float) -> None:
        """Something around it ends: so does what runs inside it, and with that the stage that waits for it."""
        self._why = self._why or why
        self._node.end_children(why, CHILDS_SHARE * grace)

    def ends_early(self) -> str:
        """Why it ends before its time; empty while it does not."""
        return self._why

    def must_end(self) -> None:
        """Something inside it ended since this is to end."""
        self._node.end_children(self._why, CHILDS_SHARE * self._grace)

    def busy(self) -> int:
        """It has no trials."""
        return 0

    def child_ended(self, address: str, spend: Spend) -> None:
        """Keep what an experiment inside it has used: it counts here."""
        if self._kept is not None:
            self._kept.note("child", spent_payload(spend), address=address)

    def spent(self) -> tuple[StopReason, str] | None:
        """The cap of its budget that is spent."""
        total, budget = self._node.total(), self._budget
        if budget.trials is not None and total.trials >= budget.trials:
            return StopReason.BUDGET_TRIALS, f"{total.trials} of {budget.trials} trials are picked"
        if budget.cost is not None and total.cost >= budget.cost:
            return StopReason.BUDGET_COST, f"a cost of {total.cost:g} of {budget.cost:g} is spent"
        return None

    async def in_time(self, main: Awaitable[Any]) -> Any:
        """Wait for its pipeline, up to the deadline. What runs inside it is asked to end there, and gets its grace.

        Raises:
            Interrupted: its seconds were over before its end.
        """
        seconds = self._budget.seconds
        if self.deadline is None or seconds is None:
            return await main
        why = f"the {seconds:g} s of {self._node.shown} are over"
        timer = asyncio.get_running_loop().call_at(self.deadline, self.end_early, why, self._grace)
        beats = None if self._kept is None else asyncio.create_task(self._beats(self._kept, beat_for(seconds)))
        remedy = (
            "A larger budget goes on there." if self._kept is not None else "Give it a name, and a larger budget goes on there."
        )
        limit = asyncio.timeout_at(self.deadline + self._grace)
        try:
            async with limit:
                return await main
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Interrupted(f"{why} before its end. {remedy}") from error
        except Interrupted as error:
            if self._why == why:
                raise Interrupted(f"{why} before its end. {remedy}") from error
            raise
        finally:
            timer.cancel()
            if beats is not None:
                beats.cancel()

    async def _beats(self, kept: StoreRecorder, pause: float) -> None:
        """Keep how long it has run: a stage may take hours, and a kill is to lose few of its seconds."""
        while True:
            await asyncio.sleep(pause)
            kept.note("alive", b"{}")
