"""Orders of items."""

from __future__ import annotations

import copy
import json
import math
import pickle
import random
from collections import Counter
from itertools import permutations
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from metta_sweep.core.distributions import Choice, Permutation, Uniform
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import SearchSpaceError, SuggestionError, UnknownOption

TASKS = ["add", "multiply", "divide"]
exactly = settings(derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize("count", range(2, 7))
def test_orders_are_numbered_as_in_a_dictionary(count: int) -> None:
    """All orders, in the order of itertools.permutations, each with its number."""
    permutation = Permutation(list(range(count)))
    orders = [permutation.order(number) for number in range(permutation.count)]
    assert orders == [list(order) for order in permutations(range(count))]
    assert [permutation.number(order) for order in orders] == list(range(math.factorial(count)))


def test_an_order_that_there_is_not_has_no_number() -> None:
    """Numbers are from 0 to one less than there are orders."""
    permutation = Permutation(TASKS)
    for number in (-1, 6):
        with pytest.raises(ValueError, match="there is no order"):
            permutation.order(number)
    with pytest.raises(ValueError, match="is no order of"):
        permutation.to_unit(["add"])


@exactly
@given(st.integers(2, 18), st.data())
def test_quantiles_and_orders_are_inverse(count: int, data: st.DataObject) -> None:
    """Every order has a quantile that gives it again; also of 18 items, where orders are as dense as floats."""
    permutation = Permutation(list(range(count)))
    number = data.draw(st.integers(0, permutation.count - 1) | st.sampled_from([0, permutation.count - 1]))
    order = permutation.order(number)
    unit = permutation.to_unit(order)
    assert 0.0 <= unit < 1.0
    assert permutation.from_unit(unit) == order
    assert abs(unit - (number + 0.5) / permutation.count) <= 2.0**-53 + 0.5 / permutation.count * (count == 18)


def test_orders_are_equally_likely() -> None:
    """Equally spaced quantiles give each order equally often, the given one first and its reverse last."""
    permutation = Permutation(["a", "b", "c", "d"])
    drawn = [permutation.from_unit((number + 0.5) / 2400) for number in range(2400)]
    assert set(Counter(map(tuple, drawn)).values()) == {100}
    assert drawn[0] == ["a", "b", "c", "d"]
    assert drawn[-1] == permutation.from_unit(1.0) == ["d", "c", "b", "a"]


def test_it_contains_the_orders_of_its_items() -> None:
    """Lists and tuples of all items, each once; 1 is not True."""
    permutation = Permutation([1, "b", None])
    assert permutation.contains([None, 1, "b"])
    assert permutation.contains((1.0, "b", None))
    others: list[Any] = [
        [1, "b"],
        [1, "b", None, 1],
        [1, 1, "b"],
        [True, "b", None],
        [1, "b", "c"],
        [1, "b", print],
        "1b",
        None,
        {1},
    ]
    assert not any(map(permutation.contains, others))


def test_items_may_be_any_json_values_and_are_not_shared() -> None:
    """What a trial does to an item that is a list changes nothing but its own order."""
    permutation = Permutation([[1], {"a": 2}, "c"])
    order = permutation.order(0)
    order[0].append(9)
    order[1]["a"] = 9
    assert permutation.order(0) == [[1], {"a": 2}, "c"]
    assert permutation.contains([{"a": 2}, "c", [1]])


def test_it_shows_and_compares_as_its_call() -> None:
    """Equal to one of the same items in the same order; copies and JSON are alike."""
    permutation = Permutation(TASKS)
    assert repr(permutation) == "Permutation(['add', 'multiply', 'divide'])"
    assert permutation == Permutation(tuple(TASKS)) == pickle.loads(pickle.dumps(permutation)) == copy.deepcopy(permutation)
    assert permutation != Permutation(TASKS[::-1])
    assert len({permutation, Permutation(TASKS), Choice(TASKS)}) == 2
    assert json.loads(json.dumps(permutation.describe())) == {"distribution": "Permutation", "items": TASKS}
    assert SearchSpace({"order": permutation}) != SearchSpace({"order": Permutation(TASKS[::-1])})


@pytest.mark.parametrize(
    ("items", "what"),
    [
        ([], "there are no items"),
        (["only"], r"there is one order only.*Write Constant\(\['only'\]\)"),
        (list(range(19)), "19 items have more orders"),
        (["a", "b", "a"], "items 0 and 2 are equal"),
        ([1, 1.0], "items 0 and 1 are equal"),
        ("abc", "a str is no sequence of items"),
        (3, "an int is no sequence of items"),
        ({"a", "b"}, "a set is no sequence of items"),
        (["a", print], r"Permutation\(items\[1\]\)"),
        ([1, math.nan], "is not a finite number"),
    ],
)
def test_items_without_orders_are_refused(items: Any, what: str) -> None:
    """One item, too many, equal ones, and what is no list of JSON values."""
    with pytest.raises(SearchSpaceError, match=what):
        Permutation(items)


def test_items_one_by_one_and_foreign_keywords_are_refused() -> None:
    """The remedy is the call as it should be."""
    with pytest.raises(SearchSpaceError, match=r"Write Permutation\(\['a', 'b'\]\)"):
        Permutation("a", "b")  # type: ignore[arg-type]
    with pytest.raises(UnknownOption, match="Did you mean 'items'"):
        Permutation(item=["a", "b"])  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["add", "add", "x"], "'multiply' is missing, 'divide' is missing, 'x' is unknown, 'add' is there 2 times"),
        (["add", "multiply"], "'divide' is missing"),
        ([*TASKS, "divide"], "'divide' is there 2 times"),
        ("add", "is a str, and no order of"),
    ],
)
def test_what_is_no_order_is_told_item_by_item(given: Any, told: str) -> None:
    """Missing, unknown and repeated items have their names in the error, of suggestions and of what is fixed."""
    space = SearchSpace({"order": Permutation(TASKS), "x": Uniform(0, 1)})
    with pytest.raises(SuggestionError) as caught:
        space.check({"order": given, "x": 0.5}, "Suggestion")
    assert "'order' = " in str(caught.value)
    assert told in str(caught.value)
    with pytest.raises(SuggestionError) as caught:
        space.check_fixed({"order": given})
    assert told in str(caught.value)


