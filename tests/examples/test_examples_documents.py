"""The code of the guides runs, block by block, as in a notebook."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
LIBRARIES = {
    "meta": ["scipy"],
    "nesting": ["optuna"],
    "optimizers": ["sklearn", "scipy", "optuna", "nevergrad"],
    "schedulers": ["scipy"],
}
"""What the code of a guide needs beside the package."""


@pytest.mark.parametrize(
    "name",
    [
        "extending",
        "meta",
        "nesting",
        "pipelines",
        "testing",
        pytest.param("optimizers", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
        pytest.param("schedulers", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_the_code_of_a_guide_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blocks with await in an event loop, the others outside of one; what is asserted holds; what is shown as text is printed."""
    for library in LIBRARIES.get(name, ()):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) > 4
    namespace: dict[str, Any] = {"__name__": name}
    for number, block in enumerate(blocks, 1):
        code = compile(block, f"{name}.md, block {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        pending = eval(code, namespace)
        if inspect.iscoroutine(pending):
            asyncio.run(pending)
    assert list(tmp_path.iterdir()) == []
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    shown = re.findall(r"^```text\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert [block for block in shown if block.rstrip() not in printed] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_members_of_the_guide_pass_their_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimizer, scheduler, executor and store that docs/extending.md writes do what their conformance suites ask for."""
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "extending.md").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "extending"}
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        exec(block, namespace)
    suites = [suite for name, suite in namespace.items() if name.startswith("Test")]
    assert len(suites) == 4
    passed = [suite.__name__ for suite in suites for name in dir(suite) if name.startswith("test_") and _passes(suite(), name)]
    assert {passed.count(suite.__name__) > 15 for suite in suites} == {True}


def _passes(case: Any, name: str) -> bool:
    """Whether one test of a suite passes; False where it is skipped. Raises where it fails."""
    for step in ("setup_method", name):
        try:
            getattr(case, step, lambda: None)()
        except pytest.skip.Exception:
            return False
        finally:
            if step == name:
                getattr(case, "teardown_method", lambda: None)()
    return True


@pytest.mark.parametrize("name", ["bandits", "durability", "early_stopping", "logging"])
def test_the_code_of_a_short_document_runs(name: str, tmp_path: Path) -> None:
    """It runs in a process of its own, since it may set up logging, and leaves no file behind."""
    code = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{name}.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parent)}
    subprocess.run([sys.executable, "-c", "\n".join(code)], check=True, cwd=tmp_path, env=environment)
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_the_guide_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The contract table that the guide shows is the one that its code prints."""
    text = (DOCS / "pipelines.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```\n(stage .*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    first = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)[0].replace("await plan.run(n=4)", "None")
    namespace: dict[str, Any] = {}
    exec(first.partition("result =")[0] + "print(plan.describe())", namespace)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [line.rstrip() for line in shown[0].splitlines()]
