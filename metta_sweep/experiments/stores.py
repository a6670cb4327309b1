"""From what users write for ``store=`` to a store."""

from __future__ import annotations

from collections.abc import Callable

from metta_sweep.errors import StoreError
from metta_sweep.records import Store
from metta_sweep.store import MemoryStore

__all__ = ["resolve_store"]

_METHODS = ("create_run", "find_run", "append", "records", "trial_rows", "put_checkpoint", "get_checkpoint")


def resolve_store(store: Store | str | None, where: str) -> Callable[[], Store]:
    """A function that gives the store of the next run.

    Raises:
        StoreError: it is none, or a place that cannot be used.
    """
    if store is None:
        own = MemoryStore()
        return lambda: own
    if store == "memory":
        return MemoryStore
    if isinstance(store, str) or not all(hasattr(store, method) for method in _METHODS):
        raise StoreError(
            where,
            "it is no store",
            found=store,
            expected="'memory' or a Store",
            remedy="Share one MemoryStore() between runs to continue in the same process; nothing is kept on disk yet",
        )
    given: Store = store
    return lambda: given
