"""Passing an earlier field to a stage under another name."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from metta_sweep.errors import InvalidName

__all__ = ["Ref", "ref"]


class Ref(NamedTuple):
    """Stands for the value of a field when the stage runs."""

    field: str
    stage: str | None = None
    """The stage whose output is meant, where several provide the field; None: its current value."""

    def __str__(self) -> str:
        return f"{self.stage}.{self.field}" if self.stage else self.field


def ref(name: str) -> Any:
    """The field ``name``, or ``stage.field`` where names repeat, as a constant of a stage: ``.stage("fit", fit, data=ref("raw"))``.

    Typed as Any, since it stands for a value of the field's type.
    """
    if not isinstance(cast("object", name), str):
        raise InvalidName("ref()", "a field is named by a string", found=name, remedy="Write ref('field') or ref('stage.field')")
    stage, dot, field = name.rpartition(".")
    if not field.isidentifier() or (dot and not stage):
        raise InvalidName("ref()", "this names no field", found=name, remedy="Write ref('field') or ref('stage.field')")
    return Ref(field, stage or None)
