"""A stage: one named step. As it is described, and as it runs."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metta_sweep.address import join
from metta_sweep.errors import Fault, GateError
from metta_sweep.pipeline.attempts import Attempt, ThreadedCall, worth_retrying
from metta_sweep.pipeline.binding import Binding, bind
from metta_sweep.pipeline.contract import Contract
from metta_sweep.pipeline.events import StageFailed, StageFinished, StageRetried, StageReused, StageStarted
from metta_sweep.pipeline.flow import Flow
from metta_sweep.pipeline.hooks import as_retry
from metta_sweep.pipeline.observers import Observers
from metta_sweep.pipeline.payload import fields_without_json, from_payload
from metta_sweep.pipeline.recording import StageDigests
from metta_sweep.pipeline.run import Lean, Scope, note_place
from metta_sweep.pipeline.signature import MISSING, UNRESOLVED, ReadSignature, is_coroutine_callable
from metta_sweep.pipeline.stage_context import stage_seed
from metta_sweep.pipeline.typeforms import type_name
from metta_sweep.pipeline.validation import check_call, check_returns

__all__ = ["StageNode", "StageSpec"]


@dataclass(frozen=True, eq=False)
class StageSpec:
    """A stage as its user described it."""

    name: str
    fn: Callable[..., Any]
    signature: ReadSignature | None
    """None when it has none; that is a fault."""
    constants: Mapping[str, Any]
    contract: Contract
    hooks: Mapping[str, Any] = field(default_factory=dict)
    inferred: bool = True
    """The contract is the return annotation: there was no ``.through()``, or it named none."""
    faults: tuple[str, ...] = ()
    """What is wrong with the description itself."""

    def through(
        self, contract: Contract, constants: Mapping[str, Any], hooks: Mapping[str, Any], faults: tuple[str, ...]
    ) -> StageSpec:
        """The same stage, with its contract and what is attached to it."""
        return replace(
            self,
            inferred=contract is self.contract,
            contract=contract,
            constants={**self.constants, **constants},
            hooks={**self.hooks, **hooks},
            faults=(*self.faults, *faults),
        )

    def provides(self) -> Mapping[str, Any]:
        """The fields that it writes."""
        return self.contract.fields

    def compile(self, flow: Flow) -> StageNode | None:
        """Check the stage where it stands, and make it runnable. Faults go to ``flow``."""
        for message in self.faults:
            flow.faults.append(Fault(flow.at(self.name), message))
        self._check_description(flow)
        observers = Observers.of(self, flow)
        binding = bind(self.name, self.fn, self.signature, self.constants, flow) if self.signature is not None else None
        flow.provide(self.name, self.contract.fields)
        observers.check_outputs(self, flow)
        if self.hooks.get("checkpoint") is True:
            for name in fields_without_json(self.contract):
                flow.fault(self.name, no_json_form(name, self.contract), name)
        if binding is None or self.faults:
            return None
        return StageNode(self, binding, observers, flow.at(self.name))

    def _check_description(self, flow: Flow) -> None:
        contract = self.contract
        if self.signature is not None:
            check_call(self.name, self.fn, self.signature, self.constants, flow)
        if contract.kind == "one" and self.name in contract.fields and not self.name.isidentifier():
            flow.fault(
                self.name,
                f"its output would be a field called {self.name!r}, which is no identifier; found {self.name!r}. "
                f"Name the field: .through(result={type_name(contract.fields[self.name])}).",
            )
        returns = MISSING if self.signature is None else self.signature.returns
        if not self.inferred and returns not in (MISSING, UNRESOLVED):
            check_returns(self.name, returns, contract, flow)
        if self.inferred and returns is UNRESOLVED:
            flow.fault(
                self.name, "its return annotation cannot be resolved, so that it has no contract. Name it with .through(Type)."
            )


def no_json_form(name: str, contract: Contract) -> str:
    """The fault of a stage whose output is to be kept and cannot be."""
    return (
        f"the field {name!r} cannot be kept as JSON; found the type {type_name(contract.fields[name])}; "
        "expected a type with a JSON form. Opt the stage out with checkpoint=False."
    )


class StageNode:
    """A stage that runs."""

    def __init__(self, spec: StageSpec, binding: Binding, observers: Observers, path: str) -> None:
        self.spec = spec
        self.path = path
        """Its address without iterations."""
        self.name = spec.name
        self.contract = spec.contract
        self.check = spec.contract.check
        self.write = spec.contract.write
        self.reads = binding.reads
        self.observers = observers
        self.keep_fields: tuple[str, ...] = ()
        """Fields that a ``ref`` reads by the name of this stage."""
        self.retry = as_retry(spec.hooks.get("retry"))
        self.on_error = spec.hooks.get("on_error")
        self.validate = spec.hooks.get("validate")
        self.checkpoint = spec.hooks.get("checkpoint", True) is not False
        self.profiled = bool(spec.hooks.get("profile"))
        timeout = spec.hooks.get("timeout")
        threaded = not is_coroutine_callable(spec.fn)
        self.attempt = Attempt(
            spec.name, binding.call, threaded=threaded, timeout=timeout, needs_context=binding.needs_stage_context
        )
        self.digests = StageDigests(spec.fn, spec.constants, spec.contract)
        single = not (threaded or timeout is not None or self.retry or self.on_error)
        self._only_call = binding.call if single else None
        """The call of a coroutine function that is tried once, without a deadline."""
        self.lean = Lean(binding.call, self.check, self.write) if single and not (self.validate or observers) else None

    def keep(self, fields: tuple[str, ...]) -> None:
        """Keep these fields under the stage's name, for ``ref("stage.field")``."""
        self.keep_fields = fields
        self.lean = None

    def faults_when_kept(self, scope: str) -> list[Fault]:
        """What stands against keeping this stage's output."""
        names = fields_without_json(self.contract) if self.checkpoint else ()
        return [Fault(join(scope, self.name), no_json_form(name, self.contract), name) for name in names]

    async def run(self, scope: Scope) -> None:
        """Hooks, attempts, record, in the order of the design: before > [attempt] with retry > persist > after, metrics."""
        run = scope.run
        address = scope.address(self.name)
        kept = run.needs_inputs and self.checkpoint
        inputs = self.digests.inputs(scope.values, self.reads) if kept else ""
        if kept and self._reuse(scope, address, inputs):
            return
        if self.observers.before:
            await self.observers.tell_before(scope, self.name, address)
        if run.listeners:
            run.tell(StageStarted(address, self.name))
        started = time.perf_counter()
        attempts = [1]
        try:
            output = await self._output(scope, address, attempts)
        except Exception as error:
            note_place(error, self.name, address, attempts[0], 1 + (self.retry.retries if self.retry else 0))
            if run.listeners:
                run.tell(StageFailed(address, self.name, error, attempts[0]))
            raise
        if run.record is not None and (self.checkpoint or not run.needs_inputs):
            run.record(address, output, self.digests.checkpoint(address, inputs, output) if kept else None)
        seconds = time.perf_counter() - started
        self._finish(scope, output)
        if run.profile is not None:
            run.profile.add(self.name, seconds)
        if run.listeners:
            run.tell(StageFinished(address, self.name, seconds, attempts[0]))
        if self.observers.after or self.observers.metrics:
            await self.observers.tell_after(scope, self.name, address, output, self.contract)

    def _finish(self, scope: Scope, output: Any) -> None:
        self.write(scope.values, output)
        if self.keep_fields:
            scope.run.kept.update({f"{self.path}.{name}": scope.values[name] for name in self.keep_fields})

    def _reuse(self, scope: Scope, address: str, inputs: str) -> bool:
        recorded = scope.run.recorder.recorded(address, inputs, self.contract.schema_digest, self.digests.code)
        if recorded is None:
            return False
        self._finish(scope, from_payload(self.contract, recorded.payload))
        if scope.run.listeners:
            scope.run.tell(StageReused(address, self.name))
        return True

    async def _output(self, scope: Scope, address: str, attempts: list[int]) -> Any:
        """The checked output of the first attempt that succeeds, or the replacement that ``on_error`` gives."""
        if self._only_call is not None:
            scope.node = self.name
            return await self._gated(await self._only_call(scope), address)
        leaked: list[ThreadedCall] = []
        while True:
            try:
                return await self._gated(await self.attempt.run(scope, address, attempts[0], leaked), address)
            except Exception as error:  # noqa: BLE001  # it is raised below, unless there is another attempt or a replacement
                if self.retry is None or attempts[0] > self.retry.retries or not worth_retrying(error, self.retry):
                    return await self._replacement(error, address)
                delay = self.retry.delay(attempts[0], stage_seed(scope.run.seed, address))
                if scope.run.listeners:
                    scope.run.tell(StageRetried(address, self.name, attempts[0], error, delay))
            attempts[0] += 1
            if delay:
                await asyncio.sleep(delay)

    async def _gated(self, raw: Any, address: str) -> Any:
        output = self.check(raw)
        if self.validate is not None:
            verdict = self.validate(output)
            if inspect.isawaitable(verdict):
                verdict = await verdict
            if verdict is not None and not verdict:
                raise GateError(f"stage {self.name!r} at {address}: its validate hook refused the output {output!r:.200}.")
        return output

    async def _replacement(self, error: Exception, address: str) -> Any:
        if self.on_error is None:
            raise error
        try:
            replacement = self.on_error(error)
            if inspect.isawaitable(replacement):
                replacement = await replacement
        except Exception as raised:  # noqa: BLE001  # the first error stands, with a note of this one
            if raised is not error:
                error.add_note(f"its on_error hook raised {type(raised).__name__}: {raised}")
            raise error from error.__cause__
        if replacement is None:
            raise error
        return await self._gated(replacement, address)
