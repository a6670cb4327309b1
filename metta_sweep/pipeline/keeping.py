"""How the output of one stage is kept in a store, and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from metta_sweep.clock import crash_point
from metta_sweep.pipeline.payload import from_payload
from metta_sweep.pipeline.recording import StageDigests

if TYPE_CHECKING:
    from metta_sweep.pipeline.run import Scope
    from metta_sweep.pipeline.stage import StageSpec

__all__ = ["Found", "Keeping"]


class Found(NamedTuple):
    """A recorded output that still holds."""

    output: Any


class Keeping:
    """Keeps the outputs of one stage, and takes them up again.

    Args:
        spec: the stage.
        reads: the fields that it reads; None: all.
    """

    def __init__(self, spec: StageSpec, reads: tuple[str, ...] | None) -> None:
        self._contract = spec.contract
        self._reads = reads
        self._digests = StageDigests(spec.fn, spec.constants, spec.contract)

    def inputs(self, scope: Scope) -> str:
        """The digest of what the stage reads here."""
        return self._digests.inputs(scope.values, self._reads)

    def find(self, scope: Scope, address: str, inputs: str) -> Found | None:
        """What is recorded at an address for these inputs; None when the stage has to run."""
        recorded = scope.run.recorder.recorded(address, inputs, self._contract.schema_digest, self._digests.code)
        return None if recorded is None else Found(from_payload(self._contract, recorded.payload))

    def put(self, scope: Scope, address: str, inputs: str, output: Any) -> None:
        """Record an output. It is durable, to the store's promise, when this returns."""
        crash_point("persist.before", address)
        scope.run.recorder.record(address, output, self._digests.checkpoint(address, inputs, output))
        crash_point("persist.after", address)
