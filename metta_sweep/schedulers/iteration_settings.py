"""The settings of the iteration scheduler, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

from metta_sweep.core.bandit import PendingRule
from metta_sweep.core.events import PaperTrigger
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import SchedulerError, a_kind
from metta_sweep.schedulers.checks import check_callable, check_choice, check_count, check_number
from metta_sweep.schedulers.picking import BranchPicker, SuggestionPicker

__all__ = [
    "OBSERVED_RANGE",
    "PAPER_THRESHOLD",
    "PRUNE_FLOOR",
    "Expander",
    "IterationSettings",
    "Reward",
    "TriggerHook",
    "was_given",
]

Expander = Callable[[Trial], Sequence[Suggestion | Mapping[str, Any]] | None]
"""What follows up a good result."""
Reward = Callable[[Trial], float] | Literal["observed_range"]
TriggerHook = Callable[[PaperTrigger], object]

OBSERVED_RANGE: Final = "observed_range"


class _Default(float):
    """A threshold that nobody gave: it holds on a known scale of rewards only."""


PAPER_THRESHOLD: Final = _Default(0.7)
PRUNE_FLOOR: Final = _Default(0.2)


def was_given(threshold: float | None) -> bool:
    """Whether a user set this threshold, be it to the value of the default."""
    return not isinstance(threshold, _Default)


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationSettings:
    """See ``IterationScheduler`` for what each means.

    Raises:
        SchedulerError: a setting is out of its range or of the wrong kind.
    """

    c: float
    paper_threshold: float | None
    prune_floor: float | None
    prune_after_runs: int
    expander: Expander | None
    expand_threshold: float | None
    branch_by: str | None
    pending: PendingRule
    reward: Reward | None
    failure_reward: float | None
    on_trigger: TriggerHook | None
    picker: BranchPicker | SuggestionPicker | None = None

    def __post_init__(self) -> None:
        self._put("c", check_number(_where("c"), self.c, least=0, example=2**0.5))
        for name, example in (("paper_threshold", 0.7), ("prune_floor", 0.2), ("expand_threshold", 0.7), ("failure_reward", 0.0)):
            value = getattr(self, name)
            if value is not None and was_given(value):
                self._put(name, check_number(_where(name), value, example=example))
        self._put("prune_after_runs", check_count(_where("prune_after_runs"), self.prune_after_runs, example=3))
        check_choice(_where("pending"), self.pending, get_args(PendingRule))
        self._check_callables()
        self._check_picker()
        branch_by: object = self.branch_by
        if branch_by is not None and (not isinstance(branch_by, str) or not branch_by):
            raise SchedulerError(
                _where("branch_by"),
                "it must be the name of a parameter",
                found=branch_by,
                expected="a non-empty string",
                remedy="Write the name of the Choice whose alternatives are the branches",
            )

    def describe(self) -> dict[str, Any]:
        """As JSON values; callables by their qualified names. A picker that was not given is not told of."""
        found = {field.name: _json(getattr(self, field.name)) for field in fields(self) if field.name != "picker"}
        return found if self.picker is None else {**found, "picker": self.picker.describe()}

    def _check_picker(self) -> None:
        picker: object = self.picker
        if picker is None:
            return
        if not isinstance(picker, BranchPicker | SuggestionPicker):
            raise SchedulerError(
                _where("picker"),
                "a class is no picker" if isinstance(picker, type) else f"{a_kind(picker)} is no picker",
                found=picker,
                expected="DiscountedUCB(), ContextualUCB(...), LinearUCB(), ParetoUCB(), RoundRobin(), or None for UCB1",
                remedy=f"Write picker={picker.__name__}()" if isinstance(picker, type) else "Leave it out for UCB1",
            )
        for name, default in (("c", 2**0.5), ("pending", "mean")):
            if getattr(self, name) != default:
                raise SchedulerError(
                    _where(name),
                    f"it is a setting of UCB1, and {type(picker).__name__} chooses",
                    found=getattr(self, name),
                    expected=f"{name} or picker, not both",
                    remedy=f"Write picker={type(picker).__name__}({name}=...)" if hasattr(picker, name) else "Leave it out",
                )

    def _check_callables(self) -> None:
        if self.expander is not None:
            check_callable(_where("expander"), self.expander, "a function (trial) -> list of suggestions")
        if self.on_trigger is not None:
            check_callable(_where("on_trigger"), self.on_trigger, "a function (event)")
        if self.reward is not None and self.reward != OBSERVED_RANGE:
            check_callable(_where("reward"), self.reward, f"a function (trial) -> float, or {OBSERVED_RANGE!r}")

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _where(name: str) -> str:
    return f"IterationScheduler({name}=)"


def _json(value: Any) -> Any:
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return float(value) if isinstance(value, float) else value
