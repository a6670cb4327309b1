"""How the output of one stage is kept in a store, and found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from metta_sweep.clock import crash_point
from metta_sweep.errors import ContractError, DamagedPayload, DefinitionChanged, message_of
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.keeping.artifact import ArtifactLost
from metta_sweep.pipeline.keeping.code_digest import code_digest, code_text
from metta_sweep.pipeline.keeping.inputs import Inputs, StageInputs, changed_inputs
from metta_sweep.pipeline.keeping.own_state import Setting, settings_of
from metta_sweep.pipeline.keeping.payload import IllFormed, JsonForm, fields_without_json, read_object
from metta_sweep.pipeline.keeping.resume_plan import RAISES, UNKNOWN, depends
from metta_sweep.pipeline.keeping.shelf import logger
from metta_sweep.records import Checkpoint, digest

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.hook_table import CodeChange
    from metta_sweep.pipeline.keeping.resume_plan import Preview
    from metta_sweep.pipeline.keeping.shelf import Shelf
    from metta_sweep.pipeline.parts.stage import StageSpec
    from metta_sweep.pipeline.proof.binding import Binding
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["Found", "Judged", "Keeping", "Verdict"]

Verdict = Literal["reuse", "rerun", "stale", "new", "orphan"]
"""What becomes of a recorded output. ``stale``: it is used, though the code or the contract has changed since."""

_CODE_OR_OBJECT: Final = "its code, or what it reads of its own object,"
_DAMAGED: Final = "what is recorded is damaged and is not used"


class Found(NamedTuple):
    """A recorded output that still holds."""

    output: Any


@lru_cache(maxsize=256)
def _digest_of_text(text: str) -> str:
    return digest(text.encode())


class _HookFailed(Exception):
    """A ``migrate`` hook raised: a run raises that, a preview tells it."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Judged(NamedTuple):
    """What a recorded output is worth."""

    verdict: Verdict
    reason: str
    output: Any = None
    """Where it is used."""
    error: Exception | None = None
    """What a run raises instead of using it: an error of ours, or of the ``migrate`` hook."""
    migrated: bool = False
    """``migrate=`` made the output of what was recorded."""
    lost: bool = False
    """It was recorded, and is damaged or not there any more."""


_NEW: Final = Judged("new", "nothing is recorded")


