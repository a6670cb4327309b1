"""Reading what ``.through()`` is given: a contract, fields, hooks and constants."""

from __future__ import annotations

import collections.abc
import keyword
import typing
from collections.abc import Mapping
from typing import Any, cast, get_args, get_origin

from metta_sweep.errors import InvalidName, did_you_mean
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.models import is_model
from metta_sweep.pipeline.contracts.typeforms import brief, is_type_form, type_name, unresolved_name
from metta_sweep.pipeline.hook_table import HOOKS, check_hook
from metta_sweep.pipeline.parts.stage import StageSpec
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, ReadSignature

__all__ = ["FieldSet", "check_field_name", "fields", "inferred_contract", "read_through", "type_problems"]


class FieldSet(dict[str, Any]):
    """Named fields as a contract: for names that are hooks as well."""


def fields(**types: Any) -> FieldSet:
    """Named fields as the positional contract of ``.through()``: ``.through(fields(timeout=float))``.

    Raises:
        InvalidName: a name that no field can have, or a value that is no type.
    """
    for name, form in types.items():
        check_field_name(name, "fields()")
        if not is_type_form(form):
            raise InvalidName(
                f"fields({name}=)", f"the field {name!r} needs a type", found=form, remedy=f"Write fields({name}=float)"
            )
    return FieldSet(types)


