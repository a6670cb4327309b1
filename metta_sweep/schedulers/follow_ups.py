"""Follow-ups of a good result: asking the expander, and completing what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import SuggestionError, a_kind, did_you_mean
from metta_sweep.schedulers.iteration_settings import Expander
from metta_sweep.schedulers.scheduler import as_follow_up

__all__ = ["Branching", "follow_ups"]

_WHERE = "IterationScheduler(expander=)"
_EXPECTED = "a list of suggestions or mappings of parameters"


class Branching(NamedTuple):
    """The choice whose alternatives are the branches; or the branches of the optimizer."""

    name: str | None
    """The choice; None where the branches are the optimizer's."""
    values: Mapping[str, Any]
    """Branches and the values of the parameter that they stand for, where they do."""

    def fixed(self, branch: str) -> dict[str, Any]:
        """The parameter that a suggestion of the branch has."""
        return {} if self.name is None else {self.name: self.values[branch]}

    def place(self, item: Suggestion, trial: Trial) -> tuple[str, dict[str, Any]]:
        """The branch and parameters of a follow-up: one follows from the other, and both from the trial where both are absent.

        Raises:
            SuggestionError: they contradict each other, or there is no such branch.
        """
        named = str(item.params[self.name]) if self.name is not None and self.name in item.params else None
        branch = named or item.branch or trial.branch or ""
        if branch not in self.values:
            guess = did_you_mean(branch, self.values)
            raise SuggestionError(
                _WHERE,
                f"a follow-up of trial {trial.id!r} belongs to no " + (f"alternative of {self.name!r}" if self.name else "branch"),
                found=branch,
                expected="one of " + ", ".join(self.values),
                remedy=f"Did you mean {guess!r}?" if guess else None,
            )
        if item.branch is not None and item.branch != branch:
            raise SuggestionError(
                _WHERE,
                f"a follow-up of trial {trial.id!r} has {self.name}={branch!r} and another branch",
                found=item.branch,
                expected=repr(branch),
                remedy="Leave the branch out",
            )
        return branch, item.params if named is not None else {**item.params, **self.fixed(branch)}


def follow_ups(expander: Expander, trial: Trial, branching: Branching | None = None) -> list[Suggestion]:
    """What the expander makes of a trial, with ids ``<id>-f1``, ``<id>-f2``, ..., branch and parent filled in where absent.

    Raises:
        SuggestionError: it returned something else than suggestions. Exceptions of its own pass, with a note naming the trial.
    """
    try:
        found: Any = expander(trial)
    except Exception as error:
        error.add_note(f"in the expander, for the follow-ups of trial {trial.id!r}")
        raise
    if found is None:
        return []
    if isinstance(found, str | bytes | Mapping | Suggestion) or not isinstance(found, Sequence):
        raise SuggestionError(
            _WHERE,
            f"for trial {trial.id!r} it returned {a_kind(found)}",
            found=found,
            expected=_EXPECTED,
            remedy="Return a list, which may be empty",
        )
    return [_complete(item, trial, position, branching) for position, item in enumerate(found, 1)]


def _complete(item: object, trial: Trial, position: int, branching: Branching | None) -> Suggestion:
    if isinstance(item, Mapping):
        item = Suggestion(params=dict(item))
    elif not isinstance(item, Suggestion):
        raise SuggestionError(
            _WHERE,
            f"follow-up {position} of trial {trial.id!r} is {a_kind(item)}",
            found=item,
            expected=_EXPECTED,
            remedy="Return Suggestion(params={...})",
        )
    branch, params = item.branch, item.params
    if branching is not None:
        branch, params = branching.place(item, trial)
    return as_follow_up(replace(item, params=params, branch=branch), trial, position)
