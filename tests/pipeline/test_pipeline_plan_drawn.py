"""Drawn pipelines, crashes and changes: what ``plan_resume()`` tells is what the run then does, and its result is right."""

# ruff: noqa: D102  # the tests say what they show
from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from metta_sweep.pipeline import Pipeline, PipelineEvent, StageReused, StageStarted, ref
from metta_sweep.pipeline.keeping.caching import in_process
from metta_sweep.store import MemoryStore
from metta_sweep.testing import Crashed, NeverReached, crash_at

FIELDS = ("x", "y")


class Drawing:
    """Draws a pipeline: the same for the same seed, but for some of its numbers where there is a change."""

    def __init__(self, seed: int, change: int) -> None:
        self._draw = random.Random(seed)
        self._changes = random.Random(change) if change else None
        self._names = 0

    def pipeline(self) -> Pipeline:
        return self._parts(Pipeline(x=int, y=int), 0)

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _number(self, value: int) -> int:
        return value + 1 if self._changes is not None and self._changes.random() < 0.25 else value

    def _hooks(self) -> dict[str, Any]:
        dice = self._draw.random()
        return {"checkpoint": False} if dice < 0.15 else {"cache": True} if dice < 0.25 else {}

    def _parts(self, pipeline: Pipeline, depth: int) -> Pipeline:
        kinds = [self._stage, self._stage, self._sum, self._map, self._nested_map, self._branch, self._loop, self._nested]
        for _ in range(self._draw.randint(1, 4)):
            pipeline = self._draw.choice(kinds if depth < 2 else kinds[:3])(pipeline, depth)
        return pipeline

    def _stage(self, pipeline: Pipeline, depth: int) -> Pipeline:
        source, target, number = self._draw.choice(FIELDS), self._draw.choice(FIELDS), self._number(self._draw.randint(0, 3))
        stage = pipeline.stage(self._name("stage"), lambda a, k: a % 7 + k, a=ref(source), k=number)
        if self._draw.random() < 0.5:
            stage = pipeline.stage(self._name("stage"), lambda a: a % 5 + number, a=ref(source))
        return stage.through(**{target: int}, **self._hooks())

    def _sum(self, pipeline: Pipeline, depth: int) -> Pipeline:
        sources = {name: ref(self._draw.choice(FIELDS)) for name in ("a", "b")}
        stage = pipeline.stage(self._name("sum"), lambda a, b: (a * 2 + b) % 11, **sources)
        return stage.through(**{self._draw.choice(FIELDS): int}, **self._hooks())

    def _over(self, pipeline: Pipeline) -> tuple[Pipeline, str]:
        name = self._name("list")
        stage = pipeline.stage(name, lambda a: [a % 3 + index for index in range(a % 4)], a=ref(self._draw.choice(FIELDS)))
        return stage.through(**{name: list[int]}, **self._hooks()), name

    def _summed(self, pipeline: Pipeline, field: str) -> Pipeline:
        stage = pipeline.stage(self._name("total"), lambda found: sum(found) % 13, found=ref(field))
        return stage.through(**{self._draw.choice(FIELDS): int}, **self._hooks())

    def _map(self, pipeline: Pipeline, depth: int) -> Pipeline:
        pipeline, over = self._over(pipeline)
        name, number = self._name("map"), self._number(1)
        key: Callable[[int], str] | None = (lambda item: f"k{item}") if self._draw.random() < 0.3 else None
        mapped = pipeline.map(name, lambda item, k: item * k, over=over, key=key, k=number)
        return self._summed(mapped.through(int, **self._hooks()), name)

    def _nested_map(self, pipeline: Pipeline, depth: int) -> Pipeline:
        pipeline, over = self._over(pipeline)
        name = self._name("map")
        mapped = pipeline.map(name, self._closed(depth), over=over)
        return self._summed(mapped.through(int, **self._hooks()), name)

    def _nested(self, pipeline: Pipeline, depth: int) -> Pipeline:
        stage = pipeline.stage(self._name("nested"), self._closed(depth))
        return stage.through(int, **self._hooks()).stage(self._name("take"), lambda a: a % 9, a=ref("x")).through(x=int)

    def _closed(self, depth: int) -> Pipeline:
        inner = self._parts(Pipeline(x=int, y=int), depth + 1)
        return inner.stage(self._name("end"), lambda x, y: (x + y) % 17).through(**{self._name("out"): int})

    def _branch(self, pipeline: Pipeline, depth: int) -> Pipeline:
        field, limit = self._draw.choice(FIELDS), self._number(2)
        then, otherwise = self._parts(Pipeline(), depth + 1), self._parts(Pipeline(), depth + 1)
        return pipeline.branch(lambda ctx: getattr(ctx, field) % 5 > limit, then, otherwise, name=self._name("branch"))

    def _loop(self, pipeline: Pipeline, depth: int) -> Pipeline:
        turn, limit = self._name("turn"), self._number(self._draw.randint(1, 3))
        body = self._parts(Pipeline(), depth + 1).stage(self._name("next"), lambda turn: turn + 1, turn=ref(turn))
        done = body.through(**{turn: int})
        return pipeline.loop(done, while_=lambda ctx: getattr(ctx, turn) < limit, carry={turn: 0}, name=self._name("loop"))


