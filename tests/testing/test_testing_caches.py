"""The cache of the process, between tests."""

from __future__ import annotations

from metta_sweep.pipeline import Pipeline, PipelineEvent, StageReused
from metta_sweep.store.memory import MemoryStore
from metta_sweep.testing import clear_cache


async def double(n: int) -> int:
    """A stage that is worth caching."""
    return 2 * n


async def test_what_was_cached_in_the_process_is_forgotten() -> None:
    """A cached stage runs again after it, once; what a store has cached is left alone."""
    store = MemoryStore()
    plan = Pipeline(n=int).stage("double", double).through(x=int, cache=True).build()

    async def reused(given: MemoryStore | None = None) -> bool:
        events: list[PipelineEvent] = []
        await plan.run(n=1, store=given, listeners=[events.append])
        return any(isinstance(event, StageReused) for event in events)

    clear_cache()
    assert [await reused(), await reused(), await reused(store), await reused(store)] == [False, True, False, True]
    clear_cache()
    assert [await reused(), await reused(), await reused(store)] == [False, True, True]
    clear_cache()
