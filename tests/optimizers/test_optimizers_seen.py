"""What was suggested already, and the points of finite spaces."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, Uniform
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.optimizers.seen import SeenParams, params_key, point_at, size_of

MODELS = SearchSpace.of(
    {
        "m": Choice({"s": {"k": Integer(1, 3), "deep": Choice({"one": {"z": Choice(["u", "v"])}, "two": {}})}, "n": {}}),
        "flag": Choice([True, 1, None, [1.0]]),
        "always": Constant("c"),
    }
)
ENDLESS = SearchSpace.of({"m": Choice({"s": {"C": Uniform(0, 1)}, "n": {}})})


def leaf() -> st.SearchStrategy[Distribution]:
    """A finite distribution."""
    whole = st.tuples(st.integers(1, 9), st.integers(0, 4))
    return st.one_of(
        whole.map(lambda pair: Integer(pair[0], sum(pair))),
        whole.map(lambda pair: LogInteger(pair[0], sum(pair))),
        st.sampled_from([Constant(1), Choice([1, 2.5, "a"]), Choice([True])]),
    )


def spaces() -> st.SearchStrategy[SearchSpace]:
    """Finite spaces with sub-spaces."""
    below = st.dictionaries(st.sampled_from(["p", "q"]), leaf(), max_size=2)
    choice = st.dictionaries(st.sampled_from(["x", "y", "z"]), below, min_size=1, max_size=3).map(Choice)
    top = st.dictionaries(st.sampled_from(["a", "b"]), leaf(), max_size=2)
    return st.tuples(top, choice).map(lambda pair: SearchSpace.of({**pair[0], "m": pair[1]}))


@given(spaces())
@settings(max_examples=100, deadline=None)
def test_the_points_of_a_finite_space_are_all_there_is(space: SearchSpace) -> None:
    """They differ, lie inside, and random draws find no other."""
    size = size_of(space)
    assert size is not None
    keys = {params_key(point_at(space, number)) for number in range(size)}
    assert len(keys) == size
    for number in range(size):
        space.check(point_at(space, number), "point")
    assert {params_key(space.sample_at(0, number)) for number in range(100)} <= keys


def test_the_size_of_a_space() -> None:
    """Sub-spaces count under their options; a range of floats that may be there has no end."""
    assert size_of(MODELS) == (3 * (2 + 1) + 1) * 4
    assert size_of(MODELS, {"m": "s"}) == 3 * 3 * 4
    assert size_of(MODELS, {"m": "s", "deep": "two", "flag": None}) == 3
    assert size_of(ENDLESS) is None
    assert size_of(ENDLESS, {"m": "n"}) == 1
    assert size_of(ENDLESS, {"m": "s", "C": 0.5}) == 1


def test_points_within_what_is_fixed() -> None:
    """Each has the fixed values, and they are as many as the size says."""
    for fixed in ({"m": "n"}, {"m": "s", "deep": "one"}, {"flag": [1.0]}):
        size = size_of(MODELS, fixed)
        assert size is not None
        found = [point_at(MODELS, number, fixed) for number in range(size)]
        assert len({params_key(params) for params in found}) == size
        assert all({name: params[name] for name in fixed} == fixed for params in found)


def test_points_share_nothing_that_can_change() -> None:
    """Options that are lists or dicts are copies: what a trial does to its own, another does not see."""
    space = SearchSpace.of({"layers": Choice([[64, 64], {"width": 8}])})
    point_at(space, 0)["layers"].append(32)
    point_at(space, 1)["layers"].clear()
    assert [point_at(space, number)["layers"] for number in range(2)] == [[64, 64], {"width": 8}]


def test_there_are_no_points_beyond_the_last() -> None:
    """Nor in a space without an end."""
    for space, number in ((MODELS, 40), (MODELS, -1), (ENDLESS, 0)):
        with pytest.raises(ValueError, match="has no point"):
            point_at(space, number)


def test_equal_parameters_are_seen_once() -> None:
    """Whatever their order; 1.0 is 1, and True is not."""
    seen = SeenParams(SearchSpace.of({"a": Uniform(0, 1), "b": Choice([1, True])}))
    assert seen.add({"a": 1, "b": 1})
    assert not seen.add({"b": 1.0, "a": 1.0})
    assert seen.add({"a": 1, "b": True})
    assert {"b": True, "a": 1.0} in seen
    assert {"b": True, "a": 0.5} not in seen
    assert len(seen) == 2


def test_a_finite_space_is_used_up_when_every_point_was_seen() -> None:
    """Points outside it do not count; parts of it are used up before."""
    seen = SeenParams(MODELS)
    seen.add({"m": "gone"})
    seen.add({"m": "n", "flag": 1, "always": "c", "more": 1})
    for number in range(40):
        assert not seen.used_up()
        seen.add(point_at(MODELS, number))
        assert seen.used_up({"m": "n"}) == (number >= size_before({"m": "n"}))
    assert seen.used_up()
    assert seen.used_up({"m": "s", "deep": "one"})
    assert not SeenParams(ENDLESS).used_up()


def size_before(fixed: dict[str, Any]) -> int:
    """The number of the last point that has these parameters."""
    return max(number for number in range(40) if fixed.items() <= point_at(MODELS, number).items())


def test_a_part_is_counted_whenever_it_is_first_asked_for() -> None:
    """What was seen before that counts as well."""
    seen = SeenParams(ENDLESS)
    seen.add({"m": "n"})
    assert seen.used_up({"m": "n"})
    assert not seen.used_up({"m": "s"})


def test_the_first_new_point_is_found_round_the_end() -> None:
    """From any number on; none when all were seen, or in a space without an end."""
    seen = SeenParams(MODELS)
    for number in range(40):
        if number not in (5, 30):
            seen.add(point_at(MODELS, number))
    assert seen.first_new(17) == point_at(MODELS, 30)
    assert seen.first_new(31) == seen.first_new() == point_at(MODELS, 5)
    seen.add(point_at(MODELS, 30))
    assert seen.first_new(17) == point_at(MODELS, 5)
    seen.add(point_at(MODELS, 5))
    assert seen.first_new(17) is None
    assert SeenParams(ENDLESS).first_new() is None


def test_new_draws_are_remembered() -> None:
    """The first draw that is new; where none is, the point that is left; where nothing is left, none."""
    seen = SeenParams(MODELS)
    found = []
    while True:
        params = seen.draw_new(lambda number: point_at(MODELS, number % 3), tries=5)
        if params is None:
            break
        found.append(params_key(params))
    assert len(set(found)) == len(found) == 40


def test_a_space_without_an_end_gives_a_draw_again_rather_than_none() -> None:
    """When everything that is drawn was seen."""
    seen = SeenParams(ENDLESS)
    assert [seen.draw_new(lambda _number: {"m": "n"}) for _ in range(2)] == [{"m": "n"}] * 2
    assert seen.draw_new(lambda _number: {"m": "n"}, {"m": "n"}) is None
