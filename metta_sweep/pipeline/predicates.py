"""Predicates of loops and branches: what can be one."""

from __future__ import annotations

import inspect

from metta_sweep.pipeline.typeforms import brief

__all__ = ["predicate_faults"]


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
