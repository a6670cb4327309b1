"""The JSON form of an output, in which it is kept. Nothing that reads it unpickles, evaluates or imports by name."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_origin

from metta_sweep.errors import ContractError, InvalidInput
from metta_sweep.pipeline.contracts.checks import has_json_form, make_adapter, misfit_of
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.keeping.artifact import Artifact, Files, artifact_context, describe_artifact, nowhere
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.keeping.json_types import NoJsonType, json_type

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from metta_sweep.pipeline.contracts.contract import Contract

__all__ = ["Dumped", "IllFormed", "JsonForm", "fields_without_json", "from_payload", "to_payload"]

_ATOMS: Final = frozenset({int, float, str, bool, types.NoneType, None})


class IllFormed(Exception):
    """What is recorded is no JSON object: nothing that a stage can have left there."""


class Dumped(NamedTuple):
    """An output in its JSON form."""

    payload: bytes
    output: Any
    """As it is read back."""
    changed: bool = False
    """It surely is not what it was."""


class JsonForm:
    """Writes and reads the outputs of one stage."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._adapters: dict[str, TypeAdapter[Any]] = {}
        self._exact = all(_comes_back(form) for form in contract.fields.values())

    def dump(self, output: Any, files: Files = nowhere) -> Dumped:
        """A checked output as JSON, and as it will be read back: what a resumed run gets is what this one goes on with.

        Args:
            output: what the contract's check returned.
            files: where artifacts are kept.

        Raises:
            ContractError: it cannot be kept, or could not be read back.
        """
        if self._exact:
            return Dumped(self._write_exact(output, files), output)
        payload = self._write(self._contract.view(output), files)
        try:
            back = self.load(payload, files)
        except ContractError:
            back = None
        else:
            if _same(back, output) is not False:
                return Dumped(payload, back)
        unrounded = self._write_by_types(output, files)
        if unrounded is not None:
            try:
                better = self.load(unrounded, files)
            except ContractError:
                pass
            else:
                same = _same(better, output)
                if back is None or same:
                    return Dumped(unrounded, better, changed=same is False)
        if back is None:
            self.load(payload, files)  # raises
        return Dumped(payload, back, changed=True)

    def load(self, payload: bytes, files: Files = nowhere) -> Any:
        """The output that was recorded.

        Raises:
            IllFormed: it is no JSON object.
            ContractError: it does not fit the contract.
            ArtifactLost: a file of it is not there.
        """
        stored = read_object(payload)
        contract = self._contract
        return contract.model_of({name: self._field(name, stored, files) for name in contract.fields})

    def _field(self, name: str, stored: dict[str, Any], files: Files) -> Any:
        from pydantic import ValidationError
        from pydantic_core import to_json

        if name not in stored:
            raise self._misfit(name, "it is not in what was recorded", stored)
        value = stored[name]
        if self._contract.fields[name] is type(value) and type(value) in _ATOMS:
            return value
        try:
            return self._adapter(name).validate_json(
                to_json(value), strict=True, by_name=True, by_alias=True, context=artifact_context(files)
            )
        except ValidationError as error:
            raise self._misfit(name, misfit_of(error).details, stored) from None

    def _adapter(self, name: str) -> TypeAdapter[Any]:
        adapter = self._adapters.get(name) or _adapter_of(self._contract.fields[name])
        if adapter is None:
            raise self._misfit(name, "its type has no JSON form", {})
        self._adapters[name] = adapter
        return adapter

    @functools.cached_property
    def _to_json(self) -> Callable[..., bytes]:
        from pydantic_core import to_json

        return to_json

    def _write_exact(self, output: Any, files: Files) -> bytes:
        """Of fields of plain types, which need no more than the serializer."""
        view = self._contract.view(output)
        try:
            return self._to_json(view)
        except (ValueError, TypeError):
            return self._write(view, files)  # which says what is wrong

    def _write(self, view: Mapping[str, Any], files: Files) -> bytes:
        from pydantic_core import PydanticSerializationError, to_json

        failures: list[InvalidInput] = []
        context = artifact_context(files, failures)

        def fallback(value: Any) -> Any:
            if isinstance(value, Artifact):
                return describe_artifact(value, context)
            if isinstance(value, Mapping):
                return dict(value)
            if hasattr(type(value), "__as_json__"):  # what pydantic reads back by a schema of its own
                return value.__as_json__()
            raise TypeError(f"a {type(value).__name__} has no JSON form")

        try:
            return to_json(view, by_alias=False, round_trip=True, fallback=fallback, context=context)
        except (PydanticSerializationError, TypeError) as error:
            if failures:
                raise failures[0] from None
            fields = ", ".join(map(repr, self._contract.fields))
            raise ContractError(
                f"stage {self._contract.stage!r}: its output ({fields}) cannot be kept as JSON: {error}. "
                "Opt the stage out with checkpoint=False, or return an Artifact."
            ) from error

    def _write_by_types(self, output: Any, files: Files) -> bytes | None:
        """By the declared types rather than the values, with numbers as they are: models write NaN as null otherwise."""
        from pydantic_core import PydanticSerializationError

        view = self._contract.view(output)
        try:
            plain = {
                name: self._adapter(name).dump_python(
                    value, by_alias=False, round_trip=True, warnings=False, context=artifact_context(files)
                )
                for name, value in view.items()
            }
        except (PydanticSerializationError, ContractError):
            return None
        return self._write(plain, files)

    def _misfit(self, name: str, details: str, stored: Mapping[str, Any]) -> ContractError:
        contract = self._contract
        found = "" if name in stored else f" (recorded are: {', '.join(map(repr, stored)) or 'no fields'})"
        return ContractError(
            f"stage {contract.stage!r}: what is recorded no longer fits field {name!r} ({type_name(contract.fields[name])}): "
            f"{details}{found}. Convert it with migrate=lambda values: ..., change the contract back, or run under another name."
        )


