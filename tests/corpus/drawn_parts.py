"""The parts that drawn pipelines are made of: each is described to the build, and judged by following every path.

The judge keeps the set of all states that may occur at a place (which fields are there, with which type), and follows loops until
there are no new ones. It shares nothing with the build, and is exact: a drawn part looks at one field at a time.
"""

# ruff: noqa: D102  # the protocol says what its methods do
from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, get_args, get_origin

from metta_sweep.pipeline import ref

from .cases import Pipeline

__all__ = ["VALUES", "Branch", "Faults", "Loop", "Map", "Nested", "Part", "Stage", "States", "described", "judge", "writes_of"]

VALUES: Final[Mapping[Any, Any]] = {int: 1, str: "x", list[int]: [1, 2], list[str]: []}
"""The types of fields, and a value of each."""

State = frozenset[tuple[str, Any]]
"""The fields that are there on one path, with their types."""
States = frozenset[State]
Faults = set[tuple[str, str]]
"""The place and the field of everything that is wrong."""


class Part(Protocol):
    """A part of a drawn pipeline."""

    def writes(self) -> set[tuple[str, Any]]:
        """The fields that it may write, with their types."""
        ...

    def judge(self, place: str, states: States, faults: Faults) -> States:
        """The states after it; what is wrong with it on any of the paths goes to ``faults``."""
        ...

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        """The pipeline with this part at its end. ``flips`` decides what predicates say when it runs."""
        ...


@dataclass(frozen=True)
class Stage:
    """A stage: what its parameters need, what its ``before`` hook reads, an earlier field under another name, and its output."""

    name: str
    reads: dict[str, Any]
    before: str | None
    extra: tuple[str, Any] | None
    output: str
    form: Any

    def writes(self) -> set[tuple[str, Any]]:
        return {(self.output, self.form)}

    def judge(self, place: str, states: States, faults: Faults) -> States:
        for name, needed in (*self.reads.items(), *([self.extra] if self.extra else [])):
            _read(place + self.name, name, needed, states, faults)
        if self.before:
            _read(place + self.name, self.before, object, states, faults)
        return _written(self.output, self.form, states)

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        constants, parameters = {}, dict(self.reads)
        if self.extra:
            parameters["extra"] = self.extra[1]
            constants["extra"] = ref(self.extra[0])
        hooks = {"before": _reader(self.before, lambda _: None)} if self.before else {}
        return pipeline.stage(self.name, _function(parameters, self.form), **constants).through(**{self.output: self.form}, **hooks)


@dataclass(frozen=True)
class Map:
    """A map of a function: over which field, what an item must be, what else the function needs, and its results."""

    name: str
    over: str
    item: Any
    reads: dict[str, Any]
    output: str
    form: Any

    def writes(self) -> set[tuple[str, Any]]:
        return {(self.output, list[self.form])}  # type: ignore[name-defined]

    def judge(self, place: str, states: States, faults: Faults) -> States:
        _read(place + self.name, self.over, list[self.item], states, faults)  # type: ignore[name-defined]
        for name, needed in self.reads.items():
            _read(place + self.name, name, needed, states, faults)
        return _written(self.output, list[self.form], states)  # type: ignore[name-defined]

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        function = _function({"item": self.item, **self.reads}, self.form)
        return pipeline.map(self.name, function, over=self.over, into=self.output)


@dataclass(frozen=True)
class Loop:
    """A loop, in either form: the field that its predicate reads, its body, and what it carries."""

    name: str
    read: str
    body: list[Part]
    carry: dict[str, Any]
    block: bool

    def writes(self) -> set[tuple[str, Any]]:
        return {*self.carry.items(), *writes_of(self.body)}

    def judge(self, place: str, states: States, faults: Faults) -> States:
        for name, form in self.carry.items():
            states = _written(name, form, states)
        while True:
            _read(place + self.name, self.read, object, states, faults)
            more = states | judge(self.body, f"{place}{self.name}/", states, faults)
            if more == states:
                return states
            states = more

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        carry = {name: VALUES[form] for name, form in self.carry.items()}
        predicate = _reader(self.read, _flipping(flips))
        if self.block:
            return pipeline.loop(described(self.body, Pipeline(), flips), while_=predicate, carry=carry, name=self.name)
        begun = pipeline.loop_while(predicate, carry=carry, name=self.name)
        return described(self.body, begun, flips).end_loop()


