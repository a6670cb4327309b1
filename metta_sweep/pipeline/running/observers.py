"""Observers of a stage: they are told, and change nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from metta_sweep.pipeline.proof.hook_types import check_handler
from metta_sweep.pipeline.proof.validation import check_context_reads, check_metrics_reads, check_output_reads
from metta_sweep.pipeline.running.trying import cancel_count, cancelled_since, end_cancelled

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.parts.stage import StageSpec
    from metta_sweep.pipeline.proof.flow import Flow
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["Observers", "StageLabel"]

Told = Callable[[Any], Any]


class StageLabel(str):
    """What a global hook gets as its stage: formats as the stage's name, and knows the address."""

    __slots__ = ("address",)
    address: str

    @classmethod
    def of(cls, name: str, address: str) -> StageLabel:
        """A label for one execution."""
        label = cls(name)
        label.address = address
        return label


class Observers:
    """The observers of one stage. Global ones are outermost: first before, last after."""

    __slots__ = ("after", "around_after", "around_before", "before", "metrics", "own_after", "own_before", "profiled")

    def __init__(
        self,
        own_before: Told | None,
        own_after: Told | None,
        metrics: Told | None,
        around_before: tuple[Callable[[Any, Any], Any], ...] = (),
        around_after: tuple[Callable[[Any, Any], Any], ...] = (),
        *,
        profiled: bool = False,
    ) -> None:
        self.own_before = own_before
        self.own_after = own_after
        self.metrics = metrics
        self.around_before = around_before
        self.around_after = around_after
        self.before = own_before is not None or bool(around_before)
        self.after = own_after is not None or bool(around_after)
        self.profiled = profiled
        """Its times are measured: asked for by the stage, or else by the pipeline."""

    def __bool__(self) -> bool:
        return self.before or self.after or self.metrics is not None

    @classmethod
    def of(cls, spec: StageSpec, flow: Flow) -> Observers:
        """The observers of a stage; what its ``before`` reads is checked against what is there before it."""
        get = spec.hooks.get
        if "before" in spec.hooks:
            check_context_reads(spec.name, "hook 'before'", spec.hooks["before"], flow, own=spec.contract.fields)
        around = flow.global_hooks.get
        profiled = bool(spec.hooks.get("profile", around("profile", False)))
        return cls(get("before"), get("after"), get("metrics"), around("before", ()), around("after", ()), profiled=profiled)

    def check_outputs(self, spec: StageSpec, flow: Flow) -> None:
        """Check what hooks read of the stage's output, and what may replace it."""
        for hook in ("after", "validate"):
            if hook in spec.hooks:
                check_output_reads(spec.name, hook, spec.hooks[hook], spec.contract, flow)
        if "metrics" in spec.hooks:
            check_metrics_reads(spec.name, spec.hooks["metrics"], spec.contract, flow)
        if "on_error" in spec.hooks:
            check_handler(spec.name, spec.hooks["on_error"], spec.contract, flow)

    async def tell_before(self, scope: Scope, name: str, address: str) -> None:
        """Tell those who asked that the stage begins; they get what it may read."""
        data = scope.context()
        for observer in self.around_before:
            await _tell(scope, name, address, "before", observer, StageLabel.of(name, address), data)
        if self.own_before is not None:
            await _tell(scope, name, address, "before", self.own_before, data)

    async def tell_after(self, scope: Scope, name: str, address: str, output: Any, contract: Contract) -> None:
        """Tell those who asked that the stage ended; they get its output."""
        if self.own_after is not None:
            await _tell(scope, name, address, "after", self.own_after, output)
        if self.metrics is not None:
            await _tell(scope, name, address, "metrics", self.metrics, contract.view(output))
        for observer in self.around_after:
            await _tell(scope, name, address, "after", observer, StageLabel.of(name, address), output)


async def _tell(scope: Scope, name: str, address: str, hook: str, observer: Callable[..., Any], *args: Any) -> None:
    try:
        told = observer(*args)
        if told is not None and inspect.isawaitable(told):
            await _listen(told)
    except Exception as error:  # noqa: BLE001  # an observer never loses a result: logged and told, or raised where hooks are strict
        scope.run.hook_failed(address, name, hook, error)


async def _listen(told: Awaitable[Any]) -> None:
    """Wait for an asynchronous observer. A cancellation that comes meanwhile goes through, whatever the observer makes of it."""
    cancelling = cancel_count()
    try:
        await told
    except Exception as error:
        if cancelled_since(cancelling):
            raise asyncio.CancelledError from error
        raise
    if cancelled_since(cancelling):
        await end_cancelled()
