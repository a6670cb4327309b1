"""Pipelines drawn at random, and what is wrong with them by following every path: the build must find exactly that.

The judge here keeps the set of all states that may occur at a place (which fields are there, with which type), and follows loops
until there are no new ones. It shares nothing with the build, and is exact: a drawn part looks at one field at a time.
"""

# drawn by a seed
from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from metta_sweep.errors import BuildError

from .cases import Pipeline

__all__ = ["Drawn", "disagreement", "draw"]

_FIELDS: Final = ("a", "b", "c", "d")
_TYPES: Final[tuple[Any, ...]] = (int, str)
_EITHER: Final = int | str
_VALUES: Final[Mapping[Any, Any]] = {int: 1, str: "x"}

State = frozenset[tuple[str, Any]]
"""The fields that are there on one path, with their types."""
States = frozenset[State]
Faults = set[tuple[str, str]]
"""The place and the field of everything that is wrong."""


@dataclass(frozen=True)
class Drawn:
    """A drawn pipeline."""

    pipeline: Any
    faults: Faults
    inputs: dict[str, Any]
    """Values for its declared inputs."""


@dataclass(frozen=True)
class _Stage:
    name: str
    reads: dict[str, Any]
    output: str
    form: Any

    def writes(self) -> set[tuple[str, Any]]:
        return {(self.output, self.form)}

    def judge(self, place: str, states: States, faults: Faults) -> States:
        for name, needed in self.reads.items():
            _read(place + self.name, name, needed, states, faults)
        return _written(self.output, self.form, states)

    def add(self, pipeline: Any, _: random.Random) -> Any:
        return pipeline.stage(self.name, _function(self.reads, self.form)).through(**{self.output: self.form})


@dataclass(frozen=True)
class _Loop:
    name: str
    read: str
    body: list[Any]
    carry: dict[str, Any]
    block: bool

    def writes(self) -> set[tuple[str, Any]]:
        return {*self.carry.items(), *_writes(self.body)}

    def judge(self, place: str, states: States, faults: Faults) -> States:
        for name, form in self.carry.items():
            states = _written(name, form, states)
        while True:
            _read(place + self.name, self.read, _EITHER, states, faults)
            more = states | _judge(self.body, f"{place}{self.name}/", states, faults)
            if more == states:
                return states
            states = more

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        carry = {name: _VALUES[form] for name, form in self.carry.items()}
        predicate = _predicate(self.read, flips)
        if self.block:
            return pipeline.loop(_described(self.body, Pipeline(), flips), while_=predicate, carry=carry, name=self.name)
        begun = pipeline.loop_while(predicate, carry=carry, name=self.name)
        return _described(self.body, begun, flips).end_loop()


@dataclass(frozen=True)
class _Branch:
    name: str
    read: str
    then: list[Any]
    otherwise: list[Any] | None

    def writes(self) -> set[tuple[str, Any]]:
        return _writes(self.then) | _writes(self.otherwise or [])

    def judge(self, place: str, states: States, faults: Faults) -> States:
        _read(place + self.name, self.read, _EITHER, states, faults)
        one = _judge(self.then, f"{place}{self.name}/then/", states, faults)
        return one | (_judge(self.otherwise, f"{place}{self.name}/otherwise/", states, faults) if self.otherwise else states)

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        then = _described(self.then, Pipeline(), flips)
        otherwise = _described(self.otherwise, Pipeline(), flips) if self.otherwise else None
        return pipeline.branch(_predicate(self.read, flips), then, otherwise, name=self.name)


@dataclass(frozen=True)
class _Nested:
    name: str
    declared: dict[str, Any]
    body: list[Any]
    output: str
    form: Any

    def writes(self) -> set[tuple[str, Any]]:
        return {(self.output, self.form)}

    def judge(self, place: str, states: States, faults: Faults) -> States:
        for name, form in self.declared.items():
            _read(place + self.name, name, form, states, faults)
        inner = _judge(self.body, f"{place}{self.name}/", frozenset({frozenset(self.declared.items())}), faults)
        _read(place + self.name, self.output, self.form, inner, faults)
        return _written(self.output, self.form, states)

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        inner = _described(self.body, Pipeline(**self.declared), flips)
        return pipeline.stage(self.name, inner).through(**{self.output: self.form})


def draw(seed: int) -> Drawn:
    """The pipeline of this seed."""
    drawing = _Drawing(random.Random(seed))
    declared = {name: drawing.form() for name in _FIELDS if drawing.chance(0.8)}
    parts = drawing.block(depth=3)
    faults: Faults = set()
    _judge(parts, "", frozenset({frozenset(declared.items())}), faults)
    pipeline = _described(parts, Pipeline(**declared), random.Random(seed))
    return Drawn(pipeline, faults, {name: _VALUES[form] for name, form in declared.items()})


