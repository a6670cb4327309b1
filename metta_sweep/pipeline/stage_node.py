"""A stage that runs: hooks, attempts, record, in one order."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

from metta_sweep.address import join
from metta_sweep.errors import Fault, GateError
from metta_sweep.pipeline.attempts import Attempt, ThreadedCall, worth_retrying
from metta_sweep.pipeline.binding import Binding
from metta_sweep.pipeline.events import StageFailed, StageFinished, StageRetried, StageReused, StageStarted
from metta_sweep.pipeline.keeping import Keeping
from metta_sweep.pipeline.observers import Observers
from metta_sweep.pipeline.outline import Part, Wire, constants_shown, hooks_shown
from metta_sweep.pipeline.payload import fields_without_json
from metta_sweep.pipeline.retry import as_retry
from metta_sweep.pipeline.run import Lean, Scope, note_place
from metta_sweep.pipeline.signature import is_coroutine_callable
from metta_sweep.pipeline.stage_context import stage_seed
from metta_sweep.pipeline.typeforms import type_name

if TYPE_CHECKING:
    from metta_sweep.pipeline.contract import Contract
    from metta_sweep.pipeline.stage import StageSpec

__all__ = ["StageNode", "no_json_form"]


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
        self.wires: tuple[Wire, ...] = ()
        """What flows to it, and from whom."""
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
        self.keeping = Keeping(spec, binding.reads)
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

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        spec = self.spec
        return Part(
            "stage",
            self.name,
            self.path,
            self.wires,
            spec.contract.fields,
            everything=self.reads is None,
            constants=constants_shown(spec.constants),
            hooks=hooks_shown(spec.hooks),
        )

    async def run(self, scope: Scope) -> None:
        """Run the stage, and add its output to the values."""
        self._finish(scope, await self.produce(scope, scope.address(self.name)))

    async def produce(self, scope: Scope, address: str) -> Any:
        """The checked output. The order is: before > [attempt] with retry > persist > after, metrics.

        A recorded output that still holds is taken instead.
        """
        run = scope.run
        kept = run.needs_inputs and self.checkpoint
        inputs = self.keeping.inputs(scope) if kept else ""
        found = self.keeping.find(scope, address, inputs) if kept else None
        if found is not None:
            if run.listeners:
                run.tell(StageReused(address, self.name))
            return found.output
        if self.observers.before:
            await self.observers.tell_before(scope, self.name, address)
        if run.listeners:
            run.tell(StageStarted(address, self.name))
        started = time.perf_counter()
        output, attempts = await self._tried(scope, address)
        if kept:
            self.keeping.put(scope, address, inputs, output)
        elif run.record is not None and not run.needs_inputs:
            run.record(address, output, None)
        seconds = time.perf_counter() - started
        if run.profile is not None:
            run.profile.add(self.name, seconds)
        if run.listeners:
            run.tell(StageFinished(address, self.name, seconds, attempts))
        if self.observers.after or self.observers.metrics:
            await self.observers.tell_after(scope, self.name, address, output, self.contract)
        return output

    async def _tried(self, scope: Scope, address: str) -> tuple[Any, int]:
        """The checked output, and the number of attempts that it took."""
        attempts = [1]
        try:
            return await self._output(scope, address, attempts), attempts[0]
        except Exception as error:
            note_place(error, self.name, address, attempts[0], 1 + (self.retry.retries if self.retry else 0))
            if scope.run.listeners:
                scope.run.tell(StageFailed(address, self.name, error, attempts[0]))
            raise

    def _finish(self, scope: Scope, output: Any) -> None:
        self.write(scope.values, output)
        if self.keep_fields:
            scope.run.kept.update({f"{self.path}.{name}": scope.values[name] for name in self.keep_fields})

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
