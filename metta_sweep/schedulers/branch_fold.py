"""Branches as a bandit's arms: what the iteration scheduler knows of them, a fold over events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from metta_sweep.core.bandit import Picker
from metta_sweep.core.events import Draw, Event, PaperTrigger, Pick, Prune, Score
from metta_sweep.schedulers.picking import Learner

__all__ = ["BranchArm", "BranchArms"]


class BranchArm:
    """What is kept of one branch."""

    __slots__ = ("order", "pending", "pruned", "reward_sum", "runs", "triggered", "unvalued", "waiting")

    def __init__(self, order: int) -> None:
        self.order = order
        """Its place among the branches."""
        self.runs = 0
        self.pending = 0
        self.unvalued = 0
        """Runs that failed before any reward was seen."""
        self.reward_sum = 0.0
        self.pruned = False
        self.triggered = False
        self.waiting: deque[int] = deque()
        """Numbers of its suggestions in the pool, oldest first; not kept when branches are fixed."""


class BranchArms:
    """Keeps a picker told of every branch, by name; the branch None goes by ``""``.

    Args:
        picker: what chooses between them.
        fixed: all branches there are, each open until it is pruned; None: those of suggestions, open while one waits.
        scaled: whether the picker is to count the observed range of rewards as 0 to 1.
    """

    def __init__(self, picker: Picker[str], *, fixed: Iterable[str] | None, scaled: bool) -> None:
        self.picker = picker
        self.arms: dict[str, BranchArm] = {}
        self.scale_note = ""
        """How rewards are scaled, in words; "" where they are not."""
        self._scaled = scaled
        self._teach = picker.learn if isinstance(picker, Learner) else None
        self._low, self._high = float("inf"), float("-inf")
        self._pruned = 0
        self._unvalued: set[str] = set()
        self._fixed = frozenset(fixed) if fixed is not None else None
        for name in fixed or ():
            self._show(name, self.arm(name))

    @property
    def all_pruned(self) -> bool:
        """Whether every branch that is known is pruned, and there is one."""
        return bool(self.arms) and self._pruned == len(self.arms)

    def find(self, branch: str | None) -> BranchArm | None:
        """A branch, if it is known."""
        return self.arms.get(branch or "")

    def arm(self, name: str) -> BranchArm:
        """A branch, which is known from now on."""
        arm = self.arms.get(name)
        if arm is None:
            arm = self.arms[name] = BranchArm(len(self.arms))
        return arm

    def apply(self, event: Event) -> None:
        """Take note of a draw, pick, score, pruning or trigger; other events say nothing of branches."""
        if isinstance(event, Draw):
            if self._fixed is None:
                self._draw(event)
        elif isinstance(event, Pick):
            self._pick(event)
        elif isinstance(event, Score):
            self._score(event)
        elif isinstance(event, Prune):
            self._prune(event)
        elif isinstance(event, PaperTrigger):
            self.arm(event.branch or "").triggered = True

    def _draw(self, event: Draw) -> None:
        name = event.branch or ""
        arm = self.arm(name)
        if arm.pruned:
            return
        arm.waiting.append(event.suggestion)
        if len(arm.waiting) == 1:
            self._show(name, arm)

    def _pick(self, event: Pick) -> None:
        name = event.branch or ""
        arm = self.arm(name)
        waiting = arm.waiting
        if waiting:
            if waiting[0] == event.suggestion:
                waiting.popleft()
            elif event.suggestion in waiting:
                waiting.remove(event.suggestion)
        arm.pending += 1
        self._show(name, arm)

    def _score(self, event: Score) -> None:
        name = event.branch or ""
        arm = self.arm(name)
        arm.pending -= 1
        if event.counts:
            arm.runs += 1
            if event.reward is None:
                arm.unvalued += 1
                self._unvalued.add(name)
            else:
                arm.reward_sum += event.reward
                self._learn(event.reward)
                if self._teach is not None:
                    self._teach(name, event.reward)
        self._show(name, arm)

    def _learn(self, reward: float) -> None:
        if self._unvalued:
            for name in sorted(self._unvalued):
                arm = self.arms[name]
                arm.reward_sum += arm.unvalued * reward
                if self._teach is not None:
                    for _ in range(arm.unvalued):
                        self._teach(name, reward)
                arm.unvalued = 0
                self._show(name, arm)
            self._unvalued.clear()
        if self._scaled and not self._low <= reward <= self._high:
            self._low, self._high = min(self._low, reward), max(self._high, reward)
            self.picker.scale(self._low, self._high)
            self.scale_note = f"rewards from {self._low:.4g} to {self._high:.4g} count as 0 to 1"

    def _prune(self, event: Prune) -> None:
        name = event.branch or ""
        arm = self.arm(name)
        if not arm.pruned:
            arm.pruned = True
            arm.waiting.clear()
            self._pruned += 1
            self._show(name, arm)

    def _show(self, name: str, arm: BranchArm) -> None:
        if self._fixed is not None:
            order, is_open = arm.order, not arm.pruned and name in self._fixed
        elif arm.waiting:
            order, is_open = arm.waiting[0], True
        else:
            order, is_open = 0, False
        self.picker.set(name, arm.runs, arm.pending, arm.reward_sum, order, is_open)
