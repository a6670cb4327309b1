"""The inputs of a run: what is given, against what is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from metta_sweep.errors import InvalidInput, did_you_mean
from metta_sweep.pipeline.contracts.checks import Check, Misfit
from metta_sweep.pipeline.contracts.typeforms import type_name

__all__ = ["checked_inputs"]

_KEYWORDS: Final = frozenset(
    {
        "name",
        "store",
        "recorder",
        "seed",
        "address",
        "listeners",
        "strict_hooks",
        "on_code_change",
        "inputs",
        "definition",
    }
)
"""Keywords of ``Plan.run``, which an input may be called like."""


def checked_inputs(
    given: Mapping[str, Any], forms: Mapping[str, Any], checks: Mapping[str, Check], defaults: Mapping[str, Callable[[], Any]]
) -> dict[str, Any]:
    """The values of all declared inputs.

    Args:
        given: what the run was called with.
        forms: the declared inputs and their types.
        checks: the checks of those.
        defaults: make what need not be given.

    Raises:
        InvalidInput: an input is missing, unknown, or of the wrong type.
    """
    for name in given:
        if name not in forms:
            guess = did_you_mean(name, [*forms, *sorted(_KEYWORDS)])
            raise InvalidInput(
                f"Plan.run({name}=)",
                f"{name!r} is no declared input",
                found=given[name],
                expected="one of " + (", ".join(forms) or "none"),
                remedy=f"Did you mean {guess!r}?" if guess else f"Declare it: Pipeline({name}=...)",
            )
    values: dict[str, Any] = {}
    for name, check in checks.items():
        form = type_name(forms[name])
        if name not in given and name in defaults:
            values[name] = defaults[name]()
            continue
        if name not in given:
            remedy = f"Pass inputs={{{name!r}: ...}}" if name in _KEYWORDS else f"Pass {name}=..."
            raise InvalidInput(f"Plan.run({name}=)", f"the input {name!r} is missing", expected=form, remedy=remedy)
        try:
            values[name] = check(given[name])
        except Misfit as error:
            place = f" at {error.path!r}" if error.path else ""
            raise InvalidInput(
                f"Plan.run({name}=)",
                f"the input {name!r} does not fit its type{place}: {error.details}",
                found=given[name],
                expected=form,
                remedy="Pass a value of that type; nothing is converted",
            ) from None
    return values
