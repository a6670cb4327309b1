"""Pretend values for trials in flight, so that a model is not asked twice for the same place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, cast

from metta_sweep.errors import OptimizerError, did_you_mean

__all__ = ["LIARS", "Liar", "check_liar", "pretend"]

Liar = Literal["worst", "mean", "best"]
LIARS: Final[tuple[Liar, ...]] = ("worst", "mean", "best")


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
    guess = did_you_mean(value, LIARS) if isinstance(value, str) else None
    raise OptimizerError(
        where,
        "unknown kind of pretend value for trials in flight",
        found=value,
        expected=" or ".join(map(repr, LIARS)),
        remedy=f"Did you mean {guess!r}?" if guess else "Write 'worst'",
    )
