"""Predicates of loops and branches: what can be one."""

from __future__ import annotations

import dis
import inspect
import types
from typing import Final

from metta_sweep.pipeline.contracts.typeforms import brief

__all__ = ["is_constant", "predicate_faults"]

_OF_A_CONSTANT: Final = frozenset({"RESUME", "LOAD_CONST", "LOAD_SMALL_INT", "RETURN_CONST", "RETURN_VALUE", "NOP"})
"""All that there is to a function that returns a constant, in Python 3.11 to 3.14."""


def is_constant(predicate: object) -> bool:
    """Whether a predicate always says the same, whatever it gets: ``lambda ctx: True``."""
    code = getattr(predicate, "__code__", None)
    return isinstance(code, types.CodeType) and {step.opname for step in dis.get_instructions(code)} <= _OF_A_CONSTANT


def predicate_faults(predicate: object, example: str) -> tuple[str, ...]:
    """What is wrong with a predicate, which is called with the context and nothing else.

    Args:
        predicate: what was given.
        example: how it is written.
    """
    wanted = f"expected a function of one argument, the context. Write {example}."
    if not callable(predicate):
        return (f"the predicate cannot be called; found {brief(predicate)}; {wanted}",)
    try:
        signature = inspect.signature(predicate)
    except (TypeError, ValueError):
        return ()
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(predicate, "__qualname__", type(predicate).__qualname__)
        return (f"the predicate takes other arguments than it gets; found {name}{signature}; {wanted}",)
    return ()
