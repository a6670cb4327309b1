"""Keeping the outputs of stages, and finding them again."""

from __future__ import annotations

import functools
import logging
import os
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from metta_sweep.clock import wall_time
from metta_sweep.errors import DefinitionChanged
from metta_sweep.pipeline.contract import Contract
from metta_sweep.pipeline.payload import to_payload
from metta_sweep.records import Checkpoint, LoopState, Record, Store, digest

__all__ = ["BY_HAND", "StageDigests", "StoreRecorder", "code_digest"]

logger: Final = logging.getLogger("metta_sweep")


BY_HAND: Final = {"kind": "pipeline"}
"""What a kept run is when nothing else is said: a pipeline that somebody runs by hand."""


class StoreRecorder:
    """Keeps every stage of a pipeline in a store, under its address."""

    keeps = True
    needs_inputs = True

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def settle_seed(self, given: int | None, definition: Mapping[str, Any]) -> int:
        """The seed of the run: the one given now, else the one it had before, else one drawn now. It is kept with the run.

        Raises:
            DefinitionChanged: the run is of another kind.
        """
        from pydantic_core import from_json, to_json

        kept: int | None = None
        for record in self._store.records(self._run_id):
            if record.kind == "start":
                note = from_json(record.payload)
                kept = note["seed"]
                _check_kind(note.get("definition", BY_HAND), definition)
        seed = given if given is not None else kept if kept is not None else int.from_bytes(os.urandom(4), "big")
        if seed != kept:
            payload = to_json({"version": 1, "seed": seed, "definition": definition})
            record = Record(self._store.end_of(self._run_id), 0, "", "start", wall_time(), 0.0, payload)
            self._store.append(self._run_id, (record,))
        return seed

    def recorded(self, address: str, inputs: str, schema: str, code: str) -> Checkpoint | None:
        """What was recorded here for the same inputs. Damaged records are never used; changed code is only warned about."""
        found = self._store.get_checkpoint(self._run_id, address)
        if found is None:
            return None
        if digest(found.payload) != found.digest:
            logger.warning("the checkpoint at %s is damaged and is not used; the stage runs again", address)
            return None
        if found.inputs != inputs:
            return None
        if found.code != code:
            logger.warning(
                "the code of the stage at %s has changed since its output was recorded; the recorded output is used", address
            )
        return found

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        """Keep the output of a stage."""
        if checkpoint is not None:
            self._store.put_checkpoint(self._run_id, checkpoint)

    def loop_state(self, address: str) -> LoopState | None:
        """Loops are replayed: their stages are reused one by one."""
        return None


def _check_kind(kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    if kept.get("kind") != given.get("kind"):
        raise DefinitionChanged(
            f"the run of this name was kept by something else: kind: kept {kept.get('kind')!r}, given {given.get('kind')!r}. "
            "Give this one another name."
        )


class StageDigests:
    """What the recorded output of a stage depends on."""

    def __init__(self, fn: Callable[..., Any], constants: Mapping[str, Any], contract: Contract) -> None:
        self._fn = fn
        self._constants = constants
        self._contract = contract

    def inputs(self, values: Mapping[str, Any], reads: Sequence[str] | None) -> str:
        """The digest of what the stage reads: its fields (all values, if it gets the whole context) and its constants."""
        read = values if reads is None else {name: values[name] for name in reads if name in values}
        return digest(_as_json({"fields": dict(sorted(read.items())), "constants": dict(sorted(self._constants.items()))}))

    def checkpoint(self, address: str, inputs: str, output: Any) -> Checkpoint:
        """The JSON form of an output."""
        payload = to_payload(self._contract, output)
        return Checkpoint(address, inputs, self._contract.schema_digest, self.code, payload, digest(payload))

    @cached_property
    def code(self) -> str:
        """The digest of the stage function's own code."""
        return code_digest(self._fn)


def code_digest(fn: Callable[..., Any]) -> str:
    """The digest of a function's own code: of a partial or method, that of the function behind it."""
    return digest(_code_of(fn).encode())


def _as_json(value: Any) -> bytes:
    from pydantic_core import to_json

    return to_json(value, fallback=_stand_in, inf_nan_mode="constants")


def _stand_in(value: object) -> str:
    """What stands for a value without a JSON form: functions by name, others by class. Their ``repr`` differs between runs."""
    name = getattr(value, "__qualname__", None)
    return f"<{name}>" if isinstance(name, str) else f"<{type(value).__qualname__}>"


def _code_of(fn: Any) -> str:
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        else:
            break
    code = getattr(fn, "__code__", None) or getattr(getattr(type(fn), "__call__", None), "__code__", None)  # noqa: B004
    return _describe(code) if isinstance(code, types.CodeType) else getattr(fn, "__qualname__", type(fn).__qualname__)


def _describe(code: types.CodeType) -> str:
    constants = [_describe(part) if isinstance(part, types.CodeType) else _constant(part) for part in code.co_consts]
    return f"{code.co_name}:{code.co_code.hex()}:{code.co_names}:{constants}"


def _constant(value: object) -> str:
    """The text of a constant. That of a set of words differs between processes, unless it is sorted."""
    return f"frozenset({sorted(map(repr, value))})" if isinstance(value, frozenset) else repr(value)
