"""What a run is called with: its inputs against what is declared, and its options."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

from metta_sweep.errors import InvalidInput, UnknownOption, did_you_mean
from metta_sweep.pipeline.contracts.checks import Check, Misfit
from metta_sweep.pipeline.contracts.models import field_types, is_model
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.proof.signature import is_coroutine_callable

__all__ = ["RUN_OPTIONS", "check_options", "checked_inputs", "given_inputs", "refuse_unnamed"]

RUN_OPTIONS: Final = frozenset(
    {
        "name",
        "store",
        "recorder",
        "seed",
        "address",
        "listeners",
        "strict_hooks",
        "on_code_change",
        "fresh",
        "inputs",
        "definition",
    }
)
"""Keywords of ``Plan.run``, which an input may be called like."""


def check_options(where: str, *, store: object, seed: object, listeners: object) -> None:
    """Refuse what would fail far from here, or be lost without a word.

    Raises:
        InvalidInput: a store, seed or listener that is none.
    """
    if store is not None and not hasattr(store, "find_run"):
        remedy = (
            f"Write store=SqliteStore({os.fspath(store)!r})"
            if isinstance(store, str | os.PathLike)
            else "Write store=MemoryStore()"
        )
        raise InvalidInput(f"{where}(store=)", "this is no store", found=store, expected="a Store", remedy=remedy)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise InvalidInput(f"{where}(seed=)", "this is no seed", found=seed, expected="an int, or None", remedy="Write seed=7")
    if listeners:
        _check_listeners(f"{where}(listeners=)", listeners)


def refuse_unnamed(where: str, unnamed: Collection[object], forms: Mapping[str, Any]) -> None:
    """Refuse values without names: inputs have no order.

    Raises:
        UnknownOption: there is one.
    """
    for value in unnamed:
        call = where.rpartition(".")[2]
        raise UnknownOption(
            where,
            "inputs are given by their names",
            found=value,
            expected=", ".join(f"{name}=..." for name in forms) or "no inputs",
            remedy=f"Write {call}({next(iter(forms))}=...)" if forms else "Leave it out",
        )


def _check_listeners(where: str, listeners: object) -> None:
    if not isinstance(listeners, Collection):
        raise InvalidInput(
            where, "listeners come as a list", found=listeners, expected="a list of functions", remedy="Write listeners=[...]"
        )
    for listener in listeners:
        if not callable(listener):
            what, remedy = "a listener cannot be called", "Pass a function of the event: listeners=[print]"
        elif is_coroutine_callable(listener):
            what, remedy = "a listener is asynchronous, and nobody would await it", "Use plan.stream(), or a plain function"
        else:
            continue
        raise InvalidInput(where, what, found=listener, expected="functions of one argument, the event", remedy=remedy)


def given_inputs(where: str, inputs: object, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was called with: a mapping, or the fields of an instance of a model, and single inputs, which win.

    Raises:
        InvalidInput: ``inputs`` is neither.
    """
    if inputs is None:
        return dict(more)
    if isinstance(inputs, Mapping):
        return {**cast("Mapping[str, Any]", inputs), **more}
    if not is_model(type(inputs)):
        expected = "a mapping, or an instance of the state model"
        raise InvalidInput(
            f"{where}(inputs=)", "these are no inputs", found=inputs, expected=expected, remedy="Write inputs={'n': 3}"
        )
    return {**{name: getattr(inputs, name) for name in field_types(type(inputs))}, **more}


def checked_inputs(
    where: str,
    given: Mapping[str, Any],
    forms: Mapping[str, Any],
    checks: Mapping[str, Check],
    defaults: Mapping[str, Callable[[], Any]],
    options: Collection[str] = RUN_OPTIONS,
) -> dict[str, Any]:
    """The values of all declared inputs.

    Args:
        where: what is called, for messages.
        given: what the run was called with.
        forms: the declared inputs and their types.
        checks: the checks of those.
        defaults: make what need not be given.
        options: what else the call takes by name.

    Raises:
        InvalidInput: an input is missing, unknown, or of the wrong type.
    """
    for name in given:
        if name not in forms:
            guess = did_you_mean(name, [*forms, *sorted(options)])
            raise InvalidInput(
                f"{where}({name}=)",
                f"{name!r} is no declared input",
                found=given[name],
                expected="one of " + (", ".join(forms) or "none"),
                remedy=f"Did you mean {guess!r}?" if guess else f"Declare it: Pipeline({name}=...)",
            )
    values: dict[str, Any] = {}
    for name, check in checks.items():
        if name not in given and name in defaults:
            values[name] = defaults[name]()
            continue
        if name not in given:
            remedy = f"Pass inputs={{{name!r}: ...}}" if name in options else f"Pass {name}=..."
            raise InvalidInput(
                f"{where}({name}=)", f"the input {name!r} is missing", expected=type_name(forms[name]), remedy=remedy
            )
        try:
            values[name] = check(given[name])
        except Misfit as error:
            place = f" at {error.path!r}" if error.path else ""
            form = type_name(forms[name])
            refused = InvalidInput(
                f"{where}({name}=)",
                f"the input {name!r} does not fit its type{place}: {error.details} (declared: {form})",
                remedy="Pass a value of that type; nothing is converted",
            )
            refused.found, refused.expected = given[name], form  # the sentence has them already
            raise refused from None
    return values
