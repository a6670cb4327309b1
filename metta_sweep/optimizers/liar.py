"""Pretend values for trials in flight, so that a model is not asked twice for the same place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, cast

from metta_sweep.errors import OptimizerError, did_you_mean

__all__ = ["LIARS", "Liar", "ModelLiar", "check_liar", "check_model_liar", "pretend"]

Liar = Literal["worst", "mean", "best"]
LIARS: Final[tuple[Liar, ...]] = ("worst", "mean", "best")
ModelLiar = Literal["predicted", "worst", "mean", "best"]
"""What a model can take besides: the value that it predicts there itself, the "kriging believer"."""
_MODEL_LIARS: Final[tuple[ModelLiar, ...]] = ("predicted", "worst", "mean", "best")


def pretend(scores: Sequence[float], sign: int, liar: Liar = "worst") -> float:
    """The value that trials in flight are taken to have: the constant liar.

    SOURCE: Ginsbourger, Le Riche and Carraro 2010, "Kriging is well-suited to parallelize optimization".

    Args:
        scores: what was observed, in the user's units; at least one.
        sign: the direction of the goal, ``goal.sign``: +1 where more is better, -1 where less is.
        liar: ``"worst"`` and ``"best"`` of those scores in that direction, or their ``"mean"``.
    """
    if liar == "mean":
        # scaled first: the sum of scores near the largest float would overflow
        return sum([score / len(scores) for score in scores])
    return max(scores) if (sign > 0) == (liar == "best") else min(scores)


def check_liar(value: Any, where: str) -> Liar:
    """The kind of liar; raises ``OptimizerError`` for what is none."""
    if value in LIARS:
        return cast("Liar", value)
    raise _unknown(value, where, LIARS)


def check_model_liar(value: Any, where: str) -> ModelLiar:
    """The same for one that has a model."""
    if value in _MODEL_LIARS:
        return cast("ModelLiar", value)
    raise _unknown(value, where, _MODEL_LIARS)


def _unknown(value: Any, where: str, allowed: tuple[str, ...]) -> OptimizerError:
    guess = did_you_mean(value, allowed) if isinstance(value, str) else None
    return OptimizerError(
        where,
        "unknown kind of pretend value for trials in flight",
        found=value,
        expected=" or ".join(map(repr, allowed)),
        remedy=f"Did you mean {guess!r}?" if guess else f"Write {allowed[0]!r}",
    )