def read_object(payload: bytes) -> dict[str, Any]:
    """The fields in a payload, as JSON values. Raises ``IllFormed``."""
    from pydantic_core import from_json

    try:
        stored = from_json(payload)
    except ValueError as error:
        raise IllFormed(str(error)) from None
    if not isinstance(stored, dict):
        raise IllFormed(f"a {type(stored).__name__} instead of fields")
    return stored


def fields_without_json(contract: Contract) -> tuple[str, ...]:
    """The fields of a contract that cannot be kept, since their types have no JSON form."""
    return tuple(name for name, form in contract.fields.items() if not (_comes_back(form) or _can_be_kept(form)))


def _can_be_kept(form: Any) -> bool:
    """Whether a type has a JSON form that holds all of its values: that of a secret hides it."""
    try:
        known = has_json_form(json_type(form))
    except NoJsonType:
        return False
    adapter = _adapter_of(form) if known else None
    return adapter is not None and not _hides(adapter.json_schema(mode="serialization"))


def _adapter_of(form: Any) -> TypeAdapter[Any] | None:
    try:
        return make_adapter(json_type(form))
    except NoJsonType:
        return None


def _hides(schema: Any) -> bool:
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return (isinstance(schema, dict) and schema.get("writeOnly") is True) or any(map(_hides, parts))


def to_payload(contract: Contract, output: Any) -> bytes:
    """A checked output as JSON. Raises ``ContractError`` for what has no JSON form."""
    return JsonForm(contract).dump(output)[0]


def from_payload(contract: Contract, payload: bytes) -> Any:
    """The output that was recorded. Raises ``ContractError`` where it no longer fits."""
    return JsonForm(contract).load(payload)


def _same(one: Any, other: Any) -> bool | None:
    """Whether two outputs are the same; None where that cannot be told."""
    try:
        return fingerprint(one) == fingerprint(other)
    except NoFingerprint:
        return None


def _comes_back(form: Any) -> bool:
    """Whether every value of a type is read back from JSON just as it was."""
    origin, parts = get_origin(form), get_args(form)
    if origin is None:
        return isinstance(form, type | None) and form in _ATOMS
    if origin is list:
        return bool(parts) and _comes_back(parts[0])
    if origin is dict:
        return bool(parts) and parts[0] is str and _comes_back(parts[1])
    return False