def test_it_is_drawn_checked_and_fixed_in_a_search_space() -> None:
    """As any other parameter, beside others and under a choice."""
    space = SearchSpace.of({"kind": Choice({"curriculum": {"order": Permutation(TASKS)}, "mixed": {}}), "x": Uniform(0, 1)})
    drawn = [space.sample_at(0, index) for index in range(200)]
    for params in drawn:
        space.check(params, "draw")
    assert len({tuple(params["order"]) for params in drawn if "order" in params}) == 6
    assert space.sample_at(0, 1, {"kind": "curriculum", "order": tuple(TASKS)})["order"] == TASKS


def test_a_field_of_a_model_carries_it() -> None:
    """A list of the items' type; a type that does not fit is refused when the space is made."""

    class Plan(BaseModel):
        order: Annotated[list[str], Permutation(TASKS)]
        rate: Annotated[float, Uniform(0, 1)] = 0.5

    class Wrong(BaseModel):
        order: Annotated[list[int], Permutation(TASKS)]

    space = SearchSpace.of(Plan)
    built = space.build_model(space.sample_at(0, 3))
    assert isinstance(built, Plan)
    assert sorted(built.order) == sorted(TASKS)
    with pytest.raises(SearchSpaceError, match="does not take what its distribution gives"):
        SearchSpace.of(Wrong)


def test_a_uniform_float_reaches_orders_all_over() -> None:
    """Of 18 items, neighbouring floats give different orders: none is out of reach for lack of digits."""
    permutation = Permutation(list(range(18)))
    rng = random.Random(0)
    for _ in range(200):
        number = rng.randrange(permutation.count)
        unit = permutation.to_unit(permutation.order(number))
        following = permutation.number(permutation.from_unit(math.nextafter(unit, 1.0) if unit >= 0.5 else unit + 2.0**-53))
        assert following - number in (0, 1)