@dataclass(frozen=True)
class Branch:
    """A branch: the field that its predicate reads, and its sides."""

    name: str
    read: str
    then: list[Part]
    otherwise: list[Part] | None

    def writes(self) -> set[tuple[str, Any]]:
        return writes_of(self.then) | writes_of(self.otherwise or [])

    def judge(self, place: str, states: States, faults: Faults) -> States:
        _read(place + self.name, self.read, object, states, faults)
        one = judge(self.then, f"{place}{self.name}/then/", states, faults)
        return one | (judge(self.otherwise, f"{place}{self.name}/otherwise/", states, faults) if self.otherwise else states)

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        then = described(self.then, Pipeline(), flips)
        otherwise = described(self.otherwise, Pipeline(), flips) if self.otherwise else None
        return pipeline.branch(_reader(self.read, _flipping(flips)), then, otherwise, name=self.name)


@dataclass(frozen=True)
class Nested:
    """A pipeline as a stage: its declared inputs, its parts, and the field that is picked at its end."""

    name: str
    declared: dict[str, Any]
    body: list[Part]
    output: str
    form: Any

    def writes(self) -> set[tuple[str, Any]]:
        return {(self.output, self.form)}

    def judge(self, place: str, states: States, faults: Faults) -> States:
        for name, form in self.declared.items():
            _read(place + self.name, name, form, states, faults)
        inner = judge(self.body, f"{place}{self.name}/", frozenset({frozenset(self.declared.items())}), faults)
        _read(place + self.name, self.output, self.form, inner, faults)
        return _written(self.output, self.form, states)

    def add(self, pipeline: Any, flips: random.Random) -> Any:
        inner = described(self.body, Pipeline(**self.declared), flips)
        return pipeline.stage(self.name, inner).through(**{self.output: self.form})


def judge(parts: list[Part], place: str, states: States, faults: Faults) -> States:
    """The states after some parts."""
    for part in parts:
        states = part.judge(place, states, faults)
    return states


def writes_of(parts: list[Part]) -> set[tuple[str, Any]]:
    """The fields that some parts may write, with their types."""
    return {written for part in parts for written in part.writes()}


def described(parts: list[Part], pipeline: Any, flips: random.Random) -> Any:
    """The pipeline with some parts at its end."""
    for part in parts:
        pipeline = part.add(pipeline, flips)
    return pipeline


def _read(place: str, name: str, needed: Any, states: States, faults: Faults) -> None:
    found = [dict(state).get(name) for state in states]
    if any(form is None or not _fits(form, needed) for form in found):
        faults.add((place, name))


def _fits(form: Any, needed: Any) -> bool:
    if needed is object or form == needed:
        return True
    if get_origin(needed) is list:
        return get_origin(form) is list and _fits(get_args(form)[0], get_args(needed)[0])
    return form in get_args(needed)


def _written(name: str, form: Any, states: States) -> States:
    return frozenset(frozenset({**dict(state), name: form}.items()) for state in states)


def _function(reads: Mapping[str, Any], form: Any) -> Callable[..., Any]:
    async def function(*_: Any, **__: Any) -> Any:
        return VALUES[form]

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, annotation=needed) for name, needed in reads.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=form)  # type: ignore[attr-defined]
    return function


def _flipping(flips: random.Random) -> Callable[[Any], bool]:
    """Says yes twice in a row at most, whatever it is given."""
    yes = [0]

    def flip(_: Any) -> bool:
        yes[0] = yes[0] + 1 if yes[0] < 2 and flips.random() < 0.5 else 0
        return yes[0] > 0

    return flip


def _reader(name: str, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function whose code reads one field of its argument."""
    function: Callable[[Any], Any] = eval(f"lambda ctx: then(ctx.{name})", {"then": then})  # reads are found in code
    return function
