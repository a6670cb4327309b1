"""What holds for the project as a whole: its layout, its facade and its documents."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "metta_sweep"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
HEAVY = ["numpy", "rich", "structlog", "pydantic", "sqlalchemy", "sklearn", "pandas", "polars", "optuna"]


def code_blocks(document: Path) -> list[str]:
    """The Python code of a document."""
    return re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def imported_names(code: str) -> list[tuple[str, str]]:
    """Modules and names that the code imports from this package."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(code, "document", "exec", flags=flags, dont_inherit=True)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [
        (node.module, alias.name) for node in found if node.module and node.module.startswith("metta_sweep") for alias in node.names
    ]


def test_files_stay_short() -> None:
    """No file of the package is longer than 350 lines, but for the one that holds every exception."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 350 and not path.endswith("/errors.py")} == {}


def test_the_rooms_of_the_pipeline_are_layered() -> None:
    """At run time parts import from running, that from keeping, that from proof, and that from contracts: never the other way."""
    layers = ["contracts", "proof", "keeping", "running", "parts"]
    upward = []
    for number, room in enumerate(layers):
        for path in (PACKAGE / "pipeline" / room).glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for_types = {
                id(inner)
                for node in ast.walk(tree)
                if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
                for inner in ast.walk(node)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module and id(node) not in for_types:
                    there = node.module.removeprefix("metta_sweep.pipeline.").split(".", maxsplit=1)[0]
                    if there in layers[number + 1 :]:
                        upward.append(f"{room}/{path.name} imports {node.module}")
    assert upward == []


def test_no_module_is_called_what_says_nothing() -> None:
    """There are no utils.py, common.py, helpers.py or base.py."""
    assert [path for path in PACKAGE.rglob("*.py") if path.stem in {"utils", "util", "common", "helpers", "base", "misc"}] == []


def test_the_architecture_names_files_that_exist() -> None:
    """Every path in docs/architecture.md leads to a file."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:metta_sweep|examples|benchmarks|tests)/[\w/.]+\.py)`", text))
    assert len(paths) > 40
    assert sorted(path for path in paths if not (ROOT / path).is_file()) == []


def test_the_architecture_names_every_room() -> None:
    """Every folder of the package is drawn in docs/architecture.md."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = [path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    assert [room for room in rooms if f"  {room}/ " not in text] == []


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link in a document leads to a file or folder."""
    links = [
        (document, link)
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", re.sub(r"`[^`\n]*`", "", document.read_text(encoding="utf-8")))
    ]
    broken = [f"{document.name}: {link}" for document, link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


def test_every_name_of_the_facade_resolves() -> None:
    """Everything in __all__ of the package and of its rooms is there."""
    rooms = [f"metta_sweep.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")]
    for module in map(importlib.import_module, ["metta_sweep", *sorted(rooms)]):
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert (module.__name__, missing) == (module.__name__, [])


def test_the_facade_lists_what_it_has() -> None:
    """dir() of the package shows every public name, and an unknown one is an AttributeError."""
    module = importlib.import_module("metta_sweep")
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_importing_the_package_loads_no_heavy_library() -> None:
    """`import metta_sweep` is cheap: what is slow to import comes when it is needed."""
    code = f"import sys, metta_sweep; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_in_documents_imports_what_exists(document: Path) -> None:
    """Every name that a document's code imports from the package is there."""
    for module, name in [pair for block in code_blocks(document) for pair in imported_names(block)]:
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"
