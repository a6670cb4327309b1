"""The queue of given suggestions."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.core.goal import Goal
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Suggestion
from metta_sweep.errors import InvalidInput, InvalidName, SuggestionError
from metta_sweep.optimizers import SuggestionQueue

SETUP = Setup(None, Goal(), 0, 3)


def test_it_suggests_in_the_given_order_and_then_nothing() -> None:
    """Suggestions come in their order, each once; what is left is counted."""
    queue = SuggestionQueue([Suggestion(branch="a", params={"x": 1}), {"x": 2}, {"x": 3}])
    assert queue.remaining == len(queue) == 3
    assert queue.suggest(2) == [Suggestion(branch="a", params={"x": 1}), Suggestion(params={"x": 2})]
    assert queue.remaining == 1
    assert queue.suggest(5) == [Suggestion(params={"x": 3})]
    assert queue.suggest(5) == []
    assert queue.remaining == 0


def test_an_empty_queue_is_allowed() -> None:
    """A queue of nothing has nothing left."""
    assert SuggestionQueue([]).remaining == 0


def test_each_run_starts_at_the_beginning() -> None:
    """The copy for a run has all suggestions, and uses up none of the original's."""
    queue = SuggestionQueue({"x": number} for number in range(3))
    queue.suggest(1)
    fresh = queue.for_run(SETUP)
    assert fresh.remaining == 3
    fresh.suggest(3)
    assert queue.remaining == 2


def test_suggestions_are_copied() -> None:
    """Changing the given parameters afterwards changes no suggestion."""
    params = {"x": [1]}
    queue = SuggestionQueue([params])
    params["x"].append(2)
    assert queue.suggest(1)[0].params == {"x": [1]}


def test_it_describes_its_suggestions() -> None:
    """The description holds every suggestion, used or not."""
    queue = SuggestionQueue([Suggestion(branch="a", id="a1", params={"x": 1})])
    described = {"class": "SuggestionQueue", "suggestions": [{"id": "a1", "branch": "a", "params": {"x": 1}}]}
    assert queue.describe() == described
    queue.suggest(1)
    assert queue.describe() == described


MALFORMED: list[tuple[Any, type[InvalidInput], str, Any, str]] = [
    (None, SuggestionError, "SuggestionQueue(suggestions)", None, "Put it in a list"),
    ({"x": 1}, SuggestionError, "SuggestionQueue(suggestions)", {"x": 1}, "Put it in a list"),
    ("ab", SuggestionError, "SuggestionQueue(suggestions)", "ab", "Put it in a list"),
    (Suggestion(params={}), SuggestionError, "SuggestionQueue(suggestions)", Suggestion(params={}), "Put it in a list"),
    ([{"x": 1}, 3], SuggestionError, "SuggestionQueue[1]", 3, "Write Suggestion(params="),
    ([{"x": float("nan")}], SuggestionError, "SuggestionQueue[0]['x']", None, "Give a name or number"),
    ([Suggestion(params={}, branch="a/b")], InvalidName, "SuggestionQueue[0].branch", "a/b", "Use letters"),
    ([Suggestion(params={}, id="a b")], InvalidName, "SuggestionQueue[0].id", "a b", "Use letters"),
    (
        [Suggestion(params={}, id="a"), {}, Suggestion(params={}, id="a")],
        SuggestionError,
        "SuggestionQueue[2].id",
        "a",
        "positions 0 and 2 have it; found 'a'; expected ids that occur once. Rename one",
    ),
]


@pytest.mark.parametrize(("suggestions", "error", "where", "found", "remedy"), MALFORMED)
def test_malformed_queues_are_refused(suggestions: Any, error: type[InvalidInput], where: str, found: Any, remedy: str) -> None:
    """A queue is refused with the position of what is wrong, the value found and the way to mend it."""
    with pytest.raises(error) as caught:
        SuggestionQueue(suggestions)
    assert caught.value.where == where
    assert found is None or caught.value.found == found
    assert remedy in str(caught.value)
