"""``--input n=3`` to inputs of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metta_sweep.cli.exits import UsageError
from metta_sweep.errors import did_you_mean

__all__ = ["parse_inputs"]


def parse_inputs(given: Sequence[str], forms: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``name=value`` texts: JSON, else the text itself; always the text where the input is a ``str``.

    Args:
        given: what the command line says.
        forms: the declared inputs and their types.

    Raises:
        UsageError: a text is no ``name=value``, a name comes twice, or no such input is declared.
    """
    from pydantic_core import from_json

    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError("--input", "it is no input", found=text, expected="NAME=VALUE", remedy="Write --input n=3")
        if name in values:
            raise UsageError("--input", f"{name!r} comes twice", found=text)
        if name not in forms:
            guess = did_you_mean(name, forms)
            known = "one of " + ", ".join(forms) if forms else "none: the pipeline declares no inputs"
            remedy = f"Did you mean {guess!r}?" if guess else None
            raise UsageError("--input", f"{name!r} is no declared input", found=text, expected=known, remedy=remedy)
        try:
            values[name] = value if forms[name] is str else from_json(value)
        except ValueError:
            values[name] = value
    return values
