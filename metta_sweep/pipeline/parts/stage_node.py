"""A stage that runs: hooks, attempts, record, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metta_sweep.address import join
from metta_sweep.errors import Fault
from metta_sweep.pipeline.cache import as_cache
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.events import StageFinished, StageReused, StageStarted
from metta_sweep.pipeline.keeping.caching import Caching
from metta_sweep.pipeline.keeping.keeping import Found, Keeping
from metta_sweep.pipeline.keeping.payload import fields_without_json
from metta_sweep.pipeline.keeping.resume_plan import UNKNOWN, Preview
from metta_sweep.pipeline.proof.binding import Binding
from metta_sweep.pipeline.proof.outline import Part, Wire, constants_shown, hooks_shown
from metta_sweep.pipeline.running.observers import Observers
from metta_sweep.pipeline.running.run import Lean, Scope
from metta_sweep.pipeline.running.trying import Trying

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.parts.stage import StageSpec

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
        self.seeded = binding.needs_stage_context
        """Whether it may depend on the seed of the run."""
        self.observers = observers
        self.keep_fields: tuple[str, ...] = ()
        """Fields that a ``ref`` reads by the name of this stage."""
        self.checkpoint = spec.hooks.get("checkpoint", True) is not False
        self.profiled = observers.profiled
        self.trying = Trying(spec, binding)
        self.keeping = Keeping(spec, binding, path)
        policy = as_cache(spec.hooks.get("cache"))
        seeded = binding.needs_stage_context
        self.caching = Caching(spec, self.keeping.reader, path, policy, seeded=seeded) if policy is not None else None
        bare = self.trying.only_call is not None and not (self.trying.validate or observers or self.caching)
        self.lean = Lean(binding.call, self.check, self.write) if bare else None

    def keep(self, field: str) -> None:
        """Keep a field under the stage's name, for ``ref("stage.field")``."""
        self.keep_fields = (*self.keep_fields, field)
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
        for room in run.rooms:
            await room()
        inputs = scope.reads = self.keeping.inputs(scope) if run.needs_inputs else ""
        found, key = self._found(scope, address, inputs) if run.needs_inputs or self.caching is not None else (None, "")
        if found is not None:
            return found.output
        if self.observers.before:
            await self.observers.tell_before(scope, self.name, address)
        if run.listeners:
            run.tell(StageStarted(address, self.name))
        started, cuts = run.clock(), run.cuts
        output, attempts, replaced = await self.trying.output(scope, address)
        whole = run.cuts == cuts
        if self.caching is not None and whole and not replaced:
            output = self.caching.put(scope, key, output)
        if run.record is not None:
            output = self._kept(scope, address, inputs, output, whole=whole)
        seconds = run.clock() - started
        if self.profiled and run.profile is not None:
            run.profile.add(self.path, seconds)
        if run.listeners:
            run.tell(StageFinished(address, self.name, seconds, attempts))
        if self.observers.after or self.observers.metrics:
            await self.observers.tell_after(scope, self.name, address, output, self.contract)
        return output

    def _found(self, scope: Scope, address: str, inputs: str) -> tuple[Found | None, str]:
        """The output that is recorded, or else cached, for what the stage reads; None when it has to run.

        With the key of the cache, which is made only where nothing is recorded.
        """
        run = scope.run
        found = self._recorded(scope, address, inputs) if run.needs_inputs and self.checkpoint else None
        source, key = "checkpoint", ""
        if found is None and self.caching is not None:
            key = self.caching.key(scope, address)
            cached = self.caching.find(scope, key)
            found = None if cached is None else Found(self._kept(scope, address, inputs, cached[0]))
            source = "cache"
        if found is not None and run.listeners:
            run.tell(StageReused(address, self.name, source))
        return found, key

    def _recorded(self, scope: Scope, address: str, inputs: str) -> Found | None:
        try:
            return self.keeping.find(scope, address, inputs)
        except Exception as error:
            scope.run.broken = error
            raise

    def _kept(self, scope: Scope, address: str, inputs: str, output: Any, *, whole: bool = True) -> Any:
        """The output as a resumed run will find it, recorded; as it is where it is not whole, and the stage is to run again."""
        run = scope.run
        try:
            if run.needs_inputs and self.checkpoint:
                return self.keeping.put(scope, address, inputs, output) if whole else output
            if run.needs_inputs:
                self.keeping.remember_origin(scope, address, inputs, output)
            elif run.record is not None:
                run.record(address, output, None)
        except Exception as error:
            run.broken = error
            raise
        return output

    def preview(self, preview: Preview) -> None:
        """Tell what a resumed run does with it; its output is added to the values where it is known."""
        address = preview.scope.address(self.name)
        output = self.foresee(preview, address)
        if output is not UNKNOWN:
            self._finish(preview.scope, output)
            preview.learn(self.contract.fields)
            return
        if self.checkpoint:
            preview.forget(self.contract.fields, self.path)
        else:
            promised = self.keeping.promises(preview, address)
            preview.forget(self.contract.fields, self.path)
            for name, origin in promised.items():
                preview.promise(name, origin)
        for name in self.keep_fields:
            preview.scope.kept.pop(f"{self.path}.{name}", None)

    def foresee(self, preview: Preview, address: str) -> Any:
        """The recorded output that a resumed run takes at an address; ``UNKNOWN`` when it runs."""
        output = self.keeping.foresee(preview, address, kept=self.checkpoint)
        if output is not UNKNOWN or self.caching is None or self.keeping.reader.maker(preview):
            return output
        cached = self.caching.find(preview.scope, self.caching.key(preview.scope, address))
        if cached is None:
            return UNKNOWN
        preview.add(address, self.path, "reuse", "an earlier run left its output in the cache")
        return cached[0]

    def _finish(self, scope: Scope, output: Any) -> None:
        self.write(scope.values, output)
        if self.keep_fields:
            scope.kept.update({f"{self.path}.{name}": scope.values[name] for name in self.keep_fields})
