"""Calls of stage functions with values of a run: made once per stage, since they run often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metta_sweep.pipeline.proof.signature import ReadSignature

if TYPE_CHECKING:
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["Bound", "Call", "Source", "make_call", "taken"]

Source = Callable[["Scope"], Any]
"""Takes the value of one parameter from a running pipeline."""
Call = Callable[["Scope"], Any]
"""Calls the stage function."""


class Bound(NamedTuple):
    """Where one parameter gets its value."""

    source: Source
    fields: tuple[str, ...] | None
    """The fields read; None: all."""
    field: str | None = None
    """The one field whose value it is, as it is."""
    kept: str | None = None
    """What is read by the name of the stage that made it."""


def taken(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a call is made with."""
    return args, kwargs


def make_call(fn: Callable[..., Any], signature: ReadSignature, positional: list[Bound], named: Mapping[str, Bound]) -> Call:
    """What calls ``fn`` with what its parameters are bound to."""
    if not positional and not named:
        return lambda _: fn()
    ahead = [parameter.name for parameter in signature.parameters][: len(named)]
    fields = [bound.field for bound in named.values()]
    in_order = not positional and ahead == list(named) and signature.leading >= len(named)
    if in_order and None not in fields and len(fields) <= 3:
        return _plain_call(fn, [str(field) for field in fields])
    if in_order and len(named) == 1:
        source = next(iter(named.values())).source
        return lambda scope: fn(source(scope))
    first = tuple(bound.source for bound in positional)
    rest = tuple((key, bound.source) for key, bound in named.items())
    return lambda scope: fn(*[source(scope) for source in first], **{key: source(scope) for key, source in rest})


def _plain_call(fn: Callable[..., Any], fields: list[str]) -> Call:
    """Calls with up to three fields, without a loop: stages are called often."""
    if len(fields) == 1:
        (one,) = fields
        return lambda scope: fn(scope.values[one])
    if len(fields) == 2:
        one, two = fields
        return lambda scope: fn(scope.values[one], scope.values[two])
    one, two, three = fields

    def call(scope: Scope) -> Any:
        values = scope.values
        return fn(values[one], values[two], values[three])

    return call
