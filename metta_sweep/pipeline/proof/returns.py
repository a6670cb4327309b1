"""What stage functions and handlers say that they return, against the contract of the stage: a fault is only what can never fit."""

from __future__ import annotations

import collections.abc
import itertools
import types
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.assignable_generic import arguments_of, fields_of_form, plain
from metta_sweep.pipeline.contracts.models import default_values, is_model, typed_dict_fields
from metta_sweep.pipeline.contracts.typeforms import type_name

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.proof.flow import Flow

__all__ = ["check_returns", "expected_by", "never_fits"]

_DEEPEST: Final = 10


def check_returns(name: str, returns: Any, contract: Contract, flow: Flow) -> None:
    """Check the return annotation of a stage function against its contract.

    A contract may be narrower than the annotation, since outputs are validated.
    """
    if never_fits(returns, contract):
        difference, remedy = _difference(returns, contract)
        flow.fault(
            name,
            f"the stage function returns {type_name(returns)}, which its contract never takes; "
            f"expected {expected_by(contract)}{difference}. {remedy}.",
        )


def _difference(returns: Any, contract: Contract) -> tuple[str, str]:
    """The first field of a returned model that the contract does not take, and what to do."""
    mend = "Mend the one or the other"
    if not is_model(get_origin(returns) or returns):
        return "", mend
    have = fields_of_form(returns)
    needed = {name: form for name, form in contract.fields.items() if contract.model is None or name in have}
    if contract.kind == "one":
        field = next(iter(needed))
        if field not in have:
            return "", mend
        whole = f"Write .through({type_name(returns)}), or return the value of the field"
        return f" as {field!r}, not a model with a field {field!r} ({type_name(have[field])})", whole
    for field, form in needed.items():
        if field not in have:
            return f"; it has no field {field!r}", mend
        if not _may_meet(have[field], form):
            return f"; its field {field!r} is {type_name(have[field])}, in the contract {type_name(form)}", mend
    return "", mend


def expected_by(contract: Contract) -> str:
    """What a contract takes, in words."""
    if contract.kind == "fields":
        return f"a mapping, model or dataclass with the fields {', '.join(contract.fields)}"
    return "None" if contract.kind == "none" else type_name(contract.model or next(iter(contract.fields.values())))


def never_fits(returns: Any, contract: Contract) -> bool:
    """Whether no value of a type is one that the contract takes."""
    if contract.kind == "none":
        return returns is not types.NoneType and explain_mismatch(types.NoneType, returns, "") is not None
    parts = _parts(returns)
    if contract.kind == "one" and len(parts) > 1 and len(_parts(_form(contract))) > 1:
        parts = _somethings(parts)  # None may be both, which says nothing
    return not any(_may_be(part, contract) for part in parts)


def _may_be(part: Any, contract: Contract) -> bool:
    kind = get_origin(part) or part
    if not isinstance(kind, type):
        return True
    if issubclass(kind, Mapping) or typing.is_typeddict(kind):
        return _may_hold(part, contract) or (contract.kind == "one" and _may_meet(part, _form(contract)))
    if contract.kind != "fields":
        return _may_meet(part, _form(contract))
    if is_model(kind):
        have = fields_of_form(part)
        return all(_may_meet(have[name], form) if name in have else _may_gain(kind, name) for name, form in contract.fields.items())
    return kind.__module__ != "builtins" or kind is object


def _form(contract: Contract) -> Any:
    return contract.model or next(iter(contract.fields.values()))


def _may_hold(part: Any, contract: Contract) -> bool:
    """Whether a mapping may have the fields of the contract, and no others."""
    needed = {name for name in contract.fields if contract.model is None or name not in default_values(contract.model)}
    if typing.is_typeddict(get_origin(part) or part):
        have, sure = typed_dict_fields(get_origin(part) or part)
        known = all(_may_meet(have[name], form) for name, form in contract.fields.items() if name in have)
        return known and needed <= have.keys() and sure <= contract.fields.keys()
    arguments = arguments_of(part, collections.abc.Mapping, 2)
    if len(arguments) != 2:
        return True
    return _may_meet(arguments[0], str) and all(_may_meet(arguments[1], contract.fields[name]) for name in needed)


def _may_gain(model: type, name: str) -> bool:
    """Whether instances may have a field that their class does not name: those of a class that is made of it."""
    below: list[type] = model.__subclasses__()
    return any(name in _field_names(one) or _may_gain(one, name) for one in below)


def _field_names(model: type) -> Iterable[str]:
    """The fields of a class that may not be finished yet."""
    named: dict[str, Any] = {**getattr(model, "__pydantic_fields__", {}), **getattr(model, "__dataclass_fields__", {})}
    return named


def _parts(form: Any) -> tuple[Any, ...]:
    form = plain(form)
    if get_origin(form) in (typing.Union, types.UnionType):
        return tuple(itertools.chain.from_iterable(map(_parts, get_args(form))))
    if get_origin(form) is typing.Literal:
        return tuple(typing.Literal[value] for value in get_args(form))
    return (form,)


def _may_meet(first: Any, second: Any, depth: int = 0) -> bool:
    """Whether some value of one type is one of the other, besides the None that both may be."""
    mine, theirs = _parts(first), _parts(second)
    if len(mine) > 1 and len(theirs) > 1:
        mine, theirs = _somethings(mine), _somethings(theirs)
    return depth > _DEEPEST or any(_meet(a, b, depth) for a, b in itertools.product(mine, theirs))


def _somethings(parts: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(part for part in parts if part is not types.NoneType)


def _models_meet(first: Any, second: Any, depth: int) -> bool:
    """Whether a model may be taken by its fields for another one."""
    have, wanted = fields_of_form(first), fields_of_form(second)
    optional = default_values(get_origin(second) or second)
    return not wanted.keys().isdisjoint(have) and all(
        _may_meet(have[name], form, depth + 1) if name in have else name in optional for name, form in wanted.items()
    )


def _meet(first: Any, second: Any, depth: int) -> bool:
    """As contracts check: flags are no numbers, and texts no sequences."""
    if first is bool and second in (int, float, complex):
        return False
    if first in (str, bytes) and get_origin(second) is collections.abc.Sequence:
        return False
    if explain_mismatch(first, second, "it") is None or explain_mismatch(second, first, "it", by_class=True) is None:
        return True
    if is_model(get_origin(first) or first) and is_model(get_origin(second) or second):
        return _models_meet(first, second, depth)
    have, want = get_origin(first), get_origin(second)
    if not (isinstance(have, type) and isinstance(want, type) and issubclass(have, Iterable)):
        return False
    if not (issubclass(have, want) or issubclass(want, have)):
        return False
    mine, theirs = _elements(first), _elements(second)
    if issubclass(have, Mapping) or issubclass(want, Mapping):
        return all(_may_meet(a, b, depth + 1) for a, b in zip(mine, theirs, strict=False))
    count = max(len(mine), len(theirs))
    mine, theirs = (parts * count if len(parts) == 1 else parts for parts in (mine, theirs))
    return len(mine) == len(theirs) and all(_may_meet(a, b, depth + 1) for a, b in zip(mine, theirs, strict=True))


def _elements(form: Any) -> tuple[Any, ...]:
    return tuple(part for part in get_args(form) if part is not Ellipsis)
