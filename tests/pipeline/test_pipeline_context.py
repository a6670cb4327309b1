"""The values that a stage may read."""

# stages and helpers; each test says what it shows
from __future__ import annotations

import copy
import pickle

import pytest

from metta_sweep.pipeline import Context


def test_reading() -> None:
    """Fields are attributes and items; the whole is a mapping."""
    context = Context({"n": 1, "name": "a"})
    assert (context.n, context["name"], len(context), list(context), dict(context)) == (
        1,
        "a",
        2,
        ["n", "name"],
        {"n": 1, "name": "a"},
    )
    assert "n" in context


def test_it_cannot_be_changed() -> None:
    """Neither by setting, nor through the mapping that it was made from."""
    values = {"n": 1}
    context = Context(values)
    values["n"] = 2
    with pytest.raises(AttributeError, match="cannot be changed"):
        context.n = 3
    with pytest.raises(AttributeError, match="cannot be changed"):
        del context.n
    assert context.n == 1


def test_a_misspelt_field_is_recognized() -> None:
    """The error lists the fields and says which was meant."""
    context = Context({"learning_rate": 1.0})
    with pytest.raises(AttributeError, match="Did you mean 'learning_rate'"):
        _ = context.learning_rat
    with pytest.raises(KeyError, match="learning_rate"):
        _ = context["lr"]


def test_it_can_be_copied() -> None:
    """Copies and pickles hold the same values."""
    context = Context({"n": [1]})
    assert dict(copy.deepcopy(context)) == dict(pickle.loads(pickle.dumps(context))) == {"n": [1]}
