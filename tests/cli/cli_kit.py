"""What the tests of the command line share: files of users, and ways to run commands on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from metta_sweep.cli import main

ROOT = Path(__file__).parents[2]

SWEEP = """
import asyncio

from metta_sweep import Choice, SweepExperiment, TrialContext, Uniform
from metta_sweep.schedulers import IterationScheduler


async def train(trial: TrialContext) -> float:
    if trial.number == 3:
        raise ValueError("it [bold]broke[/bold] \\x1b[31m")
    trial.report(1, loss=0.5)
    trial.report(2, loss=0.25)
    await asyncio.sleep(0)
    return trial.params["x"]


experiment = SweepExperiment(
    name="tried",
    objective=train,
    search_space={"x": Uniform(0, 1), "model": Choice(["tree", "net"])},
    scheduler=IterationScheduler(branch_by="model"),
    seed=0,
    slots=2,
    store="kept.db",
    tags=["first"],
)
"""


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on its standard output."""
        return self.out.splitlines()


class Cli:
    """Runs commands in this process, in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        """Run a command."""
        self._capsys.readouterr()
        with imports_forgotten():
            code = main(arguments)
        out, err = self._capsys.readouterr()
        return Said(code, out, err)

    def file(self, name: str, text: str) -> Path:
        """A file of a user."""
        path = self.folder / name
        path.write_text(text)
        return path

    def journal(self) -> dict[str, int]:
        """The database and its log, with digests of what is in them."""
        paths = [self.folder / name for name in ("kept.db", "kept.db-wal")]
        return {path.name: hash(path.read_bytes()) for path in paths if path.exists() and path.stat().st_size}


@contextmanager
def imports_forgotten() -> Iterator[None]:
    """What a command imports, and where from, is forgotten after it."""
    modules, path = set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin is None or (str(ROOT) not in origin and "site-packages" not in origin and "lib/python" not in origin):
                del sys.modules[name]


def environment(**more: str) -> dict[str, str]:
    """For processes of their own."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **more}


def command(*arguments: str) -> Sequence[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "metta_sweep", *arguments]
