"""The result of a sweep as a value that pipelines keep: a reference to its run, read back by folding the journal of that."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from metta_sweep.experiments.stores import resolve_store
from metta_sweep.experiments.tree.node import enclosing
from metta_sweep.pipeline.keeping.artifact import ArtifactLost
from metta_sweep.pipeline.keeping.shelf import read_from
from metta_sweep.records import RunRow, Store

if TYPE_CHECKING:
    from pydantic_core.core_schema import CoreSchema

    from metta_sweep.experiments.result import SweepResult

__all__ = ["reference", "revived", "schema_of"]

_REFERENCE: Final = frozenset({"run", "name", "events"})
_live: Final[WeakValueDictionary[str, SweepResult]] = WeakValueDictionary()
"""Results that were kept by this process and are still there, by the ids of their runs: they need not be folded."""


def reference(result: SweepResult) -> dict[str, Any]:
    """What is kept of a result: which run, and how many events of it."""
    _live[result.run_id] = result
    path = getattr(result.store, "path", None)
    said = {} if path is None else {"store": str(path)}
    return {"run": result.run_id, "name": result.name, "events": len(result.trace), **said}


def schema_of(kind: type[SweepResult]) -> CoreSchema:
    """How pydantic checks, writes and reads results."""
    from pydantic_core import core_schema

    fields = {
        "run": core_schema.typed_dict_field(core_schema.str_schema()),
        "name": core_schema.typed_dict_field(core_schema.nullable_schema(core_schema.str_schema())),
        "events": core_schema.typed_dict_field(core_schema.int_schema()),
        "store": core_schema.typed_dict_field(core_schema.str_schema(), required=False),
    }
    kept = core_schema.typed_dict_schema(fields)
    return core_schema.json_or_python_schema(
        json_schema=core_schema.no_info_after_validator_function(_read, kept),
        python_schema=core_schema.is_instance_schema(kind),
        serialization=core_schema.plain_serializer_function_ser_schema(reference, return_schema=kept),
    )


def _read(kept: dict[str, Any], known: Store | None = None) -> SweepResult:
    """The result that a reference stands for, as it was then; optimizer and scheduler without what they had learned.

    Raises:
        ArtifactLost: its run is not there any more: what made it has to run again.
    """
    from metta_sweep.experiments.read_back import read_sweep

    run_id, events = kept["run"], kept["events"]
    live = _live.get(run_id)
    if live is not None and len(live.trace) == events:
        same = copy.copy(live)
        same._optimizer = same._scheduler = None  # noqa: SLF001  # as it will be read back, and so on with that
        return same
    for store in _stores(known, live, kept.get("store")):
        row: RunRow | None = store.find_run(run_id)
        if row is not None and row.run_id == run_id and store.end_of(run_id) >= events:
            return read_sweep(store, row, end=events)
    raise ArtifactLost(
        f"the run {kept['name'] or run_id!r}, whose result was recorded, is not in the store any more"
        + (f" (it was kept in {kept['store']!r})" if "store" in kept else "")
    )


def revived(value: Any, store: Store) -> Any:
    """The result of a sweep that a value out of JSON is a reference to, where its run is in the store; anything else as it is."""
    if not isinstance(value, dict) or not value.keys() >= _REFERENCE:
        return value
    try:
        return _read(value, store)
    except ArtifactLost:
        return value


def _stores(known: Store | None, live: SweepResult | None, path: str | None) -> Iterator[Store]:
    """Where its run may be kept: where it is known to be, in the store of the experiment that reads it, where it was kept then."""
    for store in (known, read_from.get()):
        if store is not None:
            yield store
    if live is not None:
        yield live.store
    node = enclosing()
    if node is not None:
        yield node.store
    if path is not None and Path(path).is_file():
        yield resolve_store(path, "store")()
