"""The documents on executors say what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_example_of_simulated_time_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints hours and a learning rate."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (DOCS / "simulation.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(code, "simulation.md", "exec"), {})  # our own document

    assert re.search(r"[\d.]+ simulated hours, best \{'lr': 0\.0", capsys.readouterr().out)
