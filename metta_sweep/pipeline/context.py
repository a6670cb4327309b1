"""The values that a stage may read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from metta_sweep.errors import did_you_mean

__all__ = ["Context", "context_of"]

_METHODS: Final = frozenset({"get", "items", "keys", "values"})


class Context(Mapping[str, Any]):
    """An immutable set of named values. Read them as attributes or as items.

    What changes later in the run does not show: a context is how things stood when it was made.
    """

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getattr__(self, name: str) -> Any:
        if name == "_values":
            raise AttributeError(name)  # a copy that is not filled yet
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(_missing(name, self._values), name=name, obj=None) from None

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(_missing(name, self._values)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a context cannot be changed (tried to set {name!r}); return the value from a stage instead.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a context cannot be changed (tried to delete {name!r}).")

    def __repr__(self) -> str:
        return f"Context({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (context_of, (dict(self._values),))


class _ShadowingContext(Context):
    """For fields that are called like a method of mappings: the field wins."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name in _METHODS:
            values = object.__getattribute__(self, "_values")
            if name in values:
                return values[name]
        return object.__getattribute__(self, name)


def context_of(values: dict[str, Any]) -> Context:
    """A context of these values, in which every field can be read as an attribute, whatever its name."""
    return Context(values) if _METHODS.isdisjoint(values) else _ShadowingContext(values)


def _missing(name: str, values: Mapping[str, Any]) -> str:
    guess = did_you_mean(name, values)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"there is no field {name!r} here; the fields are: {', '.join(values) or 'none'}.{hint}"
