"""What a stage's output must be, and how it joins the context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, get_origin

from metta_sweep.errors import ContractError
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.contracts.assignable_generic import fields_of_form, plain
from metta_sweep.pipeline.contracts.checks import Check, Misfit, misfit_of, revalidation, shown, value_check
from metta_sweep.pipeline.contracts.models import default_values, field_types, is_frozen, is_model, is_pydantic_model, make_model
from metta_sweep.pipeline.contracts.schema import schema_text
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.contracts.writing import Kind, Write, writer
from metta_sweep.records import digest

__all__ = ["Contract"]


class Contract:
    """The fields that a stage provides, and the check of its output.

    Args:
        stage: the name of the stage, for messages.
        fields: name and type of each field.
        model: the class whose fields these are, where it is a model's contract.
        form: the model with its arguments, where it is a generic one: ``Box[int]``.

    A contract without fields takes None only. One field takes the bare value, or a mapping whose only key is the field's name.
    Several fields take a mapping, a model or a dataclass, never a tuple.
    """

    def __init__(self, stage: str, fields: Mapping[str, Any], model: type | None = None, form: Any = None) -> None:
        self.stage = stage
        self.fields = dict(fields)
        self.model = model
        self._form = form or model
        self.kind: Kind = "model" if model is not None else ("none", "one")[len(fields)] if len(fields) < 2 else "fields"
        self._checks: dict[str, Check] = {}
        self.check: Callable[[Any], Any] = self._make_check()
        """Validates an output and returns it as hooks and recorders see it; raises ``ContractError``."""
        self.write: Write = writer(tuple(self.fields), self.kind, model)
        """Adds the fields of a checked output to the values of a run."""

    @classmethod
    def of(cls, stage: str, form: Any) -> Contract:
        """The contract that a positional type or a return annotation stands for: a model's fields, or one named after the stage."""
        plainly = plain(form)
        model = get_origin(plainly) or plainly
        return cls(stage, fields_of_form(plainly), model, plainly) if is_model(model) else cls(stage, {stage: form})

    def view(self, output: Any) -> dict[str, Any]:
        """A checked output as a plain dict of its fields."""
        values: dict[str, Any] = {}
        self.write(values, output)
        return values

    @cached_property
    def schema_digest(self) -> str:
        """Of the names and types of the fields, and of what is in those: changes when the contract changes."""
        parts = [f"{name}:{schema_text(form)}" for name, form in sorted(self.fields.items())]
        return digest("\n".join(parts).encode("utf-8", "surrogatepass"))

    def model_of(self, values: Mapping[str, Any]) -> Any:
        """The output that has these fields, which were validated before."""
        if self.model is not None:
            return make_model(self.model, values)
        if self.kind == "fields":
            return context_of(dict(values))
        return next(iter(values.values()), None)

    def _make_check(self) -> Callable[[Any], Any]:
        if self.kind == "none":
            return self._check_nothing
        if self.kind == "model":
            return self._make_model_check()
        if self.kind == "fields":
            return self._check_fields
        return self._make_one_check()

    def _check_nothing(self, raw: Any) -> None:
        if raw is not None:
            raise ContractError(
                f"stage {self.stage!r} provides nothing but returned {shown(raw)}. "
                "Annotate what it returns, or name it with .through(Type) or .through(name=Type)."
            )

    def _make_one_check(self) -> Callable[[Any], Any]:
        name, form = next(iter(self.fields.items()))
        plain = value_check(form)

        def check(raw: Any) -> Any:
            if isinstance(raw, Mapping) and len(raw) == 1 and name in raw:
                return unpack(raw)
            try:
                return plain(raw)
            except Misfit as error:
                raise self._error(name, error) from None

        def unpack(raw: Mapping[str, Any]) -> Any:
            try:
                return plain(raw[name])
            except Misfit as error:
                try:
                    return plain(raw)
                except Misfit:
                    raise self._error(name, error) from None

        if form in (int, float, str, bool):

            def check_exact(raw: Any) -> Any:
                return raw if type(raw) is form else check(raw)

            return check_exact
        return check

    def _check_fields(self, raw: Any) -> Context:
        values = self._mapping_of(raw)
        expected = ", ".join(self.fields)
        if values is None:
            raise ContractError(
                f"stage {self.stage!r}: found {shown(raw)}, expected a mapping, model or dataclass with the fields {expected}. "
                "Return a dict with these keys."
            )
        missing = [name for name in self.fields if name not in values]
        extra = [name for name in values if name not in self.fields] if isinstance(raw, Mapping) else []
        if missing or extra:
            problem = f"field {missing[0]!r} is missing from" if missing else f"{extra[0]!r} is no field of the contract, but is in"
            raise ContractError(
                f"stage {self.stage!r}: {problem} what it returned ({', '.join(map(str, values))}); expected {expected}."
            )
        return context_of(self._checked(values))

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        if not self._checks:
            self._checks = {name: value_check(form) for name, form in self.fields.items()}
        checked: dict[str, Any] = {}
        for name, check in self._checks.items():
            try:
                checked[name] = check(values[name])
            except Misfit as error:
                raise self._error(name, error) from None
        return checked

    def _mapping_of(self, raw: Any) -> Mapping[str, Any] | None:
        if isinstance(raw, Mapping):
            return raw
        if is_model(type(raw)):
            return {name: getattr(raw, name) for name in field_types(type(raw))}
        return None

    def _make_model_check(self) -> Callable[[Any], Any]:
        model = self.model
        if model is None:
            raise TypeError("a model's contract needs its model")
        frozen = is_frozen(model)
        revalidate = revalidation(self._form)

        def check_other(raw: Any) -> Any:
            if isinstance(raw, Mapping):
                return self._model_of(raw)
            if not isinstance(raw, model) and is_model(type(raw)):
                given = {name: getattr(raw, name) for name in field_types(type(raw)) if name in self.fields}
                return self._model_of(given)
            if not isinstance(raw, model):
                raise ContractError(
                    f"stage {self.stage!r}: found {shown(raw)}, expected {model.__name__}. "
                    "Return an instance of it, or a dict with its fields."
                )
            try:
                revalidate(raw)
            except Misfit as error:
                raise self._error(error.path, error) from None
            return raw

        def check(raw: Any) -> Any:
            return raw if type(raw) is model else check_other(raw)

        return check if frozen else check_other

    def _model_of(self, raw: Mapping[str, Any]) -> Any:
        model = self.model
        if model is not None and is_pydantic_model(model):
            from pydantic import ValidationError

            try:
                return model.__pydantic_validator__.validate_python(dict(raw), strict=True)  # type: ignore[attr-defined]
            except ValidationError as error:
                misfit = misfit_of(error)
                raise self._error(misfit.path, misfit) from None
        required = self.fields if model is None else {**self.fields, **raw}
        defaults = default_values(model) if model is not None else {}
        missing = [name for name in self.fields if name not in raw and name not in defaults]
        extra = [name for name in required if name not in self.fields]
        if missing or extra:
            problem = f"field {missing[0]!r} is missing" if missing else f"{extra[0]!r} is no field of it"
            raise ContractError(f"stage {self.stage!r}: {problem}; found {shown(dict(raw))}, expected {', '.join(self.fields)}.")
        given = {name: raw[name] for name in self.fields if name in raw}
        for name, value in given.items():
            try:
                value_check(self.fields[name])(value)
            except Misfit as error:
                raise self._error(name, error) from None
        return make_model(model, given)

    def _error(self, name: str, misfit: Misfit) -> ContractError:
        top = name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
        form = self.fields.get(top)
        path = (
            f"{name}{misfit.path if misfit.path.startswith('[') else '.' + misfit.path}"
            if misfit.path and misfit.path != name
            else name
        )
        place = f"field {path!r}" if path else "the output"
        wants = f" (contract: {type_name(form)})" if top in self.fields else ""
        return ContractError(f"stage {self.stage!r}: {place}: {misfit.details}{wants}. Contracts are strict: nothing is converted.")
