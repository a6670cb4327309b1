"""The digests of what a stage reads: equal where all of it is equal."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metta_sweep.errors import a_kind
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.ref import Ref
from metta_sweep.records import digest

if TYPE_CHECKING:
    from metta_sweep.pipeline.keeping.resume_plan import Preview
    from metta_sweep.pipeline.keeping.shelf import Origins
    from metta_sweep.pipeline.parts.stage import StageSpec

__all__ = ["Inputs", "StageInputs", "changed_inputs", "of_partial"]


_FIXED: Final = frozenset({int, float, str, bool, bytes, NoneType})


class Inputs(NamedTuple):
    """What a stage reads at one place, as digests."""

    digest: str
    """``name=digest;...``, one for each field and constant; empty where one of them has no content and no known origin."""
    unknown: str = ""
    """Which one that is, and what it is."""


class StageInputs:
    """Digests what one stage reads.

    Args:
        spec: the stage.
        reads: the fields that it reads; None: all.
        kept: keys of the outputs that it reads by the name of their stage.
        seeded: it asks for its context, and so for the seed of the run.
    """

    def __init__(self, spec: StageSpec, reads: tuple[str, ...] | None, kept: tuple[str, ...] = (), *, seeded: bool = False) -> None:
        self._reads = None if reads is None else tuple(sorted(reads))
        self._kept = kept
        self._takes_item = spec.item is not None
        self._seeded = seeded
        self._spec = spec

    def of(self, values: Mapping[str, Any], kept: Mapping[str, Any], item: Any, seed: int, origins: Origins) -> Inputs:
        """The digests of what it reads among these values.

        Args:
            values: the fields where it stands.
            kept: outputs by the name of their stage.
            item: the element of the enclosing map.
            seed: of the run.
            origins: where values without content come from.
        """
        parts: list[str] = []
        name = ""
        try:
            for name, value in self._read(values, kept, item):
                parts.append(f"{name}={_digest(value, origins)}")
        except NoFingerprint as error:
            return Inputs("", f"{name!r} ({a_kind(error.value)})")
        if self._seeded:
            parts.append(f"the seed={seed}")
        return Inputs(";".join(parts) or "nothing")

    def may_be_changed(self, values: Mapping[str, Any], item: Any) -> bool:
        """Whether something that it reads is no plain value, so that it can be changed in place."""
        names = values if self._reads is None else self._reads
        read = (*(values.get(name) for name in names), item, *self._constants.values())
        return not all(type(value) in _FIXED for value in read)

    def constants(self, origins: Origins) -> str:
        """The digests of its constants; those without content are left out."""
        parts: list[str] = []
        for name, value in self._constants.items():
            try:
                parts.append(f"{name}={_digest(value, origins)}")
            except NoFingerprint:
                continue
        return ";".join(parts)

    def maker(self, preview: Preview) -> str:
        """Who has yet to make what the stage reads; empty when all of that is known."""
        return preview.depends_on(self._reads, self._kept)

    def _read(self, values: Mapping[str, Any], kept: Mapping[str, Any], item: Any) -> list[tuple[str, Any]]:
        names = sorted(values) if self._reads is None else self._reads
        read = [(name, values[name]) for name in names if name in values]
        if self._takes_item:
            read.append(("the item", item))
        if self._kept:
            read.extend((name, kept[name]) for name in self._kept)
        read.extend(self._constants.items())
        return read

    @functools.cached_property
    def _constants(self) -> dict[str, Any]:
        own = {f"constant {name}" for name, value in self._spec.constants.items() if isinstance(value, Ref)}
        return {name: value for name, value in self._spec.content().items() if name not in own}


def _digest(value: Any, origins: Origins) -> str:
    try:
        return fingerprint(value, origins.of)
    except NoFingerprint:
        origin = origins.of(value)
        if origin is None:
            raise
        return digest(origin.encode())


def changed_inputs(before: str, now: str) -> tuple[str, ...]:
    """The names of what a stage read that is not what it was."""
    old, new = _parts(before), _parts(now)
    return tuple(name for name in {**old, **new} if old.get(name) != new.get(name))


def _parts(inputs: str) -> dict[str, str]:
    split = (part.rpartition("=") for part in inputs.split(";"))
    return {name: found for name, _, found in split if name}


def of_partial(fn: Any) -> dict[str, Any]:
    """What partials fill in: as good as constants."""
    found: dict[str, Any] = {}
    while isinstance(fn, functools.partial):
        found = {
            **{f"argument {index}": value for index, value in enumerate(fn.args)},
            **{f"argument {name}": value for name, value in sorted(fn.keywords.items())},
            **found,
        }
        fn = fn.func
    return found
