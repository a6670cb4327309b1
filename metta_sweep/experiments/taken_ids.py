"""Ids of suggestions and trials that are taken already."""

from __future__ import annotations

from collections.abc import Callable

from metta_sweep.core.events import Draw
from metta_sweep.errors import SuggestionError
from metta_sweep.experiments.fold import SweepState

__all__ = ["TakenIds"]


class TakenIds:
    """Whether an id belongs to a suggestion or trial already: those in flight are in the state, ended ones in the store."""

    def __init__(self, state: SweepState, ended: Callable[[str], bool]) -> None:
        self._state = state
        self._ended = ended

    def __contains__(self, trial_id: str) -> bool:
        state = self._state
        if trial_id in state.explicit_ids or trial_id in state.live:
            return True
        return any(state.ended.values()) and self._ended(trial_id)  # the store is asked for nothing while there is nothing

    def check(self, draw: Draw, others: set[str]) -> None:
        """Raise ``SuggestionError`` when the id of a new suggestion is taken; remember it in ``others`` if not."""
        if draw.id is None:
            return
        if draw.id in others or draw.id in self:
            raise SuggestionError(
                f"suggestion {draw.suggestion} of {draw.origin}",
                f"the id {draw.id!r} is taken by another suggestion of this run",
                found=draw.id,
                expected="an id that is new in the run",
                remedy="Leave the id out, and the trial is called by its number",
            )
        others.add(draw.id)