async def disagreement(seed: int) -> str:
    """What the build sees otherwise than the judge, or the error of a run that the build let pass; empty if there is none."""
    drawn = draw(seed)
    try:
        plan = drawn.pipeline.build()
    except BuildError as error:
        found = {(fault.stage, fault.field) for fault in error.faults}
        missed, invented = drawn.faults - found, found - drawn.faults
        return f"seed {seed}: missed {missed}, invented {invented}" if missed or invented else ""
    if drawn.faults:
        return f"seed {seed}: the build found nothing, expected {drawn.faults}"
    for _ in range(3):
        await plan.run(inputs=drawn.inputs)
    return ""


@dataclass
class _Drawing:
    rng: random.Random
    count: dict[str, int] = field(default_factory=dict)

    def name(self, kind: str) -> str:
        self.count[kind] = self.count.get(kind, 0) + 1
        return f"{kind}{self.count[kind]}"

    def form(self) -> Any:
        return self.rng.choice(_TYPES)

    def field(self) -> str:
        return self.rng.choice(_FIELDS)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def block(self, depth: int) -> list[Any]:
        kinds = (self.stage, self.stage, self.loop, self.branch, self.nested) if depth else (self.stage,)
        return [self.rng.choice(kinds)(depth - 1) for _ in range(self.rng.randint(1, 3))]

    def stage(self, _: int) -> _Stage:
        reads = {
            name: self.rng.choice((int, str, _EITHER, _EITHER)) for name in self.rng.sample(_FIELDS, self.rng.choice((0, 0, 1, 2)))
        }
        return _Stage(self.name("stage"), reads, self.field(), self.form())

    def loop(self, depth: int) -> _Loop:
        body = self.block(depth)
        forms = _by_field(_writes(body))
        carry = {name: next(iter(found)) for name, found in forms.items() if len(found) == 1 and self.chance(0.4)}
        return _Loop(self.name("loop"), self.field(), body, carry, self.chance(0.5))

    def branch(self, depth: int) -> _Branch:
        otherwise = self.block(depth) if self.chance(0.6) else None
        return _Branch(self.name("branch"), self.field(), self.block(depth), otherwise)

    def nested(self, depth: int) -> _Nested:
        declared = {name: self.form() for name in self.rng.sample(_FIELDS, self.rng.randint(0, 2))}
        body = self.block(depth)
        output, form = self.rng.choice(sorted(_writes(body), key=str))
        return _Nested(self.name("nested"), declared, body, output, form)


def _judge(parts: list[Any], place: str, states: States, faults: Faults) -> States:
    for part in parts:
        states = part.judge(place, states, faults)
    return states


def _read(place: str, name: str, needed: Any, states: States, faults: Faults) -> None:
    fitting = set(_TYPES) if needed == _EITHER else {needed}
    if any(dict(state).get(name) not in fitting for state in states):
        faults.add((place, name))


def _written(name: str, form: Any, states: States) -> States:
    return frozenset(frozenset({**dict(state), name: form}.items()) for state in states)


def _writes(parts: list[Any]) -> set[tuple[str, Any]]:
    return {written for part in parts for written in part.writes()}


def _by_field(writes: set[tuple[str, Any]]) -> dict[str, set[Any]]:
    return {name: {form for other, form in writes if other == name} for name, _ in sorted(writes, key=str)}


def _described(parts: list[Any], pipeline: Any, flips: random.Random) -> Any:
    for part in parts:
        pipeline = part.add(pipeline, flips)
    return pipeline


def _function(reads: Mapping[str, Any], form: Any) -> Callable[..., Any]:
    async def function(*_: Any, **__: Any) -> Any:
        return _VALUES[form]

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, annotation=needed) for name, needed in reads.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=form)  # type: ignore[attr-defined]
    return function


def _predicate(name: str, flips: random.Random) -> Callable[[Any], bool]:
    """Reads a field, and says something that does not depend on it: yes twice in a row at most."""
    yes = [0]

    def flip(_: Any) -> bool:
        yes[0] = yes[0] + 1 if yes[0] < 2 and flips.random() < 0.5 else 0
        return yes[0] > 0

    predicate: Callable[[Any], bool] = eval(f"lambda ctx: flip(ctx.{name})", {"flip": flip})  # it must be seen in code
    return predicate
