"""Distributions."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.errors import SearchSpaceError, UnknownOption

exactly = settings(derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
text = st.text("ab/ü", max_size=4)
units = st.floats(0, 1, exclude_max=True)
finite = st.floats(-1e300, 1e300)
ints = st.integers(-(2**62), 2**62)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    """Any distribution with valid arguments."""
    kind = draw(st.sampled_from([Uniform, LogUniform, Integer, LogInteger, Constant, Choice]))
    if kind is Constant:
        return Constant(draw(json_values))
    if kind is Choice:
        return Choice(
            draw(st.lists(st.integers() | text | st.booleans(), min_size=1, max_size=5, unique_by=lambda v: (type(v), v)))
        )
    if kind is Uniform:
        lower, upper = sorted(draw(st.lists(finite, min_size=2, max_size=2, unique=True)))
        return Uniform(lower, upper)
    if kind is LogUniform:
        positive = st.floats(1e-300, 1e300)
        lower, upper = sorted(draw(st.lists(positive, min_size=2, max_size=2, unique=True)))
        return LogUniform(lower, upper)
    low, high = sorted(draw(st.lists(ints if kind is Integer else st.integers(1, 2**62), min_size=2, max_size=2)))
    return Integer(low, high) if kind is Integer else LogInteger(low, high)


@exactly
@given(distributions(), units)
def test_every_draw_is_contained(distribution: Distribution, u: float) -> None:
    """What a distribution gives at any quantile, it contains."""
    assert distribution.contains(distribution.from_unit(u))


@exactly
@given(distributions(), units)
def test_draws_survive_json(distribution: Distribution, u: float) -> None:
    """Values and descriptions read back from JSON as what they were."""
    value = distribution.from_unit(u)
    assert json.loads(json.dumps(value)) == value
    assert json.loads(json.dumps(distribution.describe())) == distribution.describe()


@exactly
@given(distributions())
def test_copies_are_equal(distribution: Distribution) -> None:
    """Copies and pickles are equal, and describe themselves alike."""
    for again in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
        assert again == distribution
        assert again.describe() == distribution.describe()


@exactly
@given(st.sampled_from([Uniform(-3, 5), LogUniform(1e-5, 10), Integer(-3, 9), LogInteger(1, 1000)]), units, units)
def test_quantiles_are_ordered(distribution: Distribution, one: float, other: float) -> None:
    """A higher quantile never gives a lower value."""
    low, high = sorted([one, other])
    assert distribution.from_unit(low) <= distribution.from_unit(high)


@exactly
@given(st.integers(-(2**62), 2**62), st.integers(0, 40))
def test_integer_reaches_both_ends(lower: int, width: int) -> None:
    """Both ends of an integer range come up, at the ends of the unit interval."""
    distribution = Integer(lower, lower + width)
    assert distribution.from_unit(0.0) == lower
    assert distribution.from_unit(1.0 - 2.0**-53) == lower + width


def test_integers_are_equally_likely() -> None:
    """Equally spaced quantiles give every whole number equally often."""
    counts = Counter(Integer(2, 6).from_unit((k + 0.5) / 1000) for k in range(1000))
    assert counts == dict.fromkeys(range(2, 7), 200)


def test_log_uniform_halves_in_the_geometric_middle() -> None:
    """The median of a log-uniform distribution is the geometric mean of its bounds."""
    assert LogUniform(1e-4, 1e2).from_unit(0.5) == pytest.approx(0.1)


def test_log_integer_follows_the_logarithm() -> None:
    """The probability of a whole number is that of the interval around it, on a logarithmic scale."""
    distribution, draws = LogInteger(1, 100), 100_000
    counts = Counter(distribution.from_unit((k + 0.5) / draws) for k in range(draws))
    span = math.log(100.5) - math.log(0.5)
    for number in (1, 2, 10, 100):
        expected = (math.log(number + 0.5) - math.log(number - 0.5)) / span
        assert counts[number] / draws == pytest.approx(expected, abs=2e-5)


def test_choice_gives_each_option() -> None:
    """Options come up in their order, equally often."""
    choice = Choice(["a", None, 3])
    assert [choice.from_unit(u) for u in (0.0, 0.34, 0.99)] == ["a", None, 3]


def test_mutable_options_are_not_shared() -> None:
    """What a trial does to a list it was given changes neither the choice nor the constant it came from."""
    for distribution in (Choice([[1, 2], [3]]), Constant([1, 2])):
        distribution.from_unit(0.0).append(9)
        assert distribution.from_unit(0.0) == [1, 2]


def test_choice_of_sub_spaces() -> None:
    """A mapping of names to sub-spaces chooses a name, and keeps the parameters under it."""
    choice = Choice({"svm": {"C": LogUniform(1e-2, 1e3)}, "none": {}})
    assert choice.options == ("svm", "none")
    assert choice.spaces == ((("C", LogUniform(1e-2, 1e3)),), ())
    assert choice.describe()["spaces"] == [{"C": {"distribution": "LogUniform", "lower": 0.01, "upper": 1000.0}}, {}]


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        (Uniform(0, 1), "Uniform(0.0, 1.0)"),
        (LogUniform(1e-4, 1e2), "LogUniform(0.0001, 100.0)"),
        (Integer(1, 10), "Integer(1, 10)"),
        (LogInteger(1, 10), "LogInteger(1, 10)"),
        (Constant("x"), "Constant('x')"),
        (Choice([32, 64]), "Choice([32, 64])"),
        (Choice({"a": {"x": Integer(0, 1)}, "b": {}}), "Choice({'a': {'x': Integer(0, 1)}, 'b': {}})"),
    ],
)
def test_repr_is_the_call(distribution: Distribution, text: str) -> None:
    """A distribution prints as the call that makes it."""
    assert repr(distribution) == text
    assert eval(text) == distribution


def test_distributions_are_frozen_and_hashable() -> None:
    """A distribution cannot be changed, and serves as a key where its values do."""
    with pytest.raises(AttributeError):
        Uniform(0, 1).lower = 3  # type: ignore[misc]
    assert len({Uniform(0, 1), Uniform(0.0, 1.0), Integer(0, 1), Choice(["a"])}) == 3


def test_numpy_scalars_become_plain() -> None:
    """Bounds and options given as numpy scalars and arrays are plain Python numbers afterwards."""
    uniform, integer = Uniform(np.float32(0), np.float64(2)), Integer(np.int64(1), np.int8(3))  # type: ignore[arg-type]
    assert [type(value) for value in (uniform.lower, uniform.upper, integer.lower, integer.upper)] == [float, float, int, int]
    assert [type(option) for option in Choice(list(np.arange(3))).options] == [int, int, int]
    assert Choice(np.array([0.5, 1.5])).options == (0.5, 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("distribution", "value", "inside"),
    [
        (Uniform(0, 1), 1, True),
        (Uniform(0, 1), np.float32(0.5), True),
        (Uniform(0, 1), True, False),
        (Uniform(0, 1), math.nan, False),
        (Uniform(0, 1), "0.5", False),
        (LogUniform(1, 2), 0.5, False),
        (Integer(0, 5), np.int64(5), True),
        (Integer(0, 5), 3.0, False),
        (Integer(0, 5), True, False),
        (LogInteger(1, 5), 6, False),
        (Choice([1, 2]), True, False),
        (Choice([1, 2]), 1.0, True),
        (Choice([True, 1]), True, True),
        (Choice([[1, 2]]), (1, 2), True),
        (Choice([None]), None, True),
        (Choice(["a"]), object(), False),
        (Constant(3), 3, True),
        (Constant(3), "3", False),
    ],
)
def test_contains(distribution: Distribution, value: Any, inside: bool) -> None:
    """Membership is by value; bools are not numbers, and whole-number domains hold no floats."""
    assert distribution.contains(value) is inside


MALFORMED: list[tuple[Any, str, Any, str]] = [
    (lambda: Uniform(1, 0), "Uniform(lower, upper)", (1.0, 0.0), "Write Uniform(0.0, 1.0)"),
    (lambda: Uniform(2, 2), "Uniform(lower, upper)", (2.0, 2.0), "Write Constant(2.0)"),
    (lambda: Uniform("0", 1), "Uniform(lower)", "0", "Write Uniform(0.0, 1.0)"),  # type: ignore[arg-type]
    (lambda: Uniform(0, True), "Uniform(upper)", True, "Write Uniform(0.0, 1.0)"),
    (lambda: Uniform(0, math.inf), "Uniform(upper)", math.inf, "Write Uniform(0.0, 1.0)"),
    (lambda: Uniform(-1.7e308, 1.7e308), "Uniform(lower, upper)", (-1.7e308, 1.7e308), "Narrow it"),
    (lambda: LogUniform(0, 1), "LogUniform(lower)", 0, "Write Uniform(lower, upper)"),
    (lambda: LogUniform(10**400, 1), "LogUniform(lower)", 10**400, "Write Uniform(lower, upper)"),
    (lambda: Integer(0.0, 3), "Integer(lower)", 0.0, "Uniform(lower, upper) gives floats"),  # type: ignore[arg-type]
    (lambda: Integer(5, 2), "Integer(lower, upper)", (5, 2), "Write Integer(2, 5)"),
    (lambda: Integer(0, 2**70), "Integer(upper)", 2**70, "Write Integer(1, 10)"),
    (lambda: LogInteger(0, 10), "LogInteger(lower)", 0, "Write LogInteger(1, 10)"),
    (lambda: Choice([]), "Choice(options)", [], "Add an option"),
    (lambda: Choice({}), "Choice(options)", {}, "Add an option"),
    (lambda: Choice("abc"), "Choice(options)", "abc", "Write Choice(['abc'])"),
    (lambda: Choice({1, 2}), "Choice(options)", {1, 2}, "Write Choice([...])"),  # type: ignore[arg-type]
    (lambda: Choice(["a", "b", "a"]), "Choice(options)", "a", "Leave one out"),
    (lambda: Choice([1, math.nan]), "Choice(options[1])", math.nan, "Give a name instead"),
    (lambda: Choice([{"f": [print]}]), "Choice(options[0])['f'][0]", print, "Give a name instead"),
    (lambda: Choice({"svm": 3}), "Choice(options['svm'])", 3, "Write Choice([...])"),  # type: ignore[dict-item]
    (lambda: Choice({1: {}}), "Choice(options)", 1, "Write '1'"),  # type: ignore[dict-item]
    (lambda: Choice({"svm": {"C": 1.0}}), "Choice(options['svm'])['C']", 1.0, "Write Constant(1.0)"),  # type: ignore[dict-item]
    (lambda: Constant(object), "Constant(value)", object, "Give a name instead"),
    (lambda: Constant({1: 2}), "Constant(value)", {1: 2}, "Give a name instead"),
]


@pytest.mark.parametrize(("make", "where", "found", "remedy"), MALFORMED)
def test_malformed_distributions_are_refused(make: Any, where: str, found: Any, remedy: str) -> None:
    """A distribution that cannot be sampled is refused with its argument, the value and the way to mend it."""
    with pytest.raises(SearchSpaceError) as caught:
        make()
    assert caught.value.where == where
    assert caught.value.found is found or caught.value.found == found
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("make", "name", "remedy"),
    [
        (lambda: Uniform(low=0, high=1), "low", "Did you mean 'lower'?"),  # type: ignore[call-arg]
        (lambda: Integer(1, uper=3), "uper", "Did you mean 'upper'?"),  # type: ignore[call-arg]
        (lambda: Choice(option=[1]), "option", "Did you mean 'options'?"),  # type: ignore[call-arg]
    ],
)
def test_foreign_keywords_get_did_you_mean(make: Any, name: str, remedy: str) -> None:
    """Keywords of other libraries are refused with the name that they have here."""
    with pytest.raises(UnknownOption, match=name) as caught:
        make()
    assert remedy in str(caught.value)


def test_options_of_other_systems_are_answered_with_what_they_are_here() -> None:
    """A logarithmic range is a distribution of its own, and so are steps; exponents are no bounds."""
    with pytest.raises(UnknownOption, match=r"Did you mean LogUniform\(lower, upper\)"):
        Uniform(1e-3, 1.0, log=True)  # type: ignore[call-arg]
    with pytest.raises(UnknownOption, match=r"Did you mean Choice\(list\(range"):
        Integer(1, 9, step=2)  # type: ignore[call-arg]
    with pytest.raises(SearchSpaceError, match="bounds are values, not exponents"):
        LogUniform(-4, -1)


def test_options_of_a_choice_that_are_no_list_are_answered_with_the_list() -> None:
    """Two arguments are one too many."""
    with pytest.raises(SearchSpaceError, match=r"Write Choice\(\['a', 'b'\]\)"):
        Choice("a", "b")  # type: ignore[arg-type]
