"""Maps over functions and pipelines."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metta_sweep.pipeline import ItemFailure, Retry, StageContext, ref

from .cases import Pipeline, right
from .parts import Scored, Trial, count, square

TRIALS = [Scored(id="a", score=1.0), Scored(id="b", score=2.0)]


async def rate(trial: Scored, weight: float = 1.0) -> float:
    return trial.score * weight


def failing(x: int) -> int:
    if x == 2:
        raise ValueError("two")
    return x * 10


def total(scores: list[float]) -> float:
    return sum(scores)


@right(inputs={"trials": TRIALS}, gives={"scores": [1.0, 2.0], "total": 3.0})
def function() -> Any:
    """An asynchronous function over a list, gathered in order."""
    return Pipeline(trials=list[Scored]).map("rate", rate, over="trials", into="scores").stage("total", total)


@right(inputs={"xs": [1, 2, 3]}, gives={"squares": [1, 4, 9]})
def function_in_threads() -> Any:
    """A synchronous function, in threads, two at a time; the field is called like the map."""
    return Pipeline(xs=list[int]).map("squares", square, over="xs", limit=2)


@right(inputs={"trials": TRIALS, "weight": 2.0}, gives={"scores": [2.0, 4.0]})
def field_beside_the_item() -> Any:
    """Other parameters are bound as in any stage."""
    return Pipeline(trials=list[Scored], weight=float).map("rate", rate, over="trials", into="scores")


@right(inputs={"trials": TRIALS, "factor": 3.0}, gives={"scores": [3.0, 6.0], "again": [5.0, 10.0]})
def constants() -> Any:
    """Constants, and references."""
    first = Pipeline(trials=list[Scored], factor=float).map("rate", rate, over="trials", into="scores", weight=ref("factor"))
    return first.map("again", rate, over="trials", weight=5.0)


@right(inputs={"trials": TRIALS}, gives={"scores": [1.0, 2.0]})
def structurally_fitting_items() -> Any:
    """The items are another model, with all that the function needs."""

    def rate_any(trial: Trial) -> float:
        return trial.score or 0.0

    return Pipeline(trials=Sequence[Scored]).map("rate", rate_any, over="trials", into="scores")


@right(inputs={"xs": []}, gives={"squares": []})
def nothing_to_do() -> Any:
    """An empty list gives an empty list."""
    return Pipeline(xs=list[int]).map("squares", square, over="xs")


@right(inputs={"xs": (1, 2)}, gives={"squares": [1, 4]})
def over_a_tuple() -> Any:
    """A tuple has elements, too."""
    return Pipeline(xs=tuple[int, ...]).map("squares", square, over="xs")


@right(inputs={"xs": [1, 3]}, gives={"made": [10, 30], "n": 2})
def collected_failures() -> Any:
    """A reader of collected results takes failures as well."""

    def read(made: list[int | ItemFailure]) -> int:
        return len(made)

    mapped = Pipeline(xs=list[int]).map("made", failing, over="xs", on_item_error="collect")
    return mapped.stage("n", read)


@right(inputs={"xs": [1, 2, 3]}, gives={"good": [10, 30]})
def failures_are_left_out() -> Any:
    """A failure stands where its result would."""

    def good(made: list[int | ItemFailure]) -> list[int]:
        return [one for one in made if not isinstance(one, ItemFailure)]

    return Pipeline(xs=list[int]).map("made", failing, over="xs", on_item_error="collect").stage("good", good)


@right(inputs={"xs": [1, 3]}, gives={"tens": [10, 30]})
def contract_and_hooks_of_an_item() -> Any:
    """What follows a map describes one item."""
    return (
        Pipeline(xs=list[int])
        .map("made", failing, over="xs", into="tens")
        .through(int, validate=lambda d: d.bit_length() > 0, retry=Retry(1), timeout=5)
    )


@right(inputs={"xs": [1, 2]}, gives={"where": ["where[item=0]", "where[item=1]"]})
def stage_context_of_an_item() -> Any:
    """Each item has an address of its own."""

    async def where(x: int, stage: StageContext) -> str:
        return stage.address

    return Pipeline(xs=list[int]).map("where", where, over="xs")


@right(inputs={"trials": TRIALS, "weight": 2.0}, gives={"scores": [3.0, 5.0]})
def pipeline_as_a_body() -> Any:
    """A pipeline of several stages per item; it declares what it needs beside the item."""

    async def plus(rated: float) -> float:
        return rated + 1.0

    body = Pipeline(trial=Scored, weight=float).stage("rated", rate).stage("plus", plus)
    return Pipeline(trials=list[Scored], weight=float).map("rate", body, over="trials", into="scores")


@right(inputs={"xs": [1, 2]}, gives={"made": [[1, 4, 9], [1, 4, 9]]})
def map_in_a_map() -> Any:
    """A body may have a map of its own."""

    def upto(x: int) -> list[int]:
        return [1, 2, 3]

    body = Pipeline(x=int).stage("ys", upto).map("squares", square, over="ys")
    return Pipeline(xs=list[int]).map("made", body, over="xs")


@right(inputs={"n": 0}, gives={"n": 2, "squares": [4, 9]})
def map_in_a_loop() -> Any:
    """A map in a loop runs in each iteration."""

    def xs(n: int) -> list[int]:
        return [n, n + 1]

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 2)
        .stage("n", count)
        .stage("xs", xs)
        .map("squares", square, over="xs")
        .end_loop()
    )


@right(inputs={"xs": [1, 2]}, gives={"squares": [1, 4]}, kept=True)
def kept() -> Any:
    """A map is taken up from a store, item by item."""
    return Pipeline(xs=list[int]).map("squares", square, over="xs")
