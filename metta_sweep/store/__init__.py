"""What is kept."""

from metta_sweep.store.memory import MemoryStore

__all__ = ["MemoryStore"]
