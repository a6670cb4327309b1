"""What all described parts of a pipeline have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from metta_sweep.pipeline.proof.flow import Flow, either
from metta_sweep.pipeline.running.run import Node

__all__ = ["Edit", "Spec", "compile_all", "edited", "fields_of", "paths_of", "providers_of", "surely_of"]

Edit = Callable[[Any], Any]
"""Makes another part of one, or None: that part is left out."""


class Spec(Protocol):
    """A part of a pipeline as its user described it. One kind of part is one file."""

    @property
    def name(self) -> str:
        """Its name, unique where it stands."""
        ...  # type checkers need it

    def provides(self) -> Mapping[str, Any]:
        """The fields that it writes, with their types."""
        ...  # type checkers need it

    def surely(self) -> frozenset[str]:
        """The names of those that it writes however it runs."""
        ...  # type checkers need it

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """What it calls itself, not the parts within it."""
        ...  # type checkers need it

    def content(self) -> dict[str, Any]:
        """What its output depends on besides fields and functions: constants and the like, by what they are called."""
        ...  # type checkers need it

    def inner(self) -> Mapping[str, Spec]:
        """The parts within it at any depth, by their paths from here."""
        ...  # type checkers need it

    def edited(self, path: str, edit: Edit) -> Spec:
        """The same with the part at a path within replaced."""
        ...  # type checkers need it

    def compile(self, flow: Flow) -> Any:
        """Check it where it stands and make it runnable; None when there was a fault."""


def compile_all(specs: Iterable[Spec], flow: Flow) -> tuple[Node, ...] | None:
    """Compile parts in order; None when one of them is faulty (all are looked at)."""
    seen: set[str] = set()
    nodes: list[Node] = []
    whole = True
    for spec in specs:
        if spec.name in seen:
            flow.fault(
                spec.name,
                f"the name {spec.name!r} is taken by an earlier stage here; found it twice, expected it once. Rename one of them.",
            )
        seen.add(spec.name)
        node = spec.compile(flow)
        if node is None:
            whole = False
        else:
            nodes.append(node)
    return tuple(nodes) if whole else None


def fields_of(specs: Iterable[Spec]) -> dict[str, Any]:
    """The fields that parts write; of one that several write, the last type, with those before it that may still stand."""
    fields: dict[str, Any] = {}
    for spec in specs:
        sure = spec.surely()
        for name, form in spec.provides().items():
            fields[name] = form if name in sure or name not in fields else either(fields[name], form)
    return fields


def providers_of(specs: Iterable[Spec]) -> dict[str, tuple[str, ...]]:
    """Every field, with the names of the parts that write it."""
    found: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        for name in spec.provides():
            found[name] = (*found.get(name, ()), spec.name)
    return found


def surely_of(specs: Iterable[Spec]) -> frozenset[str]:
    """The fields that parts write however they run."""
    return frozenset().union(*(spec.surely() for spec in specs))


def paths_of(specs: Iterable[Spec]) -> dict[str, Spec]:
    """All parts at any depth, by their addresses without indices."""
    paths: dict[str, Spec] = {}
    for spec in specs:
        paths[spec.name] = spec
        paths.update({f"{spec.name}/{path}": part for path, part in spec.inner().items()})
    return paths


def edited(specs: tuple[Spec, ...], path: str, edit: Edit) -> tuple[Spec, ...]:
    """The same parts with the one at a path replaced, or without it."""
    name, _, rest = path.partition("/")
    found = (spec if spec.name != name else spec.edited(rest, edit) if rest else edit(spec) for spec in specs)
    return tuple(spec for spec in found if spec is not None)
