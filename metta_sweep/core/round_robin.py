"""Equal shares: the arm with the fewest pulls."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from metta_sweep.core.arm_table import ArmTable
from metta_sweep.core.bandit import Best

__all__ = ["FewestPulls"]

A = TypeVar("A", bound=Hashable)


class FewestPulls(ArmTable[A]):
    """Pulls the open arm that was pulled least, pending pulls included; of several the earliest. Rewards do not count."""

    def best(self) -> Best[A] | None:
        """The open arm to pull next; None when none is open."""
        arms = self.open_arms()
        if not arms:
            return None
        arm, state = min(arms, key=lambda item: item[1].runs + item[1].pending)
        count = state.runs + state.pending
        why = f"round robin: {count} pulls, the fewest of {len(arms)} branches" if len(arms) > 1 else "round robin: the only branch"
        return Best(arm, None, None, None, state.runs, state.pending, (), len(arms), why)
