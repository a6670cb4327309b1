"""Points of a search space as vectors, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta_sweep.core.distributions import Choice, Constant, Integer, LogInteger, LogUniform, Permutation, Uniform
from metta_sweep.core.encoding import Encoding
from metta_sweep.core.search_space import SearchSpace

FLAT = SearchSpace.of(
    {
        "x": Uniform(-5.0, 10.0),
        "lr": LogUniform(1e-4, 1e-1),
        "layers": Integer(1, 4),
        "width": LogInteger(16, 1024),
        "batch": Choice([32, 64, 128]),
        "kind": Constant("adam"),
        "one": Integer(3, 3),
    }
)
NESTED = SearchSpace.of(
    {
        "model": Choice(
            {
                "svm": {"C": LogUniform(1e-3, 1e3), "kernel": Choice({"rbf": {"gamma": LogUniform(1e-4, 1.0)}, "linear": {}})},
                "forest": {"trees": Integer(10, 500), "C": Uniform(0.0, 1.0)},
            }
        ),
        "seed": Integer(0, 9),
    }
)
ORDERED = SearchSpace.of(
    {"first": Permutation(["a", "b", "c"]), "kind": Choice({"plain": {}, "ordered": {"then": Permutation(list(range(9)))}})}
)


def test_numbers_stand_at_their_quantile_and_choices_have_a_coordinate_per_option() -> None:
    """Log scales are straight, whole numbers stand in the middle of their step, constants have no coordinate."""
    encoding = Encoding(FLAT)
    vector = encoding.encode({"x": 2.5, "lr": 1e-2, "layers": 1, "width": 1024, "batch": 64, "kind": "adam", "one": 3})
    assert encoding.width == len(vector) == 7
    assert vector[0] == pytest.approx(0.5)
    assert vector[1] == pytest.approx(2 / 3)
    assert vector[2] == 0.125
    assert vector[4:] == [0.0, 1.0, 0.0]


def test_items_of_an_order_stand_at_their_place() -> None:
    """One coordinate per item, in the order in which the items were given; any vector sorts them."""
    encoding = Encoding(SearchSpace.of({"order": Permutation(["a", "b", "c"])}))
    assert encoding.encode({"order": ["c", "a", "b"]}) == [0.5, 1.0, 0.0]
    assert encoding.decode([0.3, 0.31, 0.2]) == {"order": ["c", "a", "b"]}
    assert encoding.decode([0.5, 0.5, 0.5]) == {"order": ["a", "b", "c"]}
    assert encoding.decode_within([0.0, 0.5, 1.0], {"order": ["b", "c", "a"]}) == {"order": ["b", "c", "a"]}


@pytest.mark.parametrize("space", [FLAT, NESTED, ORDERED])
@given(seed=st.integers(0, 2**31), ordered=st.booleans())
def test_what_was_encoded_is_decoded_again(space: SearchSpace, seed: int, ordered: bool) -> None:
    """Decoding gives a point of the space: the encoded one, floats but for rounding."""
    encoding = Encoding(space, ordered_choices=ordered)
    params = space.sample_at(seed, 0)
    vector = encoding.encode(params)
    found = encoding.decode(vector)
    assert list(found) == list(params)
    for name, value in params.items():
        assert found[name] == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value)
    assert all(0.0 <= u <= 1.0 for u in vector)


@given(st.lists(st.floats(-0.5, 1.5), min_size=9, max_size=9))
def test_any_vector_is_decoded_to_a_point_of_the_space(vector: list[float]) -> None:
    """Vectors outside the cube, or between options, give the nearest parameters."""
    encoding = Encoding(NESTED)
    assert encoding.width == 9
    NESTED.check(encoding.decode(vector), "decode")


def test_parameters_that_are_not_there_stand_in_the_middle() -> None:
    """Coordinates of other alternatives are 0.5, also where names are shared between alternatives."""
    encoding = Encoding(NESTED)
    vector = encoding.encode({"model": "forest", "trees": 10, "C": 0.25, "seed": 0})
    assert vector[:2] == [0.0, 1.0]
    assert vector[2:6] == [0.5, 0.5, 0.5, 0.5]
    assert vector[7] == 0.25
    assert [axis.name for axis in encoding.active_axes({"model": "forest"})] == ["model", "trees", "C", "seed"]


def test_ordered_choices_are_one_coordinate_where_they_ascend() -> None:
    """Choices of ascending numbers may be one coordinate; others, and those with sub-spaces, never."""
    space = SearchSpace.of({"a": Choice([1, 2, 4, 8]), "b": Choice([3, 1, 2]), "c": Choice(["x", "y"]), "d": Choice([False, True])})
    encoding = Encoding(space, ordered_choices=True)
    assert encoding.encode({"a": 2, "b": 3, "c": "x", "d": False}) == [0.375, 1, 0, 0, 1, 0, 1, 0]
    assert Encoding(space).width == 11


def test_fixed_parameters_are_kept_when_a_vector_is_decoded() -> None:
    """What is fixed is not read from the vector, and decides which parameters are there."""
    encoding = Encoding(NESTED)
    vector = encoding.encode({"model": "forest", "trees": 10, "C": 0.25, "seed": 4})
    params = encoding.decode_within(vector, {"model": "svm", "kernel": "linear"})
    assert params["model"] == "svm"
    assert params["kernel"] == "linear"
    assert params["seed"] == 4
    assert set(params) == {"model", "C", "kernel", "seed"}
