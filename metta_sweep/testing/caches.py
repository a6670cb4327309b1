"""The cache that runs without a store share, for tests that are not to share it."""

from metta_sweep.pipeline.keeping.caching import in_process

__all__ = ["clear_cache"]


def clear_cache() -> None:
    """Forget what stages with ``cache=True`` have made in runs without a store. Caches of stores are left alone."""
    in_process.clear()
