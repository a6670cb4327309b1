"""What a scheduler wishes for."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.core.events import Draw
from metta_sweep.experiments.wish import Wish


@pytest.mark.parametrize(
    ("wish", "met"),
    [
        (Wish(), True),
        (Wish({"flag": True}), True),
        (Wish({"flag": 1}), False),
        (Wish({"size": 1}), True),
        (Wish({"size": 1.0}), True),
        (Wish({"size": True}), False),
        (Wish({"size": 1, "flag": False}), False),
        (Wish({"absent": None}), False),
        (Wish(branch="svm"), True),
        (Wish(branch="forest"), False),
        (Wish({"size": 2}, "svm"), False),
    ],
)
def test_a_wish_is_met_by_what_has_its_values_and_its_branch(wish: Wish, met: Any) -> None:
    """True and 1 are two options of a choice, though Python calls them equal; 1 and 1.0 are one."""
    assert wish.met_by(Draw(0, {"flag": True, "size": 1}, "svm", None, "random", None)) is met