def check_field_name(name: str, where: str) -> str:
    """Return ``name`` if a field can have it; raise ``InvalidName`` if not."""
    if not isinstance(cast("object", name), str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise InvalidName(
            where,
            f"no field can be called {name!r}",
            found=name,
            expected="an identifier that begins with a letter and is no keyword",
            remedy="Use letters, digits and '_'",
        )
    return name


def inferred_contract(name: str, signature: ReadSignature | None) -> Contract:
    """The contract of a stage without ``.through()``: its return annotation."""
    returns = None if signature is None else signature.returns
    if returns in (None, type(None), MISSING, UNRESOLVED):
        return Contract(name, {})
    return Contract.of(name, returns)


def read_through(stage: StageSpec, given: Any, absent: object, keywords: Mapping[str, Any]) -> StageSpec:
    """The stage with its contract, hooks and constants; what cannot be told apart is a fault of it."""
    faults: list[str] = []
    named: dict[str, Any] = {}
    hooks: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    for key, value in keywords.items():
        if key in HOOKS:
            _take_hook(key, value, hooks, faults)
        elif is_type_form(value):
            named[key] = value
            _check_field(key, faults)
        elif key in _parameters(stage) or (stage.signature is not None and stage.signature.takes_kwargs):
            constants[key] = value
        else:
            faults.append(_unknown(key, value, stage))
    for form in (given, *(given.values() if isinstance(given, FieldSet) else ()), *named.values()):
        if form is not absent and is_type_form(form):
            faults.extend(type_problems(form))
    faults.extend(_given_twice(stage, given is not absent or bool(named), hooks, constants))
    contract = _contract_of(stage, given, absent, named, faults)
    return stage.through(contract, constants, hooks, tuple(faults))


def type_problems(form: Any) -> list[str]:
    """Why a type cannot be that of a field."""
    name = unresolved_name(form)
    if name is not None:
        return [f"a type names {name!r} by a string; found {type_name(form)}; expected types. Write it without quotes."]
    if get_origin(form) in (collections.abc.Awaitable, collections.abc.Coroutine):
        inner = type_name(get_args(form)[-1]) if get_args(form) else "Any"
        return [
            f"an output is awaited before it is looked at; found {type_name(form)}; expected the type of its result. Write {inner}."
        ]
    return []


def _given_twice(stage: StageSpec, contract: bool, hooks: Mapping[str, Any], constants: Mapping[str, Any]) -> list[str]:
    """What one ``.through()`` says, and another one, or ``.stage()``, has said before."""
    faults = [
        f"the constant {name!r} is given twice; found {brief(stage.constants[name])} and {brief(constants[name])}. "
        "Leave one of them out."
        for name in constants
        if name in stage.constants
    ]
    faults += [
        f"the hook {name!r} is given twice; found {brief(stage.hooks[name])} and {brief(hooks[name])}. "
        "Leave one of them out, or merge them before: **(these | those)."
        for name in hooks
        if name in stage.hooks
    ]
    if contract and not stage.inferred:
        found = ", ".join(f"{name}: {type_name(form)}" for name, form in stage.contract.fields.items()) or "None"
        faults.append(f"there is a contract already ({found}); found a second one; expected one. Put it all into one .through().")
    return faults


def _take_hook(key: str, value: Any, hooks: dict[str, Any], faults: list[str]) -> None:
    if value is None:
        return  # a hook that is not set this time: after=log if verbose else None
    problem = check_hook(key, value)
    if problem is None:
        hooks[key] = value
    else:
        faults.append(str(problem))


def _check_field(name: str, faults: list[str]) -> None:
    try:
        check_field_name(name, "through()")
    except InvalidName as error:
        faults.append(str(error))


def _parameters(stage: StageSpec) -> list[str]:
    return [] if stage.signature is None else [parameter.name for parameter in stage.signature.parameters]


def _unknown(key: str, value: object, stage: StageSpec) -> str:
    if isinstance(value, str):
        hint = f" If {value!r} is meant as a type, write the type itself, without quotes."
    elif (meant := _type_meant(value)) is not None:
        hint = f" If it is meant as a type, write {key}={meant}."
    else:
        guess = did_you_mean(key, [*HOOKS, *_parameters(stage)])
        hint = f" Did you mean {guess!r}?" if guess else " Leave it out, or add it to the stage function as a parameter."
    return (
        f"{key!r} is neither a field (its value is no type), nor a hook, nor a parameter of the stage function; "
        f"found {brief(value)}; "
        f"expected a type, or one of {', '.join([*HOOKS, *_parameters(stage)])}.{hint}"
    )


def _type_meant(value: object) -> str | None:
    """The type that was probably meant by something that is none."""
    if is_model(type(value)):
        return type(value).__name__
    if isinstance(value, tuple | list) and value and all(is_type_form(part) for part in value):
        return f"{type(value).__name__}[{', '.join(map(type_name, value))}]"
    if isinstance(value, dict) and len(value) == 1 and all(is_type_form(part) for part in (*value, *value.values())):
        return f"dict[{', '.join(map(type_name, (*value, *value.values())))}]"
    if isinstance(value, typing.TypeVar):
        bound = value.__bound__ or Any
        return type_name(bound)
    return None


def _contract_of(stage: StageSpec, given: Any, absent: object, named: Mapping[str, Any], faults: list[str]) -> Contract:
    if given is absent:
        return Contract(stage.name, named) if named else stage.contract
    if isinstance(given, FieldSet):
        faults.extend(
            f"the field {name!r} is given twice; found it in fields() and beside it. Leave one of them out."
            for name in named
            if name in given
        )
        return Contract(stage.name, {**given, **named})
    if isinstance(given, str):
        faults.append(f"a contract is a type, never a string; found {given!r}. Write the type itself, without quotes.")
        return _anything(stage, named)
    if not is_type_form(given):
        what = "an instance" if not isinstance(given, Mapping) else "a mapping"
        faults.append(f"the contract is {what}; found {brief(given)}; expected a type. Write .through({_suggestion(given)}).")
        return _anything(stage, named)
    if named:
        faults.append(
            f"there is a contract ({type_name(given)}) and the fields {', '.join(map(repr, named))} beside it; "
            "expected one of the two. Put the fields into the model, or give types as constants in .stage()."
        )
    if given is None or given is type(None):
        return Contract(stage.name, {})
    return Contract.of(stage.name, given)


def _anything(stage: StageSpec, named: Mapping[str, Any]) -> Contract:
    """Stands in for a contract that is none, so that no other fault follows from that."""
    return Contract(stage.name, named or {stage.name: Any})


def _suggestion(given: object) -> str:
    return "**the_mapping" if isinstance(given, Mapping) else _type_meant(given) or type(given).__name__
