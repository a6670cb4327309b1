"""Suggestions made safe: whoever proposed them, what enters a sweep is plain, finite and well named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from metta_sweep.address import check_name
from metta_sweep.core.trial import Suggestion
from metta_sweep.core.values import NO_TEXT, SPELL_OUT, NotJson, is_encodable, plain_json, plain_scalar
from metta_sweep.errors import SuggestionError, a_kind

__all__ = ["check_suggestion"]


def check_suggestion(value: Suggestion | Mapping[str, Any], where: str) -> Suggestion:
    """The suggestion with a parameter dict of its own, made of plain JSON values; a mapping is the parameters of one.

    Args:
        value: what was proposed. Numpy scalars become plain numbers, tuples lists.
        where: who proposed it, and its position: ``"SuggestionQueue[3]"``.

    Raises:
        SuggestionError: when it is neither, or its parameters are no JSON values.
        InvalidName: when its id or branch cannot be a name.
    """
    if not isinstance(value, Suggestion):
        if not isinstance(value, Mapping):
            raise _no_suggestion(value, where)
        return Suggestion(params=_plain_params(value, where))
    if not isinstance(value.params, Mapping):
        raise SuggestionError(
            f"{where}.params",
            f"{a_kind(value.params)} is no mapping of parameters",
            found=value.params,
            expected="a dict of names and JSON values",
            remedy="Write params={'lr': 0.1}, say",
        )
    params = _plain_params(value.params, f"{where}.params")
    return Suggestion(
        params=params,
        branch=None if value.branch is None else check_name(plain_scalar(value.branch), f"{where}.branch"),
        id=None if value.id is None else check_name(plain_scalar(value.id), f"{where}.id"),
        origin=_text(value.origin, f"{where}.origin"),
        parent=_text(value.parent, f"{where}.parent"),
    )


def _text(value: object, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise SuggestionError(where, "it must be text", found=value, expected="a string or None", remedy="Leave it out")
    text = str(plain_scalar(value))
    if not is_encodable(text):
        raise SuggestionError(where, f"the text {NO_TEXT}", found=text, expected="text", remedy="Leave it out")
    return text


def _plain_params(params: Mapping[str, Any], where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in params.items():
        if type(name) is not str:
            if not isinstance(name, str):
                raise SuggestionError(
                    where,
                    "the name of a parameter must be a string",
                    found=name,
                    expected="a dict of names and JSON values",
                    remedy=f"Write {str(name)!r}",
                )
            name = str(plain_scalar(name))  # noqa: PLW2901 - an enum member or np.str_ becomes the text that it is
        if not is_encodable(name):
            raise SuggestionError(where, f"the name {name!r} {NO_TEXT}", found=name, expected="text", remedy=SPELL_OUT)
        kind = type(value)
        if kind is float:
            if not math.isfinite(value):
                raise _not_plain(f"{where}[{name!r}]", "is not a finite number", value)
        elif kind is str:
            if not is_encodable(value):
                raise _not_plain(f"{where}[{name!r}]", NO_TEXT, value)
        elif kind is not int and kind is not bool and value is not None:
            try:
                value = plain_json(value)  # noqa: PLW2901 - the plain copy takes its place
            except NotJson as fault:
                raise _not_plain(f"{where}[{name!r}]{fault.path}", fault.what, fault.found) from None
        plain[name] = value
    return plain


def _not_plain(where: str, what: str, found: object) -> SuggestionError:
    return SuggestionError(
        where,
        f"the value {what}",
        found=found,
        expected="a JSON value: text, a finite number, a bool, None, or lists and dicts of these",
        remedy=SPELL_OUT if what == NO_TEXT else "Give a name or number instead, and look the object up in the trial function",
    )


def _no_suggestion(value: object, where: str) -> SuggestionError:
    remedy = "Write Suggestion(params={'lr': 0.1}), or the mapping alone"
    if isinstance(value, type) and issubclass(value, Suggestion):
        remedy = "Call the class: Suggestion(params={...})"
    return SuggestionError(
        where,
        f"{a_kind(value)} is no suggestion",
        found=value,
        expected="a Suggestion, or a mapping of parameters",
        remedy=remedy,
    )
