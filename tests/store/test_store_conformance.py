"""Both stores do what every store must do."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from metta_sweep.records import Store
from metta_sweep.store import MemoryStore, SqliteStore
from metta_sweep.testing import StoreConformance


class TestMemoryStore(StoreConformance):
    """The store in memory."""

    def make_store(self) -> Store:
        """A new one."""
        return MemoryStore()


class TestSqliteStore(StoreConformance):
    """The durable store."""

    def make_store(self) -> Store:
        """A new file in a new folder."""
        self.folder = Path(tempfile.mkdtemp())
        return SqliteStore(self.folder / "sweeps.db")

    def teardown_method(self) -> None:
        """Close it and remove the file."""
        super().teardown_method()
        shutil.rmtree(self.folder)


class TestSqliteStoreAgainstPowerCuts(TestSqliteStore):
    """The durable store that flushes every commit."""

    def make_store(self) -> Store:
        """A new file in a new folder."""
        self.folder = Path(tempfile.mkdtemp())
        return SqliteStore(self.folder / "sweeps.db", durability="power")
