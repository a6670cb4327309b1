"""A comparison as a stage of a pipeline: its output is the comparison, or what a contract picks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, get_origin

from metta_sweep.core.budget import Spend, StopReason
from metta_sweep.experiments.comparison.result import ComparedRun, Comparison
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.parts.guest import Guest
from metta_sweep.pipeline.proof.flow import FieldState

__all__ = ["PICKED", "as_comparison"]

PICKED: Final[Mapping[str, Any]] = {
    "winner": str | None,
    "runs": tuple[ComparedRun, ...],
    "seed": int,
    "spend": Spend,
    "stop_reason": StopReason | None,
    "stop_detail": str,
}
"""What a contract may pick of a comparison, and as what."""
_ITSELF: Final = "itself"
_AS_DICT: Final = "as a dict"


def as_comparison(guest: Guest, stage: str) -> Guest:
    """The guest that gives a comparison."""
    return replace(
        guest,
        provides=Contract(stage, {stage: Comparison}),
        ends={name: FieldState(form, guest.name, definite=True) for name, form in PICKED.items()},
        whole=_whole,
        values=_Values,
    )


def _whole(name: str, form: Any) -> str | None:
    """What the only field of a contract is of the comparison: itself, or all of it as a dict; None: the attribute of its name."""
    origin = get_origin(form) or form
    if name in PICKED or not isinstance(origin, type) or origin is object:
        return None
    if issubclass(Comparison, origin):
        return _ITSELF
    return _AS_DICT if issubclass(dict, origin) else None


class _Values(Mapping[str, Any]):
    """What can be picked of a comparison, by name."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    def __getitem__(self, name: str) -> Any:
        if name == _ITSELF:
            return self._comparison
        return self._comparison.to_dict() if name == _AS_DICT else getattr(self._comparison, name)

    def __iter__(self) -> Iterator[str]:
        return iter(PICKED)

    def __len__(self) -> int:
        return len(PICKED)
