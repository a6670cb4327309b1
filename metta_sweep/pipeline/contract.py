"""What a stage's output must be, and how it joins the context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal

from metta_sweep.errors import ContractError
from metta_sweep.pipeline.checks import (
    Check,
    Misfit,
    default_values,
    field_types,
    has_json_form,
    is_frozen,
    is_model,
    is_named_tuple,
    is_pydantic_model,
    make_adapter,
    misfit_of,
    revalidation,
    shown,
    value_check,
)
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.typeforms import type_name
from metta_sweep.records import digest

__all__ = ["Contract", "model_defaults"]

Kind = Literal["none", "one", "fields", "model"]


class Contract:
    """The fields that a stage provides, and the check of its output.

    Args:
        stage: the name of the stage, for messages.
        fields: name and type of each field.
        model: the class whose fields these are, where it is a model's contract.

    A contract without fields takes None only. One field takes the bare value, or a mapping whose only key is the field's name.
    Several fields take a mapping, a model or a dataclass, never a tuple.
    """

    def __init__(self, stage: str, fields: Mapping[str, Any], model: type | None = None) -> None:
        self.stage = stage
        self.fields = dict(fields)
        self.model = model
        self.kind: Kind = "model" if model is not None else ("none", "one")[len(fields)] if len(fields) < 2 else "fields"
        self._checks: dict[str, Check] = {}
        self.check: Callable[[Any], Any] = self._make_check()
        """Validates an output and returns it as hooks and recorders see it; raises ``ContractError``."""
        self.write: Callable[[dict[str, Any], Any], None] = self._make_write()
        """Adds the fields of a checked output to the values of a run."""

    @classmethod
    def of(cls, stage: str, form: Any) -> Contract:
        """The contract that a positional type or a return annotation stands for: a model's fields, or one named after the stage."""
        return cls(stage, field_types(form), form) if is_model(form) else cls(stage, {stage: form})

    def view(self, output: Any) -> dict[str, Any]:
        """A checked output as a plain dict of its fields."""
        values: dict[str, Any] = {}
        self.write(values, output)
        return values

    @cached_property
    def without_json(self) -> tuple[str, ...]:
        """The fields that cannot be kept, since their types have no JSON form."""
        return tuple(name for name, form in self.fields.items() if not has_json_form(form))

    @cached_property
    def schema_digest(self) -> str:
        """Of the names and types of the fields: changes when the contract changes."""
        parts = [f"{name}:{type_name(form)}" for name, form in sorted(self.fields.items())]
        return digest("\n".join(parts).encode())

    def to_json(self, output: Any) -> bytes:
        """A checked output as JSON. Raises ``ContractError`` for what has no JSON form."""
        from pydantic_core import PydanticSerializationError, to_json

        try:
            return to_json(self.view(output), by_alias=False)
        except PydanticSerializationError as error:
            fields = ", ".join(map(repr, self.fields))
            raise ContractError(
                f"stage {self.stage!r}: its output ({fields}) cannot be kept as JSON: {error}. "
                "Opt the stage out with checkpoint=False."
            ) from error

    def from_json(self, payload: bytes) -> Any:
        """The output that was recorded. Raises ``ContractError`` where it no longer fits."""
        from pydantic import ValidationError
        from pydantic_core import from_json, to_json

        stored: dict[str, Any] = from_json(payload)
        values: dict[str, Any] = {}
        for name, form in self.fields.items():
            if name not in stored:
                raise self._recorded_misfit(name, "it is not in what was recorded")
            adapter = make_adapter(form)
            if adapter is None:
                raise self._recorded_misfit(name, "its type has no JSON form")
            try:
                values[name] = adapter.validate_json(to_json(stored[name]), strict=True, by_name=True, by_alias=True)
            except ValidationError as error:
                raise self._recorded_misfit(name, misfit_of(error).details) from None
        if self.kind == "none":
            return None
        return (
            self._model_from(values)
            if self.model is not None
            else context_of(values)
            if self.kind == "fields"
            else values[next(iter(values))]
        )

    def _recorded_misfit(self, name: str, details: str) -> ContractError:
        return ContractError(
            f"stage {self.stage!r}: what is recorded no longer fits field {name!r} ({type_name(self.fields[name])}): {details}. "
            f"Run under another name, or change the contract back."
        )

    def _model_from(self, values: dict[str, Any]) -> Any:
        model = self.model
        if model is None or is_named_tuple(model) or not is_pydantic_model(model):
            return model(**values) if model is not None else None
        return model.__pydantic_validator__.validate_python(values, strict=True, by_name=True)  # type: ignore[attr-defined]

    # -- checking ---------------------------------------------------------------------------------------------------

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
        revalidate = revalidation(model)

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
        defaults = model_defaults(model)
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
        return self._model_from(given)

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

    # -- writing ----------------------------------------------------------------------------------------------------

    def _make_write(self) -> Callable[[dict[str, Any], Any], None]:
        names = tuple(self.fields)
        if self.kind == "none" or not names:
            return _write_nothing
        if self.kind == "one":
            return _one_writer(names[0])
        if self.kind == "fields":
            return dict.update
        return _model_writer(names, self.model)


def _write_nothing(values: dict[str, Any], output: Any) -> None:
    pass


def _one_writer(name: str) -> Callable[[dict[str, Any], Any], None]:
    def write(values: dict[str, Any], output: Any) -> None:
        values[name] = output

    return write


def _model_writer(names: tuple[str, ...], model: type | None) -> Callable[[dict[str, Any], Any], None]:
    if model is not None and is_named_tuple(model):
        if len(names) == 1:
            only = names[0]

            def write_first(values: dict[str, Any], output: Any) -> None:
                values[only] = output[0]

            return write_first

        def write_tuple(values: dict[str, Any], output: Any) -> None:
            values.update(zip(names, output, strict=False))

        return write_tuple
    if len(names) == 1:
        name = names[0]

        def write_single(values: dict[str, Any], output: Any) -> None:
            values[name] = getattr(output, name)

        return write_single
    read = attrgetter(*names)

    def write(values: dict[str, Any], output: Any) -> None:
        values.update(zip(names, read(output), strict=True))

    return write


def model_defaults(model: type | None) -> frozenset[str]:
    """The fields that a model fills in by itself."""
    return frozenset() if model is None else frozenset(default_values(model))
