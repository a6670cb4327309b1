"""The models and stage functions that the cases are made of."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
Metres = NewType("Metres", float)
TrialId = NewType("TrialId", str)
Mode = Literal["fast", "exact"]
Rate = Annotated[float, Field(gt=0)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Trial(Frozen):
    """What was tried."""

    id: str
    score: float | None = None


class Scored(Frozen):
    """What was tried, with a score for sure."""

    id: str
    score: float


class Task(Frozen):
    """What is learned."""

    name: str
    difficulty: float = 0.5


class SuggestionOutput(Frozen):
    """What the optimizer proposes."""

    trials: list[Trial]


class TrainingOutput(Frozen):
    """What training leaves behind."""

    losses: dict[str, float]
    epochs: int


class Batch(Frozen):
    """A batch with its task: a model in a model."""

    task: Task
    size: int


class Box(BaseModel, Generic[T]):
    """A generic model."""

    item: T


@dataclass(frozen=True)
class Point:
    """A dataclass."""

    x: float
    y: float


class Span(NamedTuple):
    """A named tuple."""

    start: int
    stop: int


class Settings(TypedDict):
    """A TypedDict."""

    lr: float
    layers: int


class Named(Protocol):
    """A protocol with a property."""

    @property
    def name(self) -> str: ...


class Scorer(Protocol):
    """A protocol with a method."""

    def score(self, trial: str) -> float: ...


class Judge:
    """Fits the protocol ``Scorer``."""

    def score(self, trial: str) -> float:
        return float(len(trial))


class Machine:
    """A class of no kind: without fields, and without a JSON form."""


async def load(path: str) -> list[float]:
    return [float(len(path)), 1.0]


async def train(rows: list[float], lr: float, epochs: int = 1) -> float:
    return sum(rows) * lr * epochs


async def count(n: int) -> int:
    return n + 1


async def half(n: float) -> float:
    return n / 2


async def suggest(seed: int) -> SuggestionOutput:
    return SuggestionOutput(trials=[Trial(id=str(seed), score=float(seed))])


async def grow(n: int, step: int = 1) -> int:
    return n + step


def square(x: int) -> int:
    return x * x


def first_of(items: list[str]) -> str:
    return items[0]


def nothing() -> None: ...


def handle(error: Exception) -> None: ...


def two(a: Any, b: Any) -> None: ...
