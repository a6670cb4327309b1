"""What all tests share: none writes a store into the working directory, and in none does what is kept become code."""

from __future__ import annotations

import pytest
from load_paths import audited, no_code_from_data

__all__ = ["audited", "no_code_from_data"]


@pytest.fixture(autouse=True)
def _keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments that are given no store keep nothing beyond the run."""
    monkeypatch.setenv("METTA_SWEEP_STORE", "memory")
