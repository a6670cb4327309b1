"""The check that every suggestion passes."""

from __future__ import annotations

import enum
import json
import math
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Suggestion
from metta_sweep.errors import InvalidInput, InvalidName, SuggestionError


class Colour(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


def test_a_mapping_is_the_parameters() -> None:
    """A plain mapping, whatever its keys are called, is the parameters of a suggestion."""
    assert check_suggestion({"params": 1, "branch": "x"}, "s") == Suggestion(params={"params": 1, "branch": "x"})
    assert check_suggestion(MappingProxyType({"x": 1}), "s") == Suggestion(params={"x": 1})


def test_the_rest_of_a_suggestion_is_kept() -> None:
    """Branch, id, origin and parent stay as they are."""
    suggestion = Suggestion(params={"x": 1}, branch="a", id="a-1", origin="me", parent="a-0")
    assert check_suggestion(suggestion, "s") == suggestion


def test_parameters_are_copied_at_every_depth() -> None:
    """What is changed afterwards in the given parameters does not show."""
    params: dict[str, Any] = {"layers": [1, {"units": 2}]}
    checked = check_suggestion(Suggestion(params=params), "s")
    params["layers"][1]["units"] = 3
    params["more"] = 1
    assert checked.params == {"layers": [1, {"units": 2}]}


def test_values_become_plain() -> None:
    """Numpy scalars and arrays, tuples and enum members become what JSON holds."""
    given = {
        "i": np.int64(3),
        "f": np.float64(0.5),
        "h": np.float32(0.5),
        "b": np.bool_(True),
        "s": np.str_("x"),
        "a": np.arange(2),
        "t": (1, (2,)),
        "e": Colour.RED,
        "l": Level.HIGH,
        Colour.RED: 1.0,
        np.str_("k"): None,
    }
    params = check_suggestion(given, "s").params
    assert params == {
        "i": 3,
        "f": 0.5,
        "h": 0.5,
        "b": True,
        "s": "x",
        "a": [0, 1],
        "t": [1, [2]],
        "e": "red",
        "l": 3,
        "red": 1.0,
        "k": None,
    }
    assert [type(value) for value in params.values()] == [int, float, float, bool, str, list, list, str, int, float, type(None)]
    assert {type(name) for name in params} == {str}
    assert json.loads(json.dumps(params)) == params


def test_names_become_plain() -> None:
    """Ids and branches that are members of a text enum become their values."""
    checked = check_suggestion(Suggestion(params={}, branch=Colour.RED, id=np.str_("a"), origin=Colour.RED), "s")
    assert checked == Suggestion(params={}, branch="red", id="a", origin="red")
    assert {type(checked.branch), type(checked.id), type(checked.origin)} == {str}


MALFORMED: list[tuple[Any, type[InvalidInput], str, Any, str]] = [
    (3, SuggestionError, "s", 3, "Write Suggestion(params="),
    (None, SuggestionError, "s", None, "Write Suggestion(params="),
    ([("x", 1)], SuggestionError, "s", [("x", 1)], "Write Suggestion(params="),
    (Suggestion, SuggestionError, "s", Suggestion, "Call the class"),
    (Suggestion(params=[1]), SuggestionError, "s.params", [1], "Write params={'lr': 0.1}"),  # type: ignore[arg-type]
    ({3: 1}, SuggestionError, "s", 3, "Write '3'"),
    ({"lr": math.nan}, SuggestionError, "s['lr']", math.nan, "Give a name or number"),
    ({"lr": np.float32("inf")}, SuggestionError, "s['lr']", math.inf, "Give a name or number"),
    ({"f": print}, SuggestionError, "s['f']", print, "look the object up"),
    ({"a": {"b": [1, {2}]}}, SuggestionError, "s['a']['b'][1]", {2}, "Give a name or number"),
    (Suggestion(params={"a": {3: 1}}), SuggestionError, "s.params['a']", {3: 1}, "Give a name or number"),
    (Suggestion(params={}, id="a/b"), InvalidName, "s.id", "a/b", "Use letters"),
    (Suggestion(params={}, id=""), InvalidName, "s.id", "", "Give a short text"),
    (Suggestion(params={}, id=7), InvalidName, "s.id", 7, "Give a short text"),  # type: ignore[arg-type]
    (Suggestion(params={}, branch="a b"), InvalidName, "s.branch", "a b", "Use letters"),
    (Suggestion(params={}, branch="x" * 300), InvalidName, "s.branch", "x" * 300, "Shorten it"),
    (Suggestion(params={}, parent=7), SuggestionError, "s.parent", 7, "Leave it out"),  # type: ignore[arg-type]
    (Suggestion(params={}, origin=7), SuggestionError, "s.origin", 7, "Leave it out"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("value", "error", "where", "found", "remedy"), MALFORMED)
def test_malformed_suggestions_are_refused(value: Any, error: type[InvalidInput], where: str, found: Any, remedy: str) -> None:
    """What cannot become a trial is refused with the place, the value found and the way to mend it."""
    with pytest.raises(error) as caught:
        check_suggestion(value, "s")
    assert caught.value.where == where
    assert caught.value.found is found or caught.value.found == found
    assert remedy in str(caught.value)
