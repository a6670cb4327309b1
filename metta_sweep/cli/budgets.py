"""``--budget`` to a budget."""

from __future__ import annotations

from metta_sweep.cli.exits import UsageError
from metta_sweep.core.budget import Budget
from metta_sweep.errors import InvalidInput

__all__ = ["parse_budget"]


def parse_budget(text: str) -> Budget:
    """``60``, or ``trials=60,seconds=120,cost=5``.

    Raises:
        UsageError: it is no budget.
    """
    try:
        if "=" not in text:
            return Budget(trials=_number(text, whole=True))  # type: ignore[arg-type]  # whole says so
        caps: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name in caps:
                raise UsageError("--budget", f"{name!r} comes twice", found=text)
            caps[name] = _number(value, whole=name == "trials")
        return Budget(**caps)  # type: ignore[arg-type]  # names are checked there
    except UsageError:
        raise
    except InvalidInput as error:
        raise UsageError("--budget", f"it is no budget: {error}", found=text, expected=_EXPECTED) from None


_EXPECTED = "a number of trials, or trials=60,seconds=120,cost=5 (any of them)"


def _number(text: str, *, whole: bool) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "whole number" if whole else "number"
        raise UsageError("--budget", f"{text!r} is no {kind}", found=text, expected=_EXPECTED) from None
