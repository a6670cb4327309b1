"""What all tests share: no test writes a store into the working directory."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments that are given no store keep nothing beyond the run."""
    monkeypatch.setenv("METTA_SWEEP_STORE", "memory")
