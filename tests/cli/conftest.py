"""A folder with an experiment, and the command line in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_kit import SWEEP, Cli


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in a new folder, which has ``tried_sweep.py``; runs are kept in ``kept.db`` there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METTA_SWEEP_STORE", "kept.db")
    monkeypatch.setenv("COLUMNS", "120")
    it = Cli(tmp_path, capsys)
    it.file("tried_sweep.py", SWEEP)
    return it
