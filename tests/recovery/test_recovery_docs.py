"""docs/durability.md names, for each promise, tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_has_tests_that_exist() -> None:
    """R1 to R10, P1 to P10 of pipelines, T1 to T4 of trees: each row names a promise, and at least three tests (of trees: one)."""
    rows = re.findall(r"^\| ([RPT]\d+) \|(.*)$", (ROOT / "docs/durability.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [name for name, _ in rows] == [
        f"{kind}{number}" for kind, count in [("R", 10), ("P", 10), ("T", 4)] for number in range(1, count + 1)
    ]
    for promise, row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert len(named) >= (1 if promise.startswith("T") else 3), promise
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{promise}: {file} has no {test}"
