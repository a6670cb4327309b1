"""Maps: what is checked when they are built, and when they begin."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError, InvalidInput
from metta_sweep.pipeline import (
    Cache,
    Pipeline,
    ref,
)


class Task(BaseModel, frozen=True):
    """An item with a name."""

    id: str
    size: int = 1


async def square(x: int) -> int:
    return x * x


async def size(task: Task) -> int:
    return task.size


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


def mapped(fn: Any = square, name: str = "square", **options: Any) -> Pipeline:
    return Pipeline(xs=list[int]).map(name, fn, over="xs", **options)


async def needs_str(x: str) -> int:
    return len(x)


def of(form: Any, fn: Any = square, **options: Any) -> Pipeline:
    return Pipeline(xs=form).map("m", fn, over="xs", **options)


async def sized(task: Task) -> int:
    return task.size


async def stepped(x: int, step: int) -> int:
    return x + step


async def joined(texts: list[str]) -> str:
    return "".join(texts)


class Batch(list[int]):
    """A list of a known element."""


MALFORMED: list[tuple[Pipeline, str]] = [
    (
        of(list[int], needs_str),
        "parameter 'x' gets an item of 'xs' and needs str, but the items are int (xs[*]: provides int, needs str)",
    ),
    (of(list[int | None]), "xs[*]: provides int | None, needs int"),
    (of(tuple[int, str]), "needs int, but the items are int | str"),
    (of(Batch, needs_str), "the items are int"),
    (of(list[Task], square), "needs int, but the items are Task"),
    (of(int), "over='xs' cannot be mapped over: 'inputs' provides int, which has no items"),
    (of(list[int] | None), "which may be None, which has no items"),
    (of(dict[str, int]), "whose items are its keys only. Provide a list: list(d.items())"),
    (of(set[int]), "which has no order"),
    (of(Task), "which is one item and no list of them"),
    (of(str), "which would be taken apart into its characters"),
    (of(Iterator[int]), "which can be gone through once only"),
    (of(list[int], lambda: 1), "the stage function takes no item"),
    (of(list[int], lambda *items: 1), "the stage function takes no item"),
    (of(list[int], Pipeline().stage("square", lambda: 1).through(int)), "the stage function takes no item"),
    (of(list[int], square, x=3), "the constant 'x' is the parameter that gets the item"),
    (of(list[int], square, step=3), "the constant 'step' is no parameter"),
    (of(list[int], stepped), "parameter 'step' needs the field 'step'"),
    (of(list[int], 3), "the stage function cannot be called"),
    (of(list[int], limit=0), "limit= cannot be used; found 0"),
    (of(list[int], limit=True), "limit= cannot be used; found True"),
    (of(list[int], into="a b"), "into= names no field; found 'a b'"),
    (of(list[int], on_item_error="skip"), "on_item_error= cannot be used; found 'skip'"),
    (of(list[Task], sized, key="idd"), "no attribute of the items; found Task; expected one of id, size. Did you mean 'id'?"),
    (of(list[int], key="id"), "key= reads 'id', which is no attribute of the items; found int"),
    (of(list[Task], sized, key=lambda task: f"{task.idd}-{task.size}"), "key= reads 'idd', which is no attribute of the items"),
    (of(list[int]).through(int, cache=Cache(key=lambda ctx: ctx.xx)), "needs the field 'xx', which nothing provides"),
    (of(list[int], key=3), "key= cannot be used; found 3"),
    (Pipeline(xs=list[int]).map("m", square, over=3), "over= names no field; found 3"),  # type: ignore[arg-type]
    (Pipeline(xs=list[int]).map("m", square, over="xss"), "Did you mean 'xs'?"),
    (
        Pipeline(n=int)
        .branch(lambda c: c.n > 1, Pipeline().stage("xs", lambda: [1]).through(list[int]))
        .map("m", square, over="xs"),
        "may not have run",
    ),
    (of(list[int]).through(int, timeout="1"), "the hook 'timeout'"),
    (of(list[int]).map("m", square, over="xs"), "the name 'm' is taken"),
    (of(list[int]).stage("total", joined, texts=ref("m")), "m[*]: provides int, needs str"),
]


@pytest.mark.parametrize(("pipeline", "part"), MALFORMED)
def test_malformed_maps(pipeline: Pipeline, part: str) -> None:
    """Every fault is found before anything runs, and names the map."""
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    assert part in str(caught.value)
    assert caught.value.faults[0].stage in ("m", "total")


@pytest.mark.parametrize(
    "form",
    [
        list[int],
        tuple[int, ...],
        tuple[int, int],
        Sequence[int],
        Iterable[int],
        Batch,
        list[bool],
        range,
        list[int] | tuple[int, ...],
    ],
)
def test_what_can_be_mapped_over(form: Any) -> None:
    """Anything with an order whose items are known to fit: nothing is left unchecked."""
    of(form).build(strict=True)


def test_items_of_unknown_type() -> None:
    """They are listed as unchecked, and are faults of a strict build."""
    (edge,) = of(list).build().unchecked
    assert str(edge) == "m: over='xs': the type of its items is not known (list)"
    with pytest.raises(BuildError, match="Annotate it"):
        of(Any).build(strict=True)


@pytest.mark.parametrize("value", [3, {1: 2}, {3}, "abc", None, iter([1])])
async def test_values_that_cannot_be_mapped_over(value: Any) -> None:
    """What the types did not tell is refused when the map begins."""
    with pytest.raises(InvalidInput, match=r"map 'm' at m: the field 'xs' cannot be mapped over: it is \w+, wh(ich|ose)"):
        await of(Any).build().run(xs=value)


async def test_an_awaitable_among_the_outputs() -> None:
    """A function that returns a coroutine is awaited, as for any stage."""

    def hands_on(x: int) -> Any:
        return square(x)

    assert (await mapped(hands_on).through(int).build().run(xs=[2, 3])).square == [4, 9]


async def test_keys_must_tell_items_apart() -> None:
    """The same key twice, or one that no address can hold, is refused before any item runs."""
    calls: list[int] = []
    plan = mapped(calls.append, key=lambda x: x % 2).through(None).build()
    with pytest.raises(InvalidInput, match=r"key= gives the items 0 and 2 the same name; found '1'"):
        await plan.run(xs=[1, 2, 3])
    with pytest.raises(InvalidInput, match="key= of item 0"):
        await mapped(square, key=lambda x: "a/b").build().run(xs=[1])
    with pytest.raises(ZeroDivisionError) as caught:
        await mapped(square, key=lambda x: 1 // x).build().run(xs=[1, 0])
    assert caught.value.__notes__ == ["in key= of map 'square' at square, for item 1"]
    assert calls == []


async def test_many_items_cost_no_task_each() -> None:
    """However many items there are, there are no more tasks than the limit."""
    most = 0

    async def counts(x: int) -> int:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return x

    around = len(asyncio.all_tasks())
    result = await mapped(counts, limit=8).build().run(xs=list(range(1000)))
    assert len(result.square) == 1000
    assert most <= around + 8
