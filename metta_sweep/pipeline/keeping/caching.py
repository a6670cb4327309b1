"""Outputs of stages that are shared between runs: found by all that they depend on, never by a part of that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.errors import ContractError, DamagedPayload
from metta_sweep.pipeline.cache import Cache
from metta_sweep.pipeline.contracts.checks import has_json_form
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.keeping.artifact import ArtifactLost
from metta_sweep.pipeline.keeping.cache_key import Unkeyable, code_parts
from metta_sweep.pipeline.keeping.code_digest import code_text
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.keeping.payload import IllFormed, JsonForm, fields_without_json
from metta_sweep.pipeline.keeping.shelf import Origins
from metta_sweep.pipeline.proof.validation import check_context_reads
from metta_sweep.pipeline.stage_context import stage_seed
from metta_sweep.records import digest

if TYPE_CHECKING:
    from metta_sweep.pipeline.keeping.inputs import StageInputs
    from metta_sweep.pipeline.parts.spec import Spec
    from metta_sweep.pipeline.parts.stage import StageSpec
    from metta_sweep.pipeline.proof.binding import Binding
    from metta_sweep.pipeline.proof.flow import Flow
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["Caching", "ProcessCache", "check_cache", "in_process"]

_REMEDY: Final = "Say what matters with cache=Cache(key=lambda ctx: ...), or leave the cache out"
_NOWHERE: Final = Origins()
"""Origins are those of a run: between runs they say nothing."""


class ProcessCache:
    """What runs without a store share: the entries used last, as long as the process lives."""

    def __init__(self, entries: int = 1000, size: int = 64 << 20) -> None:
        self._most = entries
        self._room = size
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get_cache(self, key: str) -> bytes | None:
        """What is kept under a key."""
        with self._lock:
            payload = self._kept.get(key)
            if payload is not None:
                self._kept.move_to_end(key)
            return payload

    def put_cache(self, key: str, payload: bytes) -> None:
        """Keep something, in place of what was used longest ago."""
        with self._lock:
            before = self._kept.pop(key, b"")
            self._room += len(before) - len(payload)
            self._kept[key] = payload
            while self._kept and (self._room < 0 or len(self._kept) > self._most):
                self._room += len(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._room += sum(map(len, self._kept.values()))
            self._kept.clear()


in_process: Final = ProcessCache()
"""The cache of this process."""


class Caching:
    """Finds and keeps the outputs of one stage.

    Args:
        spec: the stage.
        inputs: digests what it reads.
        path: its address without indices, for messages.
        policy: what its user says.
        seeded: it asks for its context, and so for its seed and address.
    """

    def __init__(self, spec: StageSpec, inputs: StageInputs, path: str, policy: Cache, *, seeded: bool) -> None:
        self._spec = spec
        self._inputs = inputs
        self._path = path
        self._policy = policy
        self._seeded = seeded
        self._form = JsonForm(spec.contract)

    def key(self, scope: Scope, address: str) -> str:
        """The key of what the stage makes here; empty, with a warning, when something has no content to compare."""
        if scope.run.keeps and not scope.run.needs_inputs:
            self._warn(scope, "what records the run keeps a journal of what happened, not of outputs", "Leave the cache out")
            return ""
        gate = self._spec.hooks.get("validate")
        parts: list[str] = [self._spec.contract.schema_digest, f"version {self._policy.version!r}"]
        parts.append("no gate" if gate is None else f"gate {code_text(gate)}")
        for part in (*code_parts(self._spec.fn, self._policy), self._read(scope)):
            if not isinstance(part, Unkeyable):
                parts.append(part)
            elif self._policy.key is None or part.what.startswith("the key"):
                self._warn(scope, f"it depends on {part.what}", _REMEDY)
                return ""
        if self._seeded:
            parts.append(f"at {address} with seed {stage_seed(scope.run.seed, address)}")
        return digest("\0".join(parts).encode("utf-8", "surrogatepass"))

    def find(self, scope: Scope, key: str) -> tuple[Any] | None:
        """The output that is kept under a key. What is damaged, or does not fit, is never used."""
        shelf = scope.run.shelf
        try:
            payload = (shelf.cache or in_process).get_cache(key) if key else None
            return None if payload is None else (self._form.load(payload, shelf.folder),)
        except (DamagedPayload, IllFormed, ContractError, ArtifactLost) as error:
            self._warn(scope, f"what is cached cannot be used ({error})", "The stage runs")
            return None

    def put(self, scope: Scope, key: str, output: Any) -> Any:
        """Keep an output, and return it as it will be found."""
        if not key:
            return output
        shelf = scope.run.shelf
        try:
            dumped = self._form.dump(output, shelf.folder)
        except ContractError as error:
            self._warn(scope, f"its output cannot be kept ({error})", "Leave the cache out")
            return output
        (shelf.cache or in_process).put_cache(key, dumped.payload)
        return dumped.output

    def _read(self, scope: Scope) -> str | Unkeyable:
        if self._policy.key is not None:
            try:
                return f"key {fingerprint(self._policy.key(scope.context()))} {self._inputs.constants(_NOWHERE)}"
            except NoFingerprint as error:
                return Unkeyable(f"the key, which holds {error}")
        inputs = self._inputs.of(scope.values, scope.kept, scope.item, 0, _NOWHERE)
        return Unkeyable(inputs.unknown) if inputs.unknown else inputs.digest

    def _warn(self, scope: Scope, what: str, remedy: str) -> None:
        scope.run.shelf.warn_once(self._path, "stage %r is not cached: %s. %s", self._path, what, remedy)


def _goes_on_after_failures(part: Spec) -> bool:
    hooks: Mapping[str, Any] = getattr(getattr(part, "stage", part), "hooks", {})
    return hooks.get("on_error") is not None or getattr(part, "collect", False)


def check_cache(spec: StageSpec, binding: Binding, policy: Cache, flow: Flow) -> None:
    """Report what keeps a stage from being cached, as far as that shows when it is built."""
    for path, within in spec.inner().items():
        if _goes_on_after_failures(within):
            flow.fault(
                spec.name,
                f"cache: {path!r} within it goes on after a failure, and what comes of that would be shared as if all went well. "
                "Cache the stages within one by one.",
            )
    for name in fields_without_json(spec.contract):
        found = type_name(spec.contract.fields[name])
        flow.fault(
            spec.name,
            f"cache: the field {name!r} cannot be kept as JSON; found the type {found}; expected a type with a JSON form. "
            "Leave the cache out, or return an Artifact.",
            name,
        )
    if policy.key is not None:
        check_context_reads(spec.name, "the key of the cache", policy.key, flow)
        return
    for part in code_parts(spec.fn, policy):
        if isinstance(part, Unkeyable):
            flow.fault(
                spec.name, f"cache: its output depends on {part.what}, which has no content that a key could hold. {_REMEDY}."
            )
    for name in binding.reads or ():
        form = flow.fields[name].type if name in flow.fields else None
        if isinstance(form, type) and form.__module__ != "numpy" and not has_json_form(form):
            flow.fault(
                spec.name,
                f"cache: it reads {name!r}, a {type_name(form)}, which has no content that a key could hold. {_REMEDY}.",
                name,
            )
