"""The files that type checkers are tried on: what is marked in them, and what the checkers report."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RIGHT = sorted((ROOT / "tests/typing/right").glob("*.py"))
WRONG = sorted((ROOT / "tests/typing/wrong").glob("*.py"))
CHECKERS = ("mypy", "pyright")
MARK = re.compile(r"# E: ((?:mypy |pyright |build )*(?:mypy|pyright|build))$")

DOCUMENT = ROOT / "docs/typing.md"
DOCUMENTED = "documented.py"
"""The name under which the document's code is checked."""

Places = set[tuple[str, int]]
"""File names and line numbers."""


class Mistake(NamedTuple):
    """One wrong pipeline, and who is to find what is wrong with it."""

    file: str
    line: int
    title: str
    found_by: tuple[str, ...]
    make: Callable[[], Any]


def load(path: Path) -> ModuleType:
    """Import a file of the corpus."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # postponed annotations are resolved there
    spec.loader.exec_module(module)
    return module


def mistakes() -> Iterator[Mistake]:
    """Every wrong pipeline: a function of its own, whose docstring is its title and whose last line is marked."""
    for path in WRONG:
        lines = path.read_text(encoding="utf-8").splitlines()
        for fn in vars(load(path)).values():
            if getattr(fn, "__annotations__", {}) == {"return": "object"}:
                start = fn.__code__.co_firstlineno
                number, mark = next((n, m) for n, line in enumerate(lines[start:], start + 1) if (m := MARK.search(line)))
                yield Mistake(path.name, number, fn.__doc__.removesuffix("."), tuple(mark[1].split()), fn)


def marked(checker: str) -> Places:
    """The lines at which a checker is to report something."""
    return {
        (path.name, number)
        for path in WRONG
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (mark := MARK.search(line)) and checker in mark[1].split()
    }


def documented_code() -> str:
    """The code of the document, as one module."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE))


def reported(folder: Path) -> dict[str, Places]:
    """The lines of the corpus at which each checker reports an error; ``folder`` is an empty one."""
    (folder / DOCUMENTED).write_text(documented_code(), encoding="utf-8")
    files = [str(path) for path in (*RIGHT, *WRONG, folder / DOCUMENTED)]
    python = sys.executable
    commands = {
        "mypy": (ROOT, [python, "-m", "mypy", "--config-file", "pyproject.toml", "--output", "json", *files]),
        "pyright": (folder, [python, "-m", "pyright", "--pythonpath", python, "--pythonversion", "3.11", "--outputjson", *files]),
    }
    running = {
        checker: subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True)
        for checker, (cwd, command) in commands.items()
    }
    told = {checker: process.communicate(timeout=280)[0] for checker, process in running.items()}
    return {"mypy": set(_of_mypy(told["mypy"])), "pyright": set(_of_pyright(told["pyright"]))}


def _of_mypy(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        entry = json.loads(line)
        if entry["severity"] == "error" and _is_ours(entry["file"]):
            yield Path(entry["file"]).name, entry["line"]


def _of_pyright(text: str) -> Iterator[tuple[str, int]]:
    answer = json.loads(text)
    if answer["summary"]["filesAnalyzed"] < len(RIGHT) + len(WRONG):
        raise AssertionError(f"pyright read {answer['summary']['filesAnalyzed']} files of the corpus only")
    for entry in answer["generalDiagnostics"]:
        if entry["severity"] == "error" and _is_ours(entry["file"]):
            yield Path(entry["file"]).name, entry["range"]["start"]["line"] + 1


def _is_ours(file: str) -> bool:
    path = (ROOT / file).resolve()
    return path.name == DOCUMENTED or path in (*RIGHT, *WRONG)


def table() -> str:
    """The mistakes as a table of a document, the checkers' findings beside those of ``build()``."""
    rows = ["| mistake | mypy | pyright | `build()` |", "|---|---|---|---|"]
    for mistake in mistakes():
        cells = ["yes" if finder in mistake.found_by else "-" for finder in (*CHECKERS, "build")]
        rows.append(f"| {mistake.title} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
