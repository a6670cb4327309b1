"""What a case of the corpora is, how it is registered, and how it is judged."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from metta_sweep import pipeline as product
from metta_sweep.errors import BuildError
from metta_sweep.store.memory import MemoryStore

__all__ = [
    "RIGHT",
    "UNSEEN",
    "WRONG",
    "Pipeline",
    "Right",
    "Wrong",
    "judge_right",
    "judge_wrong",
    "messages",
    "right",
    "unseen",
    "wrong",
]

Pipeline: Any = product.Pipeline
"""Seen by the build only: type checkers would find some of the mistakes before it."""
_HERE: Final = str(Path(__file__).parent)


class Wrong(NamedTuple):
    """A pipeline with one mistake."""

    topic: str
    name: str
    describe: Callable[[], Any]
    stage: str
    """The address of the stage, loop or hook that the fault must name."""
    field: str | None
    """The field or hook that it must name; None: there is none to name."""
    says: tuple[str, ...]
    """Words of its message."""
    also: tuple[str, ...]
    """The addresses of further faults, where one mistake has several."""


class Right(NamedTuple):
    """A pipeline without a mistake."""

    topic: str
    name: str
    describe: Callable[[], Any]
    inputs: Mapping[str, Any]
    gives: Mapping[str, Any]
    """Fields of the result, and their values."""
    unchecked: tuple[str, ...]
    """The addresses where something is not annotated, on purpose."""
    kept: bool
    """It is run twice in a store: the second time with the outputs of the first."""


WRONG: Final[list[Wrong]] = []
UNSEEN: Final[list[Wrong]] = []
RIGHT: Final[list[Right]] = []


def wrong(
    stage: str, *, field: str | None = None, says: str | tuple[str, ...], also: tuple[str, ...] = ()
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a function that describes a pipeline with a mistake."""

    def register(describe: Callable[[], Any]) -> Callable[[], Any]:
        words = (says,) if isinstance(says, str) else says
        WRONG.append(Wrong(_topic(describe, "wrong_"), describe.__name__, describe, stage, field, words, also))
        return describe

    return register


def unseen(
    stage: str, *, field: str | None = None, says: str | tuple[str, ...], also: tuple[str, ...] = ()
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a mistake that the build does not report, though it should as ``wrong`` would have it."""

    def register(describe: Callable[[], Any]) -> Callable[[], Any]:
        wrong(stage, field=field, says=says, also=also)(describe)
        UNSEEN.append(WRONG.pop())
        return describe

    return register


def right(
    *,
    inputs: Mapping[str, Any] | None = None,
    gives: Mapping[str, Any],
    unchecked: tuple[str, ...] = (),
    kept: bool = False,
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a function that describes a pipeline without one."""

    def register(describe: Callable[[], Any]) -> Callable[[], Any]:
        topic = _topic(describe, "right_")
        RIGHT.append(Right(topic, describe.__name__, describe, inputs or {}, gives, unchecked, kept))
        return describe

    return register


def judge_wrong(case: Wrong) -> list[str]:
    """What is to be said against the build of a wrong pipeline: nothing, if it reports the mistake, and nothing else."""
    called: list[str] = []
    try:
        described = case.describe()
        with _calls_into_the_corpus(called):
            described.build()
    except BuildError as error:
        faults = error.faults
    except Exception as error:  # noqa: BLE001  # it becomes a line of the report
        return [f"raised {_shown(error)}"]
    else:
        return ["missed: the build found nothing"]
    places = [fault.stage for fault in faults]
    if places != [case.stage, *case.also]:
        return [f"the faults are at {places}, expected {[case.stage, *case.also]}: {[fault.message for fault in faults]}"]
    fault = faults[0]
    said = [f"the message lacks {part!r}: {fault.message}" for part in case.says if part.lower() not in fault.message.lower()]
    if case.field is not None and fault.field != case.field and re.search(rf"\b{case.field}\b", fault.message) is None:
        said.append(f"{case.field!r} is not named: {fault.message}")
    if called:
        said.append(f"the build called {called}")
    return said


def messages(case: Wrong) -> list[str]:
    """What the build says about a wrong pipeline, to be read by people."""
    try:
        case.describe().build()
    except BuildError as error:
        return [str(fault) for fault in error.faults]
    return []


async def judge_right(case: Right) -> list[str]:
    """What is to be said against the build and run of a right pipeline."""
    try:
        described = case.describe()
        plan = described.build()
        if not plan.unchecked:
            described.build(strict=True)
    except BuildError as error:
        return [f"false alarm: {error}"]
    except Exception as error:  # noqa: BLE001  # it becomes a line of the report
        return [f"raised {_shown(error)}"]
    places = tuple(dict.fromkeys(edge.stage for edge in plan.unchecked))
    if places != case.unchecked:
        return [f"unchecked are {[str(edge) for edge in plan.unchecked]}, expected something at {case.unchecked}"]
    options: dict[str, Any] = {"store": MemoryStore(), "name": "kept"} if case.kept else {}
    said: list[str] = []
    try:
        for _ in range(2 if case.kept else 1):
            result = await plan.run(inputs=case.inputs, **options)
            said += [f"{name} is {result[name]!r}, not {value!r}" for name, value in case.gives.items() if result[name] != value]
    except Exception as error:  # noqa: BLE001  # it becomes a line of the report
        said.append(f"raised {_shown(error)}")
    return said


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error} {' '.join(getattr(error, '__notes__', ()))}"


def _topic(describe: Callable[[], Any], prefix: str) -> str:
    return describe.__module__.rpartition(".")[2].removeprefix(prefix)


@contextmanager
def _calls_into_the_corpus(called: list[str]) -> Iterator[None]:
    """Notes the functions of the corpus that are called inside the block: a build calls no stage, predicate or hook."""

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_HERE) and frame.f_code.co_name != "__annotate__":
            called.append(frame.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
        called[:] = [name for name in called if not name.startswith("_calls_into_the_corpus")]
