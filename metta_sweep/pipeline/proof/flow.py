"""What is known about the fields of a pipeline at one place in it, while it is being built."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from metta_sweep.address import join
from metta_sweep.errors import Fault
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.hooks import nest_global_hooks
from metta_sweep.pipeline.proof.missing import missing_message, quoted

__all__ = ["FieldState", "Flow", "Unchecked", "either"]


class FieldState(NamedTuple):
    """A field, as it stands at one place of a pipeline."""

    type: Any
    provider: str
    """The stage that provides it, ``inputs``, or the loop that carries it."""
    definite: bool
    """False: only some ways to this place provide it."""
    way: str = ""
    """What has such ways: ``loop`` or ``branch``."""
    each: tuple[tuple[str, Any], ...] = ()
    """Where several provide it: each of them, with its type."""

    def blamed(self, needed: Any) -> tuple[str, Any]:
        """Who provides what does not fit, and its type: the only one of several, or all of them."""
        unfit = [(provider, form) for provider, form in self.each if explain_mismatch(form, needed, "it") is not None]
        return unfit[0] if len(unfit) == 1 else (self.provider, self.type)


class Unchecked(NamedTuple):
    """Something that the build could not check."""

    stage: str
    what: str
    remedy: str = "Annotate it"
    """What makes it checkable."""

    def __str__(self) -> str:
        return f"{self.stage}: {self.what}"


class Flow:
    """The state of the analysis, and what it found."""

    def __init__(self, providers: Mapping[str, tuple[str, ...]], global_hooks: Mapping[str, Any]) -> None:
        self.fields: dict[str, FieldState] = {}
        self.outputs: dict[str, tuple[str, dict[str, Any]]] = {}
        """Per stage that has run on every way to this place: its address, and the fields that it provided."""
        self.providers = providers
        """Every field anywhere in the pipeline, and who provides it."""
        self.global_hooks = global_hooks
        self.scope = ""
        """The address of what encloses this place, without indices."""
        self.closed_by = ""
        """The name of the innermost enclosing pipeline that is closed: a stage, or what a map runs per item."""
        self.outside: Mapping[str, FieldState] = {}
        """The fields around that pipeline, which are not to be seen in it."""
        self.faults: list[Fault] = []
        self.notes: list[Unchecked] = []
        self.unchecked: list[Unchecked] = []
        self.kept: set[tuple[str, str]] = set()
        """Addresses of stages, and fields that a ``ref`` reads by them."""

    def at(self, name: str) -> str:
        """The address of what is called ``name`` here."""
        return join(self.scope, name)

    def fault(self, name: str, message: str, field: str | None = None) -> None:
        """Report a fault of the stage, loop or hook called ``name`` here."""
        state = self.fields.get(field) if field is not None else None
        provider = state.provider if state is not None else ", ".join(self.providers.get(field, ())) if field is not None else ""
        found = Fault(self.at(name), message, field, provider or None)
        if found not in self.faults:
            self.faults.append(found)

    def note(self, name: str, what: str) -> None:
        """Remember something that is worth a look, and no fault."""
        self._add(self.notes, Unchecked(self.at(name), what))

    def leave_unchecked(self, name: str, what: str, remedy: str = "Annotate it") -> None:
        """Remember something that could not be checked, and what would make it checkable."""
        self._add(self.unchecked, Unchecked(self.at(name), what, remedy))

    @staticmethod
    def _add(target: list[Unchecked], entry: Unchecked) -> None:
        if entry not in target:
            target.append(entry)

    def provide(self, name: str, fields: Mapping[str, Any]) -> None:
        """The stage ``name`` has run: its fields are there, with its types."""
        for field, form in fields.items():
            self.fields[field] = FieldState(form, self.at(name), definite=True)
        self.outputs[name] = (self.at(name), dict(fields))

    def missing(self, reader: str, what: str, field: str, needed: Any = Any) -> None:
        """Report that ``reader`` needs a field, of the type ``needed``, which is not there, or not surely."""
        self.fault(reader, missing_message(self, reader, what, field, needed), field)

    def require_type(self, reader: str, what: str, field: str, needed: Any) -> None:
        """Report when the type that provides ``field`` does not fit what the reader needs."""
        state = self.fields[field]
        if explain_mismatch(state.type, needed, field) is not None:
            provider, form = state.blamed(needed)
            itself, then = (" itself", " for the next iteration") if provider == self.at(reader) else ("", "")
            self.fault(
                reader,
                f"{what} needs {type_name(needed)}, but {quoted(provider)}{itself} provides {field!r} as {type_name(form)}{then} "
                f"({explain_mismatch(form, needed, field)}). {self._remedy(form, needed)}",
                field,
            )

    @staticmethod
    def _remedy(provided: Any, needed: Any) -> str:
        if "ItemFailure" in type_name(provided) and "ItemFailure" not in type_name(needed):
            return f"Take {type_name(provided)}, or leave the map with on_item_error='fail'."
        return "Change the contract or the annotation."

    @contextmanager
    def within(self, name: str, hooks: Mapping[str, Any]) -> Iterator[None]:
        """An open block called ``name``: it reads and writes the fields here; its stages are surely run for its own stages only."""
        scope, outputs, around = self.scope, dict(self.outputs), self.global_hooks
        self.scope, self.global_hooks = self.at(name), nest_global_hooks(around, hooks)
        try:
            yield
        finally:
            self.scope, self.outputs, self.global_hooks = scope, outputs, around

    @contextmanager
    def closed(
        self, name: str, fields: Mapping[str, FieldState], providers: Mapping[str, tuple[str, ...]], hooks: Mapping[str, Any]
    ) -> Iterator[None]:
        """A pipeline called ``name`` with fields of its own."""
        kept = (self.fields, self.outputs, self.providers, self.outside, self.closed_by)
        with self.within(name, hooks):
            self.outside, self.closed_by = {**self.outside, **self.fields}, name
            self.fields, self.outputs, self.providers = dict(fields), {}, providers
            try:
                yield
            finally:
                self.fields, outputs, self.providers, self.outside, self.closed_by = kept
        self.outputs = outputs

    @contextmanager
    def also(self, item: str | None, provider: str) -> Iterator[None]:
        """The item of a map is among the fields, for what is told about it."""
        fields = self.fields
        if item is not None:
            self.fields = {**fields, item: FieldState(Any, self.at(provider), definite=True)}
        try:
            yield
        finally:
            self.fields = fields

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing that is found inside is reported."""
        faults, notes, unchecked, kept = list(self.faults), list(self.notes), list(self.unchecked), set(self.kept)
        try:
            yield
        finally:
            self.faults[:], self.notes[:], self.unchecked[:] = faults, notes, unchecked
            self.kept = kept

    def fork(self) -> dict[str, FieldState]:
        """The fields as they stand, to join with later."""
        return dict(self.fields)

    def join(self, other: Mapping[str, FieldState], way: str) -> None:
        """Two ways lead here: this flow's, and one with the fields ``other``. What only one provides is "maybe" from here on."""
        joined: dict[str, FieldState] = {}
        for name in [*self.fields, *(name for name in other if name not in self.fields)]:
            mine, theirs = self.fields.get(name), other.get(name)
            if mine is None or theirs is None:
                only = mine or theirs
                if only is not None:
                    joined[name] = only._replace(definite=False, way=only.way or way)
            elif mine == theirs:
                joined[name] = mine
            else:
                each = _each_of(mine, theirs)
                definite = mine.definite and theirs.definite
                of = "" if definite else mine.way or theirs.way or way
                joined[name] = FieldState(either(mine.type, theirs.type), ", ".join(each), definite, of, tuple(each.items()))
        self.fields = joined


def _each_of(*states: FieldState) -> dict[str, Any]:
    """Who provides a field on any of several ways, and as what."""
    each: dict[str, Any] = {}
    for state in states:
        for provider, form in state.each or ((state.provider, state.type),):
            each[provider] = either(each[provider], form) if provider in each else form
    return each


def either(first: Any, second: Any) -> Any:
    """The union of two types."""
    forms = list(_parts(first))
    forms.extend(form for form in _parts(second) if form not in forms)
    return Any if Any in forms else typing.Union[tuple(forms)]  # noqa: UP007


def _parts(form: Any) -> Iterable[Any]:
    origin = typing.get_origin(form)
    return typing.get_args(form) if origin is typing.Union or origin is types.UnionType else (form,)
