"""Pipelines drawn at random, of every kind of part: the build must find exactly what following every path finds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

from metta_sweep.errors import BuildError

from .cases import Pipeline
from .drawn_parts import VALUES, Branch, Faults, Loop, Map, Nested, Part, Stage, described, judge, writes_of

__all__ = ["Drawn", "disagreement", "draw"]

_FIELDS: Final = ("a", "b", "c", "d", "e")
_NEEDS: Final[tuple[Any, ...]] = (*VALUES, int | str, list[int | str], object, object, object)


@dataclass(frozen=True)
class Drawn:
    """A drawn pipeline."""

    pipeline: Any
    faults: Faults
    inputs: dict[str, Any]
    """Values for its declared inputs."""


def draw(seed: int) -> Drawn:
    """The pipeline of this seed."""
    drawing = _Drawing(random.Random(seed))
    declared = {name: drawing.form() for name in _FIELDS if drawing.chance(0.85)}
    parts = drawing.block(depth=3)
    faults: Faults = set()
    judge(parts, "", frozenset({frozenset(declared.items())}), faults)
    pipeline = described(parts, Pipeline(**declared), random.Random(seed))
    return Drawn(pipeline, faults, {name: VALUES[form] for name, form in declared.items()})


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
    try:
        for _ in range(3):
            await plan.run(inputs=drawn.inputs)
    except Exception as error:  # noqa: BLE001  # it becomes a line of the report
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


@dataclass
class _Drawing:
    rng: random.Random
    count: dict[str, int] = field(default_factory=dict)

    def name(self, kind: str) -> str:
        self.count[kind] = self.count.get(kind, 0) + 1
        return f"{kind}{self.count[kind]}"

    def form(self) -> Any:
        return self.rng.choice(list(VALUES))

    def field(self) -> str:
        return self.rng.choice(_FIELDS)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def reads(self) -> dict[str, Any]:
        return {name: self.rng.choice(_NEEDS) for name in self.rng.sample(_FIELDS, self.rng.choice((0, 0, 1, 2)))}

    def block(self, depth: int) -> list[Part]:
        kinds = (self.stage, self.stage, self.map, self.loop, self.branch, self.nested) if depth else (self.stage,)
        return [self.rng.choice(kinds)(depth - 1) for _ in range(self.rng.randint(1, 3))]

    def stage(self, _: int) -> Part:
        before = self.field() if self.chance(0.15) else None
        extra = (self.field(), self.rng.choice(_NEEDS)) if self.chance(0.15) else None
        return Stage(self.name("stage"), self.reads(), before, extra, self.field(), self.form())

    def map(self, _: int) -> Part:
        item = self.rng.choice((int, str, int | str, object))
        return Map(self.name("map"), self.field(), item, self.reads(), self.field(), self.rng.choice((int, str)))

    def loop(self, depth: int) -> Part:
        body = self.block(depth)
        forms: dict[str, set[Any]] = {}
        for name, form in sorted(writes_of(body), key=str):
            forms.setdefault(name, set()).add(form)
        carry = {name: next(iter(found)) for name, found in forms.items() if len(found) == 1 and self.chance(0.4)}
        return Loop(self.name("loop"), self.field(), body, carry, self.chance(0.5))

    def branch(self, depth: int) -> Part:
        otherwise = self.block(depth) if self.chance(0.6) else None
        return Branch(self.name("branch"), self.field(), self.block(depth), otherwise)

    def nested(self, depth: int) -> Part:
        declared = {name: self.form() for name in self.rng.sample(_FIELDS, self.rng.randint(0, 2))}
        body = self.block(depth)
        output, form = self.rng.choice(sorted(writes_of(body), key=str))
        return Nested(self.name("nested"), declared, body, output, form)
