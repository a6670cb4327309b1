"""A choice between named objects: optimizers, schedulers, functions, pipelines."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from metta_sweep.core.choices import Choice
from metta_sweep.core.described import function_name, setting
from metta_sweep.core.values import NotJson, plain_json
from metta_sweep.errors import MettaSweepError, SearchSpaceError, a_kind, did_you_mean

__all__ = ["Variants"]

_WHERE: Final = "Variants(...)"
_ATOMS: Final = (str, int, float, bool, type(None))


class Variants(Choice):
    """One of some named objects, all equally likely: ``Variants(random=RandomOptimizer(), tpe=OptunaOptimizer(sampler="TPE"))``.

    Parameters hold the name, which is text; ``object`` gives what stands for it. To an optimizer it is a ``Choice`` between the
    names. Objects may be anything, None too; they are part of a kept run's definition by their settings, or by their names.

    Args:
        named: a mapping of names to objects, for names that are no identifiers: ``Variants({"a-b": first})``.
        objects: the objects by name.

    Raises:
        SearchSpaceError: when there are no objects, when a name is given twice, or when one is no text.
    """

    __slots__ = ("_objects",)
    _objects: Mapping[str, Any]

    def __new__(cls, /, *_args: object, **_named: object) -> Self:
        """Every keyword is a name."""
        return object.__new__(cls)

    def __init__(self, named: Mapping[str, Any] | None = None, /, **objects: Any) -> None:
        found = _checked(named, objects)
        Choice.__init__(self, list(found))
        object.__setattr__(self, "_objects", MappingProxyType(found))

    @property
    def objects(self) -> Mapping[str, Any]:
        """The objects by name, in the given order. Read-only."""
        return self._objects

    def object(self, name: str) -> Any:
        """What stands for a name.

        Raises:
            SearchSpaceError: there is no such name.
        """
        try:
            return self._objects[name]
        except (KeyError, TypeError):
            pass
        guess = did_you_mean(name, self._objects) if isinstance(name, str) else None
        raise SearchSpaceError(
            "Variants.object(name)",
            f"there is no object {name!r}",
            found=name,
            expected="one of " + ", ".join(map(repr, self._objects)),
            remedy=f"Did you mean {guess!r}?" if guess else "Name one of those",
        )

    def describe(self) -> dict[str, Any]:
        """The names, and the settings of the objects by name."""
        return {
            "distribution": "Variants",
            "options": list(self.options),
            "objects": {name: _described(item) for name, item in self._objects.items()},
        }

    def __eq__(self, other: builtins.object) -> bool:
        return bool(self.describe() == other.describe()) if isinstance(other, Variants) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.options)

    def __repr__(self) -> str:
        if all(name.isidentifier() for name in self._objects):
            return f"Variants({', '.join([f'{name}={_shown(item)}' for name, item in self._objects.items()])})"
        return f"Variants({{{', '.join([f'{name!r}: {_shown(item)}' for name, item in self._objects.items()])}}})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Variants, (dict(self._objects),)


def _checked(named: Any, objects: Mapping[str, Any]) -> dict[str, Any]:
    if named is not None and not isinstance(named, Mapping):
        raise SearchSpaceError(
            _WHERE,
            f"{a_kind(named)} has no names",
            found=named,
            expected="objects by name",
            remedy="Write Variants(first=..., second=...), or Variants({'a-b': ...}) for other names",
        )
    found = dict(named or {})
    for name in found:
        if not isinstance(name, str) or not name:
            raise SearchSpaceError(
                _WHERE,
                "the name of an object must be a non-empty string",
                found=name,
                expected="a name",
                remedy=f"Write {str(name)!r}" if str(name) else "Name it",
            )
        if name in objects:
            raise SearchSpaceError(_WHERE, f"{name!r} is given twice", found=name, expected="each name once", remedy="Rename one")
    found.update(objects)
    if not found:
        raise SearchSpaceError(
            _WHERE, "there are no objects", found=found, expected="at least one object", remedy="Write Variants(first=...), say"
        )
    return found


def _described(item: Any) -> Any:
    """The settings of an object as JSON; of one that has none to tell, such as a pipeline, what it shows itself as."""
    try:
        return plain_json(setting(item))
    except (NotJson, MettaSweepError):
        return repr(item) if type(item).__module__.startswith("metta_sweep.") else function_name(item)


def _shown(item: Any) -> str:
    return repr(item) if type(item) in _ATOMS else function_name(item)
