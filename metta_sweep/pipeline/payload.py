"""The JSON form of an output, in which it is kept. Nothing that reads it unpickles, evaluates or imports by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metta_sweep.errors import ContractError
from metta_sweep.pipeline.checks import has_json_form, make_adapter, misfit_of
from metta_sweep.pipeline.typeforms import type_name

if TYPE_CHECKING:
    from metta_sweep.pipeline.contract import Contract

__all__ = ["fields_without_json", "from_payload", "to_payload"]


def fields_without_json(contract: Contract) -> tuple[str, ...]:
    """The fields of a contract that cannot be kept, since their types have no JSON form."""
    return tuple(name for name, form in contract.fields.items() if not has_json_form(form))


def to_payload(contract: Contract, output: Any) -> bytes:
    """A checked output as JSON. Raises ``ContractError`` for what has no JSON form."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(contract.view(output), by_alias=False)
    except PydanticSerializationError as error:
        fields = ", ".join(map(repr, contract.fields))
        raise ContractError(
            f"stage {contract.stage!r}: its output ({fields}) cannot be kept as JSON: {error}. "
            "Opt the stage out with checkpoint=False."
        ) from error


def from_payload(contract: Contract, payload: bytes) -> Any:
    """The output that was recorded. Raises ``ContractError`` where it no longer fits."""
    from pydantic_core import from_json

    stored: dict[str, Any] = from_json(payload)
    return contract.model_of({name: _field(contract, name, form, stored) for name, form in contract.fields.items()})


def _field(contract: Contract, name: str, form: Any, stored: dict[str, Any]) -> Any:
    from pydantic import ValidationError
    from pydantic_core import to_json

    if name not in stored:
        raise _misfit(contract, name, "it is not in what was recorded")
    adapter = make_adapter(form)
    if adapter is None:
        raise _misfit(contract, name, "its type has no JSON form")
    try:
        return adapter.validate_json(to_json(stored[name]), strict=True, by_name=True, by_alias=True)
    except ValidationError as error:
        raise _misfit(contract, name, misfit_of(error).details) from None


def _misfit(contract: Contract, name: str, details: str) -> ContractError:
    return ContractError(
        f"stage {contract.stage!r}: what is recorded no longer fits field {name!r} ({type_name(contract.fields[name])}): "
        f"{details}. Run under another name, or change the contract back."
    )
