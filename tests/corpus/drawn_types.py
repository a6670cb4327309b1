"""Types drawn at random, with values of them: one type may stand for another exactly if each of its values may.

The judge here looks at values, the build at types; they share nothing. The checks at run time must agree with both.
"""

from __future__ import annotations

import itertools
import random
import typing
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, get_args, get_origin

from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.checks import Misfit, value_check
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.models import field_types, is_model
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.proof.returns import never_fits

from .parts import Batch, Point, Scored, Settings, Span, Task, Trial

__all__ = ["misjudged"]

_PLAIN: Final[Mapping[Any, list[Any]]] = {
    int: [0, 7],
    float: [0.5],
    str: ["", "ab"],
    bytes: [b"a"],
    NoneType: [None],
    Literal["fast", "exact"]: ["fast", "exact"],
    Literal["fast"]: ["fast"],
    Literal[1, 2]: [1, 2],
    Trial: [Trial(id="a"), Trial(id="a", score=1.0)],
    Scored: [Scored(id="a", score=1.0)],
    Task: [Task(name="a")],
    Batch: [Batch(task=Task(name="a"), size=1)],
    Point: [Point(1.0, 2.0)],
    Span: [Span(3, 4)],
    Settings: [{"lr": 0.5, "layers": 1}],
}
"""Types without parameters, with values that stand for all of theirs."""


def misjudged(seed: int) -> str:
    """What the build says of two drawn types, where their values say otherwise; empty if they agree."""
    rng = random.Random(seed)
    needed = _drawn(rng, 2)
    provided = _near(rng, needed) if rng.random() < 0.7 else _drawn(rng, 2)
    reason = explain_mismatch(provided, needed, "x")
    values = _values(provided)
    stray = [value for value in values if not _is(value, needed)]
    asked = f"seed {seed}: {type_name(provided)} for {type_name(needed)}"
    if (reason is None) == bool(stray):
        return f"{asked}: the build says {reason or 'it fits'}; strays: {stray[:3]}"
    refused = [value for value in values if not _taken(value, needed)]
    readable = "Sequence" in asked or "Collection" in asked  # a text is one of texts to the judge; contracts do not look into it
    if readable:
        return ""
    if len(refused) != len(stray):
        return f"{asked}: refused at run time are {refused[:3]}; strays: {stray[:3]}"
    if never_fits(provided, Contract("x", {"x": needed})) and any(_says_something(value) for value in values if value not in stray):
        return f"{asked}: the build says that it never fits; strays are {stray[:3]} only"
    return ""


def _taken(value: Any, form: Any) -> bool:
    """Whether the check at run time lets a value pass."""
    try:
        value_check(form)(value)
    except Misfit:
        return False
    return True


def _says_something(value: Any) -> bool:
    """Whether the type of a value can be told from it: nothing is in an empty list, and None is in many types."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_says_something, value))
    return value is not None


def _drawn(rng: random.Random, depth: int) -> Any:
    kind = rng.choice(("plain", "plain", "list", "dict", "tuple", "pair", "optional", "union", "read")) if depth else "plain"
    if kind == "plain":
        return rng.choice(list(_PLAIN))
    inner = _drawn(rng, depth - 1)
    if kind == "optional":
        return inner | None
    if kind == "union":
        return _of(typing.Union, rng.choice(list(_PLAIN)), rng.choice(list(_PLAIN)))
    if kind == "pair":
        return _of(tuple, inner, _drawn(rng, depth - 1))
    if kind == "tuple":
        return _of(tuple, inner, ...)
    if kind == "dict":
        return _of(rng.choice((dict, Mapping)), str, inner)
    return _of(list if kind == "list" else rng.choice((Sequence, Collection)), inner)


def _near(rng: random.Random, form: Any) -> Any:
    """A type like another one, changed at some place."""
    if form in _PLAIN or rng.random() < 0.15:
        return form if rng.random() < 0.5 else rng.choice(list(_PLAIN))
    origin, args = get_origin(form), get_args(form)
    if origin in (typing.Union, UnionType):
        return _near(rng, rng.choice(args)) if rng.random() < 0.6 else form
    if origin is tuple and args[-1] is Ellipsis:
        inner = _near(rng, args[0])
        return rng.choice((_of(tuple, inner, ...), _of(tuple, inner, inner), _of(list, inner)))
    if origin is tuple:
        return _of(tuple, *(_near(rng, part) for part in args))
    if origin in (dict, Mapping):
        return _of(rng.choice((dict, Mapping)), str, _near(rng, args[1]))
    return _of(rng.choice((list, Sequence)), _near(rng, args[0]))


def _of(origin: Any, *parts: Any) -> Any:
    """A generic type of these parts."""
    return origin[parts]


def _values(form: Any) -> list[Any]:
    """Values that stand for all of a type: of each way to be one."""
    if form in _PLAIN:
        return _PLAIN[form]
    origin, args = get_origin(form), get_args(form)
    if origin in (typing.Union, UnionType):
        return [value for part in args for value in _values(part)]
    if origin is tuple and args[-1] is not Ellipsis:
        return list(itertools.product(*[_values(part) for part in args]))
    if origin in (dict, Mapping):
        dicts: list[Any] = [{}, *({"k": one, "l": other} for one, other in _pairs(args[1]))]
        return dicts if origin is dict else [*dicts, *map(MappingProxyType, dicts)]
    made = [[], *([one, other] for one, other in _pairs(args[0]))]
    if origin is tuple:
        return [tuple(value) for value in made]
    return made if origin is list else [*made, *(tuple(value) for value in made)]


def _pairs(form: Any) -> list[tuple[Any, Any]]:
    return list(itertools.product(_values(form), repeat=2))


def _is(value: Any, form: Any) -> bool:
    """Whether a reader who expects the type is content with the value."""
    origin, args = get_origin(form), get_args(form)
    if origin in (typing.Union, UnionType):
        return any(_is(value, part) for part in args)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in args)
    if form is float:
        return isinstance(value, int | float)
    if form is Settings:
        return isinstance(value, dict) and set(value) == {"lr", "layers"} and isinstance(value["layers"], int)
    if is_model(form):
        return isinstance(value, form) or (is_model(type(value)) and _has_fields(value, form))
    if origin is None:
        return isinstance(value, form)
    if origin in (dict, Mapping):
        return isinstance(value, origin) and all(isinstance(key, str) and _is(item, args[1]) for key, item in value.items())
    if origin is tuple:
        return isinstance(value, tuple) and _is_tuple(value, args)
    return isinstance(value, {list: list, Sequence: Sequence, Collection: Collection}[origin]) and all(
        _is(item, args[0]) for item in value
    )


def _is_tuple(value: tuple[Any, ...], args: tuple[Any, ...]) -> bool:
    if args[-1] is Ellipsis:
        return all(_is(item, args[0]) for item in value)
    return len(value) == len(args) and all(map(_is, value, args))


def _has_fields(value: Any, form: type) -> bool:
    """Models fit by their fields; one that has a default may be missing."""
    optional = {"score"} if form is Trial else {"difficulty"} if form is Task else set()
    return all(
        _is(getattr(value, name), needed) if hasattr(value, name) else name in optional
        for name, needed in field_types(form).items()
    )
