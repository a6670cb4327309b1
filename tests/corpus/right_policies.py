"""Cache, artifacts, deadlines, processes: policies and what goes with them."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from metta_sweep.pipeline import Artifact, Cache, Retry, StageContext

from .cases import Pipeline, right
from .parts import Machine, SuggestionOutput, Task, Trial, count, square, suggest


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


def write(n: int) -> Artifact:
    file = _folder() / "weights.bin"
    file.write_bytes(bytes(n))
    return Artifact(file)


def size(weights: Artifact) -> int:
    return len(weights.read_bytes())


def helper(n: int) -> int:
    return n + 1


def slow(n: int) -> int:
    return helper(n)


def make(n: int) -> Machine:
    return Machine()


def use(machine: Machine) -> str:
    return type(machine).__name__


@right(inputs={"n": 3}, gives={"size": 3}, kept=True)
def artifact() -> Any:
    """A file is kept by its content, and there again in the second run."""
    return Pipeline(n=int).stage("write", write).through(weights=Artifact).stage("size", size)


@right(inputs={"n": 3}, gives={"size": 3})
def artifact_without_a_store() -> Any:
    """Without a store it is just the path."""
    return Pipeline(n=int).stage("write", write).through(weights=Artifact).stage("size", size)


@right(inputs={"seed": 2}, gives={"trials": [Trial(id="2", score=2.0)]}, kept=True)
def cached() -> Any:
    """What a stage makes of fields with a JSON form may be cached."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, cache=True)


@right(inputs={"n": 2}, gives={"m": 3}, kept=True)
def cached_with_a_policy() -> Any:
    """A version, and helpers whose code counts."""
    return Pipeline(n=int).stage("slow", slow).through(m=int, cache=Cache(version=2, include=[helper]))


@right(inputs={"n": 2}, gives={"use": "Machine"}, kept=True)
def opted_out() -> Any:
    """What has no JSON form is made again in each run."""
    return Pipeline(n=int).stage("make", make).through(machine=Machine, checkpoint=False).stage("use", use).through(use=str)


@right(inputs={"n": 2}, gives={"use": "Machine"})
def no_json_form_without_a_store() -> Any:
    """Nothing is asked of a value that is not kept."""
    return Pipeline(n=int).stage("make", make).through(machine=Machine).stage("use", use)


@right(inputs={"n": 2}, gives={"m": 3})
def deadlines() -> Any:
    """A deadline for each attempt, and one for all."""
    return Pipeline(n=int).stage("count", count).through(m=int, timeout=5, total_timeout=20, retry=Retry(2))


@right(inputs={"n": 2}, gives={"m": True})
def remaining_time() -> Any:
    """A stage is told how much time is left."""

    def stage(n: int, stage: StageContext) -> bool:
        remaining = stage.remaining()
        return remaining is not None and 0 < remaining <= 30

    return Pipeline(n=int).stage("stage", stage).through(m=bool, timeout=30)


@right(inputs={"x": 3}, gives={"y": 9})
def process() -> Any:
    """A function that can be imported may run in a process that can be ended."""
    return Pipeline(x=int).stage("square", square).through(y=int, timeout=30, timeout_mode="process")


@right(inputs={"n": 2}, gives={"name": "2"}, kept=True)
def migration() -> Any:
    """A migration, and what is to be done about changed code."""

    def task(n: int) -> Task:
        return Task(name=str(n))

    return Pipeline(n=int).stage("task", task).through(Task, migrate=lambda kept: kept, on_code_change="rerun")


@right(inputs={"n": 2}, gives={"m": 3}, kept=True)
def nested_and_cached() -> Any:
    """Policies of a pipeline that is a stage."""
    inner = Pipeline(n=int).stage("count", count).through(m=int, cache=True)
    return Pipeline(n=int).stage("inner", inner).through(m=int, total_timeout=9, retry=1)
