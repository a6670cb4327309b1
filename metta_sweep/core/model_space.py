"""Search spaces made of pydantic models. The only module of this room that imports pydantic; imported when a model is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from metta_sweep.core.distributions import Distribution
from metta_sweep.errors import SearchSpaceError, did_you_mean

if TYPE_CHECKING:
    from metta_sweep.core.search_space import SearchSpace

__all__ = ["check_model", "model_parameters"]

_PROBES: Final = (0.0, 0.37, 1.0 - 2.0**-53)
"""Quantiles at which fields are tried with values of their distributions: both ends, and one between."""


def model_parameters(model: type[BaseModel]) -> dict[str, Distribution]:
    """The distributions that the fields of a model carry.

    Raises:
        SearchSpaceError: for a required field without a distribution, for one with two, and for a model without any.
    """
    parameters: dict[str, Distribution] = {}
    for name, info in model.model_fields.items():
        found = [item for item in info.metadata if isinstance(item, Distribution)]
        classes = [item for item in info.metadata if isinstance(item, type) and issubclass(item, Distribution)]
        where = f"{model.__name__}.{name}"
        if classes:
            kind = classes[0]
            remedy = f"Give it its arguments, such as {kind.__name__}({', '.join(kind.keywords)})"
            raise SearchSpaceError(where, f"field {name!r} carries a class", found=kind, expected="a distribution", remedy=remedy)
        if len(found) > 1:
            raise SearchSpaceError(
                where, f"field {name!r} carries {len(found)} distributions", found=found, expected="one", remedy="Keep one"
            )
        inside = next(_carried(info.annotation), None)
        if inside is not None:
            remedy = f"Write Annotated[the whole type, {inside!r}]"
            raise SearchSpaceError(
                where,
                f"field {name!r} carries a distribution inside its type",
                found=inside,
                expected="one around the type",
                remedy=remedy,
            )
        if found:
            parameters[name] = found[0]
        elif info.is_required():
            raise SearchSpaceError(
                where,
                f"field {name!r} has neither a distribution nor a default",
                found=info.annotation,
                expected="Annotated[type, distribution], or a default",
                remedy=f"Write {name}: Annotated[float, Uniform(0.0, 1.0)], say, or give it a default",
            )
    if not parameters:
        raise SearchSpaceError(
            model.__name__,
            "none of its fields carries a distribution",
            found=list(model.model_fields),
            expected="at least one field such as lr: Annotated[float, LogUniform(1e-4, 1e-1)]",
            remedy="Annotate the fields that are to be searched",
        )
    return parameters


def _carried(annotation: object) -> Iterator[Distribution]:
    """Distributions within a type: ``Annotated[float, Uniform(0, 1)] | None`` would lose its own without a word."""
    for part in get_args(annotation):
        if isinstance(part, Distribution):
            yield part
        else:
            yield from _carried(part)


def check_model(model: type[BaseModel], space: SearchSpace) -> None:
    """Raise ``SearchSpaceError`` unless the model can be built at every point of the space, as far as single fields tell."""
    for name in space.names:
        if name not in model.model_fields:
            guess = did_you_mean(name, model.model_fields)
            raise SearchSpaceError(
                f"{model.__name__}",
                f"parameter {name!r} of a sub-space is no field of the model",
                found=name,
                expected="one of " + ", ".join(model.model_fields),
                remedy=f"Did you mean {guess!r}?" if guess else f"Add the field {name!r}, with a default",
            )
    for name, distribution in space.top:
        _try_field(model, name, distribution)


def _try_field(model: type[BaseModel], name: str, distribution: Distribution) -> None:
    info = model.model_fields[name]
    adapter: TypeAdapter[object] = TypeAdapter(info.rebuild_annotation())
    for u in _PROBES:
        value = distribution.from_unit(u)
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            raise SearchSpaceError(
                f"{model.__name__}.{name}",
                f"field {name!r} does not take what its distribution gives: {error.errors()[0]['msg']}",
                found=value,
                expected=f"values of {info.annotation}",
                remedy=f"Make the type of the field fit {distribution!r}",
            ) from None
