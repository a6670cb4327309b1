"""``FILE[:NAME]``: which experiment is meant."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import Cli, imports_forgotten

from metta_sweep.cli.exits import UsageError
from metta_sweep.cli.target import find_experiment

ONE = "SweepExperiment(objective=lambda x: x, search_space={'x': Uniform(0, 1)}"
HEAD = "from metta_sweep import *\n"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What these tests import is forgotten."""
    with imports_forgotten():
        yield


def refusal(target: str) -> str:
    """Why a target is refused."""
    with pytest.raises(UsageError) as refused:
        find_experiment(target)
    return str(refused.value)


def test_the_one_experiment_of_a_file_needs_no_name(cli: Cli) -> None:
    """Two names of one object are one experiment."""
    cli.file("single.py", f"{HEAD}e = {ONE}, name='s')\nalso = e")
    found = find_experiment("single.py")
    assert found.experiment.name == "s"
    assert found.spelled == "single.py:e"


def test_an_edit_of_the_same_size_within_a_second_counts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytecode that Python keeps beside files could not tell; none is left in the user's folder."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name in ("one", "two"):
        path = cli.file("edited.py", f"{HEAD}e = {ONE}, name={name!r})")
        os.utime(path, (1, 1))
        with imports_forgotten():
            assert find_experiment("edited.py").experiment.name == name
    assert list(cli.folder.glob("**/*.pyc")) == []


def test_several_need_a_name(cli: Cli) -> None:
    """The error lists them all, with the names that they were given."""
    cli.file("several.py", f"{HEAD}a = {ONE})\nb = {ONE}, name='second')")
    told = refusal("several.py")
    assert "2 experiments" in told
    assert "a, b (named 'second')" in told
    assert "several.py:a" in told
    assert find_experiment("several.py:b").experiment.name == "second"


def test_the_name_of_an_experiment_finds_it_too(cli: Cli) -> None:
    """Variables go first; what can be written again is the variable."""
    cli.file("named.py", f"{HEAD}a = {ONE}, name='with-dash')\nb = {ONE}, name='a')")
    assert find_experiment("named.py:with-dash").spelled == "named.py:a"
    assert find_experiment("named.py:a").experiment.name == "with-dash"


def test_factories(cli: Cli) -> None:
    """A function that is annotated to return an experiment is found; any other, and a class, when it is named."""
    cli.file(
        "factory.py",
        f"{HEAD}def make() -> SweepExperiment:\n    return {ONE}, name='made')\n"
        f"def other():\n    return {ONE}, name='other')\n"
        "class Sub(SweepExperiment):\n    pass\n"
        "def needs(x) -> SweepExperiment: ...\n",
    )
    assert find_experiment("factory.py").experiment.name == "made"
    assert find_experiment("factory.py:other").experiment.name == "other"
    assert type(find_experiment("factory.py:Sub").experiment).__name__ == "Sub"
    told = refusal("factory.py:needs")
    assert "factory.py:needs: 'needs' is no experiment: to make one it needs 'x'" in told
    assert "the file has make" in told
    assert "<function" not in told


def test_names_that_are_none(cli: Cli) -> None:
    """The error says which there are, and which was probably meant."""
    cli.file("typo.py", f"{HEAD}experiment = {ONE})\nnumber = 3")
    assert "Did you mean 'experiment'?" in refusal("typo.py:experimant")
    told = refusal("typo.py:number")
    assert "is no experiment" in told
    assert "found 3" in told


def test_a_file_without_experiments(cli: Cli) -> None:
    """The error says what to write."""
    cli.file("empty_file.py", "x = 1")
    assert "no experiment at module level" in refusal("empty_file.py")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.py", "there is no such file"),
        ("notes.txt", "cannot be imported"),
        ("my-sweep.py", "cannot be imported"),
        ("random.py", "hides the module 'random', which is in use"),
        ("this.py", "hides the module 'this' of Python's library"),
        ("cli_kit.py", "hides the module 'cli_kit'"),
    ],
)
def test_files_that_cannot_be_used(cli: Cli, name: str, told: str) -> None:
    """Each with what was found and what is expected."""
    if name != "missing.py":
        cli.file(name, "x = 1")
    assert told in refusal(name)
    assert Path(name).name in refusal(name)


def test_a_folder_is_no_file(cli: Cli) -> None:
    """It is said so; and an empty target is not shown as the name of a file."""
    (cli.folder / "digits.py").mkdir()
    assert "digits.py: it is a folder" in refusal("digits.py")
    told = refusal("")
    assert told.startswith("FILE: no file is named; expected")


def test_a_file_that_is_no_python_is_one_message(cli: Cli) -> None:
    """The place in the user's file, and nothing of how it was imported."""
    cli.file("slip.py", "x = 1\ndef f(:\n    pass\n")
    said = cli("run", "slip.py")
    assert said.code == 1
    assert "slip.py cannot be imported:" in said.err
    assert "line 2" in said.err
    assert "def f(:" in said.err
    assert "Traceback" not in said.err
    assert "slip" not in sys.modules


def test_a_file_is_imported_under_its_own_name_and_finds_its_neighbours(cli: Cli) -> None:
    """Not as ``__main__``: what it guards with that does not run."""
    (cli.folder / "sub").mkdir()
    cli.file("sub/neighbour_of_it.py", "value = 'n'")
    cli.file(
        "sub/asks_neighbour.py",
        f"{HEAD}from neighbour_of_it import value\ne = {ONE}, name=value)\nif __name__ == '__main__':\n    raise SystemExit(9)",
    )
    assert find_experiment("sub/asks_neighbour.py").experiment.name == "n"
    assert sys.modules["asks_neighbour"].__name__ == "asks_neighbour"


def test_a_file_that_fails_leaves_no_module_behind(cli: Cli) -> None:
    """The next try imports it again."""
    cli.file("breaks_once.py", "raise KeyError('x')")
    with pytest.raises(KeyError):
        find_experiment("breaks_once.py")
    cli.file("breaks_once.py", f"{HEAD}\ne = {ONE}, name='fine now')")
    assert "breaks_once" not in sys.modules