async def disagreement(seed: int, change: int) -> list[str]:
    """What is wrong with one resume; nothing, as a rule."""
    in_process.clear()
    draw = random.Random(seed * 7919 + change)
    before, after = Drawing(seed, 0).pipeline().build(), Drawing(seed, change).pipeline().build()
    begun: list[PipelineEvent] = []
    await before.run(x=1, y=2, listeners=[begun.append])
    store, inputs = MemoryStore(), {"x": 1, "y": 2}
    places = [event.address for event in begun if isinstance(event, StageStarted)]
    try:
        with crash_at(draw.choice(places), draw.choice(["before", "after"])):
            await before.run(name="kept", store=store, inputs=inputs)
    except (Crashed, NeverReached):
        pass
    inputs["x"] = draw.choice([1, 1, 2, 3])
    told = after.plan_resume(name="kept", store=store, on_code_change="rerun", inputs=inputs).rows
    events: list[PipelineEvent] = []
    result = await after.run(name="kept", store=store, on_code_change="rerun", listeners=[events.append], inputs=inputs)
    fresh = await after.run(store=MemoryStore(), inputs=inputs)
    ran = {event.address for event in events if isinstance(event, StageStarted)}
    reused = {event.address: event.source for event in events if isinstance(event, StageReused)}
    wrong = [] if dict(result.context) == dict(fresh.context) else [f"{dict(result.context)} instead of {dict(fresh.context)}"]
    open_ends = any("yet to run" in row.reason for row in told)
    for row in told:
        came, taken = row.address in ran, reused.get(row.address)
        within = any(row.address.startswith(f"{whole}/") for whole in reused)
        if row.verdict in ("reuse", "stale") and (came or not (taken or within)):
            wrong.append(f"{row} was not reused")
        if row.verdict in ("new", "rerun") and taken == "checkpoint" and "yet to run" not in row.reason:
            wrong.append(f"{row} was reused")
        if row.verdict == "orphan" and (came or taken):
            wrong.append(f"{row} was of use")
    addresses = {row.address for row in told}
    wrong.extend(f"{address} was never told" for address in {*ran, *reused} - addresses if not open_ends)
    return [f"seed {seed}, change {change}: {said}" for said in wrong]


@pytest.mark.parametrize("change", [0, 1, 2])
async def test_a_resume_does_what_its_plan_tells(change: int) -> None:
    """What was told to be reused is, nothing else is, and the result is that of a run from the beginning."""
    assert [said for seed in range(25) for said in await disagreement(seed, change)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_many_resumes_do_what_their_plans_tell() -> None:
    """The same with many more."""
    assert [said for seed in range(1000, 1600) for change in range(4) for said in await disagreement(seed, change)] == []
