"""A given list of suggestions: hypotheses to test, configurations to repeat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from metta_sweep.core.described import described
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Suggestion
from metta_sweep.errors import SuggestionError, a_kind
from metta_sweep.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from metta_sweep.core.setup import Setup

__all__ = ["SuggestionQueue"]


class SuggestionQueue(Optimizer):
    """Suggests what it was given, in that order, and then nothing more.

    Args:
        suggestions: suggestions, or mappings of parameters. Checked and copied at once; an empty queue is allowed.

    Raises:
        SuggestionError: for one that is none, for parameters that are no JSON values, and for an id that occurs twice.
        InvalidName: for an id or branch that cannot be a name.
    """

    def __init__(self, suggestions: Iterable[Suggestion | Mapping[str, Any]]) -> None:
        if isinstance(suggestions, Mapping | str | bytes | Suggestion) or not isinstance(suggestions, Iterable):
            raise SuggestionError(
                "SuggestionQueue(suggestions)",
                f"{a_kind(suggestions)} is no list of suggestions",
                found=suggestions,
                expected="a list of Suggestion, or of mappings of parameters",
                remedy="Put it in a list: SuggestionQueue([...])",
            )
        self._suggestions = tuple(check_suggestion(item, f"SuggestionQueue[{number}]") for number, item in enumerate(suggestions))
        self._next = 0
        _refuse_duplicates(self._suggestions)

    def __len__(self) -> int:
        return len(self._suggestions)

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """All of them, in order, those that were suggested already too."""
        return self._suggestions

    @property
    def remaining(self) -> int:
        """How many are left."""
        return len(self._suggestions) - self._next

    def suggest(self, n: int) -> list[Suggestion]:
        """The next ``n``, or as many as are left."""
        start, self._next = self._next, min(self._next + n, len(self._suggestions))
        return list(self._suggestions[start : self._next])

    def for_run(self, setup: Setup) -> SuggestionQueue:
        """The same queue from its beginning."""
        fresh = type(self).__new__(type(self))
        vars(fresh).update({**vars(self), "_next": 0, "search_space": setup.search_space})
        return fresh

    def describe(self) -> dict[str, Any]:
        """Its class, and its suggestions: ids, branches and parameters."""
        return {
            **described(self, without=("suggestions",)),
            "suggestions": [{"id": item.id, "branch": item.branch, "params": item.params} for item in self._suggestions],
        }


def _refuse_duplicates(suggestions: tuple[Suggestion, ...]) -> None:
    first: dict[str, int] = {}
    for position, suggestion in enumerate(suggestions):
        if suggestion.id is None:
            continue
        before = first.setdefault(suggestion.id, position)
        if before != position:
            raise SuggestionError(
                f"SuggestionQueue[{position}].id",
                f"the id {suggestion.id!r} is taken: positions {before} and {position} have it",
                found=suggestion.id,
                expected="ids that occur once",
                remedy="Rename one of them, or leave ids out",
            )