class Keeping:
    """Keeps the outputs of one stage, and takes them up again.

    Args:
        spec: the stage.
        binding: how it is called.
        path: its address without iterations, for messages.
    """

    def __init__(self, spec: StageSpec, binding: Binding, path: str) -> None:
        self._spec = spec
        self._path = path
        self._contract = spec.contract
        self.reader = StageInputs(spec, binding.reads, binding.kept, seeded=binding.needs_stage_context)
        self._form = JsonForm(spec.contract)
        self._migrate = spec.hooks.get("migrate")
        self._on_code_change: CodeChange | None = spec.hooks.get("on_code_change")
        self._looked_at_reads = False
        """What the stage read was looked at again after it ran: once is enough, and costs as much as the digests of its inputs."""

    @property
    def code(self) -> str:
        """The digest of the code that an output comes from, and of the settings that its function reads of its own object now."""
        code, settings = self._written
        return code if not settings else _digest_of_text("".join((code, *(setting.text() for setting in settings))))

    @cached_property
    def _written(self) -> tuple[str, tuple[Setting, ...]]:
        code = code_digest(self._spec.fn)
        others = [code_text(hook) for name in ("validate", "on_error") if (hook := self._spec.hooks.get(name)) is not None]
        if others:
            code = digest("\0".join((code, *others)).encode("utf-8", "surrogatepass"))
        return code, settings_of(self._spec.fn)

    def inputs_in(self, scope: Scope) -> Inputs:
        """The digests of what the stage reads here."""
        run = scope.run
        return self.reader.of(scope.values, scope.kept, scope.item, run.seed, run.shelf.origins)

    def inputs(self, scope: Scope) -> str:
        """The digests of what the stage reads here; empty when they are unknown, which is warned about."""
        inputs = self.inputs_in(scope)
        if inputs.unknown:
            scope.run.shelf.warn_once(
                self._path,
                "stage %r reads %s, whose content cannot be compared with what it was: it runs again whenever the run is resumed. "
                "Let the stage that makes it opt out with checkpoint=False, or pass what it is made of",
                self._path,
                inputs.unknown,
            )
        return inputs.digest

    def find(self, scope: Scope, address: str, inputs: str) -> Found | None:
        """What is recorded at an address for these inputs; None when the stage has to run.

        Raises:
            ContractError: it does not fit the contract any more.
            DefinitionChanged: it was made by other code, which ``on_code_change="refuse"`` refuses.
        """
        shelf = scope.run.shelf
        judged = self.judge(shelf, address, inputs)
        if judged is _NEW:
            return None
        if judged.error is not None:
            raise judged.error
        if judged.lost:
            shelf.warn_once(address, "the checkpoint at %s: %s; the stage runs again", address, judged.reason)
        if judged.verdict not in ("reuse", "stale"):
            return None
        if judged.verdict == "stale" and not judged.migrated:
            shelf.warn_once(self._path, "stage %r at %s: %s", self._path, address, judged.reason)
        output = judged.output
        if judged.migrated:
            checkpoint, output = self._checkpoint(shelf, address, inputs, output)
            shelf.recorder.record(address, output, checkpoint)
        return Found(output)

    def judge(self, shelf: Shelf, address: str, inputs: str) -> Judged:
        """Look at what is recorded at an address. Nothing is written, and nothing raised but errors of the store."""
        try:
            found = shelf.recorder.recorded(address)
        except DamagedPayload:
            return Judged("rerun", _DAMAGED, lost=True)
        if found is None:
            return _NEW
        if digest(found.payload) != found.digest:
            return Judged("rerun", _DAMAGED, lost=True)
        if not inputs or not found.inputs:
            return Judged("rerun", "what it reads cannot be compared with what it was")
        if found.inputs != inputs:
            names = ", ".join(changed_inputs(found.inputs, inputs)) or "what it reads"
            return Judged("rerun", f"changed since: {names}")
        return self._of_same_inputs(shelf, address, found)

    def foresee(self, preview: Preview, address: str, *, kept: bool) -> Any:
        """Tell a preview what becomes of the output at an address, and return it; ``UNKNOWN`` when the stage has to run."""
        maker = self.reader.maker(preview)
        if maker:
            preview.add(address, self._path, "rerun" if address in preview.recorded else "new", depends(maker))
            return UNKNOWN
        inputs = self.inputs_in(preview.scope)
        if not kept:
            preview.add(address, self._path, "rerun", "it is not kept (checkpoint=False)")
            return UNKNOWN
        judged = self.judge(preview.scope.run.shelf, address, inputs.digest)
        reason = judged.reason
        if inputs.unknown and judged.verdict == "rerun":
            reason = f"reads {inputs.unknown}, which cannot be compared with what it was"
        preview.add(address, self._path, judged.verdict, reason)
        return judged.output if judged.verdict in ("reuse", "stale") and judged.error is None else UNKNOWN

    def promises(self, preview: Preview, address: str) -> dict[str, str]:
        """Of a stage that is not kept: the origins of the fields that it makes without content."""
        inputs = "" if self.reader.maker(preview) else self.inputs_in(preview.scope).digest
        names = fields_without_json(self._contract) if inputs else ()
        return {name: self.origin(name, address, inputs) for name in names}

    def put(self, scope: Scope, address: str, inputs: str, output: Any) -> Any:
        """Record an output. It is durable, to the store's promise, when this returns.

        Returns:
            The output as a resumed run will find it.
        """
        shelf = scope.run.shelf
        if not self._looked_at_reads:
            self._looked_at_reads = True
            self._check_reads_unchanged(scope, inputs)
        checkpoint, output = self._checkpoint(shelf, address, inputs, output)
        crash_point("persist.before", address)
        shelf.recorder.record(address, output, checkpoint)
        crash_point("persist.after", address)
        return output

    def _check_reads_unchanged(self, scope: Scope, before: str) -> None:
        """Warn of a stage that changes what it reads: where its output is used again, nobody changes that."""
        if not before or not self.reader.may_be_changed(scope.values, scope.item):
            return
        now = self.inputs_in(scope).digest
        names = [name for name in changed_inputs(before, now) if name not in self._contract.fields]
        if now and names:
            logger.warning(
                "stage %r changes what it reads in place: %s. A resumed run, which takes its recorded output instead, does not do "
                "that. Let it return what it makes of it, as a field of its own",
                self._path,
                ", ".join(map(repr, names)),
            )

    def remember_origin(self, scope: Scope, address: str, inputs: str, output: Any) -> None:
        """Of a stage that is not kept: remember where its output comes from, for those who read what has no content."""
        if inputs:
            for name, value in self._contract.view(output).items():
                scope.run.shelf.origins.add(value, self.origin(name, address, inputs))

    def origin(self, name: str, address: str, inputs: str) -> str:
        """Where the field of a stage that is not kept comes from."""
        return digest(f"{name} of {address}: {self.code}: {inputs}".encode())

    def _checkpoint(self, shelf: Shelf, address: str, inputs: str, output: Any) -> tuple[Checkpoint, Any]:
        payload, back, changed = self._form.dump(output, shelf.folder)
        if changed:
            shelf.warn_once(
                self._path,
                "stage %r: its output (%s) comes back from the store as something else than it returned, and the run goes on with "
                "that. Declare what it is: .through(name=Type)",
                self._path,
                ", ".join(f"{name}: {type_name(form)}" for name, form in self._contract.fields.items()),
            )
        return Checkpoint(address, inputs, self._contract.schema_digest, self.code, payload, digest(payload)), back

    # -- what changed since ------------------------------------------------------------------------------------------------------

    def _of_same_inputs(self, shelf: Shelf, address: str, found: Checkpoint) -> Judged:
        policy = self._on_code_change or shelf.on_code_change
        changed = [_CODE_OR_OBJECT if self._written[1] else "its code"] if found.code != self.code else []
        if changed and policy == "rerun":
            return Judged("rerun", _since(changed))
        if changed and policy == "refuse":
            return _raising(changed, self._refusal(address, _since(changed)))
        if found.schema != self._contract.schema_digest:
            changed.append("its contract")
        try:
            with shelf.being_read():
                output, migrated = self._load(shelf, found)
        except IllFormed:
            return Judged("rerun", _DAMAGED, lost=True)
        except ArtifactLost as error:
            return Judged("rerun", str(error), lost=True)
        except ContractError as error:
            return _raising(changed, error)
        except _HookFailed as failed:
            return _raising(changed, failed.error, " in migrate")
        if not changed and not migrated:
            return Judged("reuse", "recorded, and reads the same", output)
        happens = "migrate= converts it" if migrated else "the recorded output is used all the same"
        return Judged("stale", f"{_since(changed)}; {happens}", output, migrated=migrated)

    def _load(self, shelf: Shelf, found: Checkpoint) -> tuple[Any, bool]:
        if self._migrate is None:
            return self._form.load(found.payload, shelf.folder), False
        if found.schema == self._contract.schema_digest:
            try:
                return self._form.load(found.payload, shelf.folder), False
            except ContractError:
                pass
        return self._migrated(read_object(found.payload), shelf, found.address), True

    def _migrated(self, stored: dict[str, Any], shelf: Shelf, address: str) -> Any:
        """What the hook makes of a recorded output: the values of its fields in JSON, or the output itself."""
        from pydantic_core import PydanticSerializationError, to_json

        stage = self._contract.stage
        if self._migrate is None:
            raise ContractError(f"stage {stage!r} has no migrate hook.")
        try:
            made = self._migrate(stored)
        except Exception as error:
            error.add_note(f"in hook 'migrate' of stage {stage!r} at {address}")
            raise _HookFailed(error) from error
        try:
            return self._contract.check(made)
        except ContractError as error:
            try:
                return self._form.load(to_json(made), shelf.folder)
            except (ContractError, IllFormed, PydanticSerializationError):
                wrong = _missing(self._contract, made) or str(error)
                raise ContractError(f"its migrate hook does not return what the contract takes: {wrong}") from None

    def _refusal(self, address: str, what: str) -> DefinitionChanged:
        return DefinitionChanged(
            f"stage {self._path!r}: {what}; its output at {address} was recorded before, which on_code_change='refuse' "
            "does not take. Change it back, run with on_code_change='rerun' or 'warn', or run under another name."
        )


def _since(changed: Sequence[str]) -> str:
    verb = "have" if len(changed) > 1 else "has"
    return f"{' and '.join(changed)} {verb} changed since" if changed else "what is recorded no longer fits"


def _raising(changed: Sequence[str], error: Exception, where: str = "") -> Judged:
    what = f"{type(error).__name__}: {message_of(error).split('. ')[0]}"
    return Judged("stale", f"{_since(changed)}; {RAISES} {what}{where}", error=error)


def _missing(contract: Contract, made: object) -> str | None:
    """The field that a mapping lacks which was meant as the fields of a contract with one."""
    name = next(iter(contract.fields), None)
    if contract.kind != "one" or not isinstance(made, Mapping) or name in made:
        return None
    return f"stage {contract.stage!r}: field {name!r} is missing from what it returned ({', '.join(map(str, made)) or 'nothing'})."
