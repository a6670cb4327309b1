"""Each contender in a process of its own, which waits for its turn: nobody's threads, imports or garbage weigh on another.

The parent asks, one at a time, for so many runs of one way to do ten stages; the child answers with the seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TextIO

from stage_maps import MAPS
from stage_ours import OURS
from stage_peers import IN_MEMORY, NEEDS
from stage_savers import IN_SQLITE
from stage_timing import Contender

__all__ = ["NOT_INSTALLED", "PEERS", "Bench", "Figure", "Way", "serve"]

NOT_INSTALLED: Final = "not installed"
QUIET: Final = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "HAMILTON_TELEMETRY_ENABLED": "false"}
"""Nobody is measured while it tells others what it does."""
SECONDS: Final = 0.25
"""What a measurement should take."""
NAMES: Final = ("hamilton", "pydantic_graph", "burr", "langgraph", "dbos")
PEERS: Final[Mapping[str, Mapping[str, Contender]]] = {
    peer: {**IN_MEMORY.get(peer, {}), **IN_SQLITE.get(peer, {})} for peer in NAMES
}
"""Per peer its ways to do ten stages: in memory, kept in SQLite as delivered, and kept without a wait for the disk."""
CONTENDERS: Final[Mapping[str, Mapping[str, Contender]]] = {**PEERS, **MAPS, "ours": {**OURS, **MAPS["ours"]}}
DISTRIBUTIONS: Final = {"hamilton": "sf-hamilton", "pydantic_graph": "pydantic-graph"}


class Way(NamedTuple):
    """One way to do the work: whose, and its name there."""

    peer: str
    name: str


class Figure(NamedTuple):
    """What a way costs, in seconds per run."""

    median: float
    low: float
    high: float
    ratio: float | None
    """How many times as long as its counterpart it took: the median of measurements side by side."""


class Unavailable(Exception):
    """Why a way has no figures."""


def serve(peer: str) -> None:
    """In the child: answer until the parent goes. What a peer prints is no answer."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers, tempfile.TemporaryDirectory() as folder:
        os.dup2(2, 1)
        print(json.dumps(_greeting(peer)), file=answers)
        for line in sys.stdin:
            name, runs = json.loads(line)
            gc.collect()
            try:
                answer: dict[str, Any] = {"seconds": CONTENDERS[peer][name](runs, Path(folder))}
            except Exception as error:  # noqa: BLE001  # it is data: a row of the table says that this one failed
                answer = {"failed": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers)


def _greeting(peer: str) -> dict[str, Any]:
    try:
        for module in NEEDS.get(peer, ("anyio",) if peer == "anyio" else ()):
            importlib.import_module(module)
    except ModuleNotFoundError:
        return {"failed": NOT_INSTALLED}
    except Exception as error:  # noqa: BLE001  # as above
        return {"failed": f"{type(error).__name__}: {error}"}
    with suppress(PackageNotFoundError):
        return {"version": version(DISTRIBUTIONS.get(peer, peer))}
    return {"version": ""}


class Child:
    """A process that measures one peer."""

    def __init__(self, peer: str) -> None:
        self._errors: TextIO = tempfile.TemporaryFile("w+")  # noqa: SIM115  # it is closed with the process
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("stages.py")), "--peer", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **QUIET},
        )
        self._asks: Any = self._process.stdin
        self._answers: Any = self._process.stdout
        self.failed: str | None = None
        self.version = ""
        try:
            self.version = self._answer()["version"]
        except Unavailable as error:
            self.failed = str(error)

    def seconds(self, name: str, runs: int) -> float:
        """The seconds of so many runs."""
        if self.failed is not None:
            raise Unavailable(self.failed)
        with suppress(BrokenPipeError):  # the missing answer tells it
            print(json.dumps([name, runs]), file=self._asks, flush=True)
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            self._errors.seek(0)
            told = self._errors.read().strip().splitlines()
            self.failed = f"its process ended: {told[-1] if told else 'without a word'}"
            raise Unavailable(self.failed)
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Unavailable(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._asks.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._errors.close()


class Bench:
    """The processes, and what they measured."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}
        self._stack = ExitStack()
        self._runs: dict[Way, int] = {}
        self.failures: dict[Way, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def measure(self, ways: Sequence[tuple[Way, Way | None]], rounds: int) -> dict[Way, Figure]:
        """The figures of ways that are given with their counterparts. A counterpart is measured anew right before each."""
        counterparts = dict(ways)
        samples: dict[Way, list[float]] = {}
        ratios: dict[Way, list[float]] = {}
        for turn in range(rounds):
            for way in list(counterparts)[:: -1 if turn % 2 else 1]:
                if way in self.failures:
                    continue
                counterpart = counterparts[way]
                base = None if counterpart is None else self._sample(counterpart, samples)
                figure = self._sample(way, samples)
                if base is not None and figure is not None:
                    ratios.setdefault(way, []).append(figure / base)
        return {
            way: Figure(median(taken), min(taken), max(taken), median(ratios[way]) if way in ratios else None)
            for way, taken in samples.items()
            if way not in self.failures
        }

    def version(self, peer: str) -> str:
        """The version of a peer that was measured."""
        return self._child(peer).version

    def _sample(self, way: Way, samples: dict[Way, list[float]]) -> float | None:
        if way in self.failures:
            return None
        try:
            runs = self._calibrated(way)
            figure = self._child(way.peer).seconds(way.name, runs) / runs
        except Unavailable as error:
            self.failures[way] = str(error)
            return None
        samples.setdefault(way, []).append(figure)
        return figure

    def _calibrated(self, way: Way) -> int:
        """As many runs as fill a measurement; finding out is its warm-up."""
        if way not in self._runs:
            runs, seconds = 1, 0.0
            while seconds < SECONDS / 4 and runs < 100_000:
                seconds = self._child(way.peer).seconds(way.name, runs)
                self._runs[way] = max(1, round(runs * SECONDS / max(seconds, 1e-6)))
                runs *= 8
        return self._runs[way]

    def _child(self, peer: str) -> Child:
        if peer not in self._children:
            self._children[peer] = Child(peer)
            self._stack.callback(self._children[peer].close)
        return self._children[peer]
