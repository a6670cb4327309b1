"""What a resumed run would do, before it does anything: as data, and as a table."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metta_sweep.pipeline.context import context_of
from metta_sweep.pipeline.proof.reads import reads_of

if TYPE_CHECKING:
    from metta_sweep.pipeline.keeping.keeping import Verdict
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["RAISES", "UNKNOWN", "Preview", "ResumePlan", "ResumeRow", "depends"]

_SHOWN: Final = 200
"""Lines that the table has at most."""
_FOLDED: Final = 4
"""Rows one after another that tell the same, from which on they become one line."""
_SUMMARY: Final[dict[str, str]] = {
    "reuse": "reused",
    "stale": "stale (used all the same)",
    "rerun": "to run again",
    "new": "new",
    "orphan": "orphaned",
}


RAISES: Final = "the run will raise"
"""Part of the reason of a row that ends the run."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""What is known of an output that has yet to be made."""


class _Promise:
    """Stands for an object without content that a stage will make."""


class ResumeRow(NamedTuple):
    """What becomes of one execution of a stage."""

    address: str
    stage: str
    """Its path: the address without indices."""
    verdict: Verdict
    """``reuse``: the recorded output is used. ``rerun``: it runs again. ``stale``: the recorded output was made under other code or
    another contract, and is used all the same where the reason says nothing else. ``new``: nothing is recorded. ``orphan``:
    recorded at an address that no stage has."""
    reason: str


class ResumePlan:
    """What ``run()`` would do with what is recorded. Print it, or read ``rows``."""

    __slots__ = ("name", "rows")

    def __init__(self, name: str, rows: Iterable[ResumeRow]) -> None:
        self.name = name
        self.rows = tuple(rows)
        """In the order of the run; orphans last."""

    def of(self, *verdicts: Verdict) -> tuple[ResumeRow, ...]:
        """The rows with one of these verdicts."""
        return tuple(row for row in self.rows if row.verdict in verdicts)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values: the name, the rows, and how many there are of each verdict."""
        counts = self._counts()
        return {
            "name": self.name,
            "rows": [row._asdict() for row in self.rows],
            "counts": {name: counts[name] for name in _SUMMARY},
        }

    def __repr__(self) -> str:
        return f"ResumePlan({self.name!r}, {self._summary()})"

    def __str__(self) -> str:
        folded = list(_folded(self.rows))
        shown = [("address", "stage", "verdict", "reason"), *folded[:_SHOWN]]
        widths = [max(len(row[column]) for row in shown) for column in range(4)]
        shown.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3]))
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in shown]
        if len(folded) > _SHOWN:
            lines.append(f"... and {len(folded) - _SHOWN} lines more")
        return "\n".join([*lines, f"{self.name}: {self._summary()}"])

    def _counts(self) -> Counter[str]:
        return Counter(row.verdict for row in self.rows)

    def _summary(self) -> str:
        counts = self._counts()
        raising = sum(RAISES in row.reason for row in self.of("stale"))
        counts["stale"] -= raising
        told = [f"{counts[name]} {text}" for name, text in _SUMMARY.items() if counts[name]]
        if raising:
            told.append(f"{raising} stale ({RAISES})")
        return ", ".join(told) or "nothing to do"


def _folded(rows: Sequence[ResumeRow]) -> Iterator[tuple[str, str, str, str]]:
    """The lines of a table: rows one after another that tell the same of one stage become one."""
    for (stage, verdict, reason), group in itertools.groupby(rows, key=lambda row: row[1:]):
        addresses = [row.address for row in group]
        if len(addresses) < _FOLDED:
            yield from ((address, stage, verdict, reason) for address in addresses)
        else:
            yield f"{addresses[0]} ... {addresses[-1]} ({len(addresses)})", stage, verdict, reason


class Preview:
    """One place of a run that is looked at beforehand: what is known of its values, and what is not.

    Args:
        scope: the place; its values are those that are known.
        recorded: the addresses at which something is recorded.
        unknown: fields whose values have yet to be made, and by whom.
        rows: what was found so far, of the whole run.
    """

    def __init__(
        self,
        scope: Scope,
        recorded: frozenset[str],
        unknown: dict[str, str] | None = None,
        rows: dict[str, ResumeRow] | None = None,
    ) -> None:
        self.scope = scope
        self.recorded = recorded
        self.unknown: dict[str, str] = {} if unknown is None else unknown
        self.rows: dict[str, ResumeRow] = {} if rows is None else rows

    def at(self, scope: Scope) -> Preview:
        """The same values at another place."""
        return Preview(scope, self.recorded, self.unknown, self.rows)

    def closed(self, scope: Scope, unknown: dict[str, str]) -> Preview:
        """A place with values of its own."""
        return Preview(scope, self.recorded, unknown, self.rows)

    def add(self, address: str, stage: str, verdict: Verdict, reason: str) -> None:
        """Tell what becomes of an execution."""
        self.rows[address] = ResumeRow(address, stage, verdict, reason)

    def depends_on(self, fields: Iterable[str] | None, kept: Iterable[str] = ()) -> str:
        """Who has yet to make one of these fields (None: any field); empty when all are known."""
        for name in self.unknown if fields is None else fields:
            if name in self.unknown:
                return self.unknown[name]
        return next((name.rpartition(".")[0] for name in kept if name not in self.scope.kept), "")

    def forget(self, fields: Iterable[str], maker: str) -> None:
        """These fields have yet to be made."""
        for name in fields:
            self.unknown[name] = maker
            self.scope.values.pop(name, None)

    def learn(self, fields: Iterable[str]) -> None:
        """The values of these fields are known."""
        for name in fields:
            self.unknown.pop(name, None)

    def promise(self, field: str, origin: str) -> None:
        """The field will have an object without content, of a known origin."""
        value = _Promise()
        self.scope.values[field] = value
        self.scope.run.shelf.origins.add(value, origin)
        self.unknown.pop(field, None)

    def evaluate(self, predicate: Callable[[Any], Any]) -> tuple[bool | None, str]:
        """What a predicate says of the known values; None, and on whom that depends, when it cannot be told."""
        reads = reads_of(predicate)
        followed = reads is not None and not reads.escapes
        always = reads.always if reads is not None else ()
        maker = self.depends_on(always) or self.depends_on(always if followed else None)
        if maker:
            return None, depends(maker)
        try:
            verdict = predicate(context_of(dict(self.scope.values)))
        except Exception as error:  # noqa: BLE001  # the run will raise it, unless a value that is not known yet prevents it
            return None, f"its predicate cannot be told beforehand ({type(error).__name__}: {error})"
        if hasattr(verdict, "__await__"):
            close: Callable[[], None] | None = getattr(verdict, "close", None)
            if close is not None:
                close()
            return None, "its predicate is asynchronous, and is asked when it runs"
        return bool(verdict), ""

    def leave(self, address: str, path: str, fields: Iterable[str], why: str, *, first: str = "") -> None:
        """What lies within an address cannot be told: what is recorded there may be used, or not.

        ``first`` is the address of what comes next within it.
        """
        within = sorted(name for name in self.recorded if name not in self.rows and _is_within(name, address))
        for name in within:
            self.add(name, _path_of(name), "rerun", why)
        if not within:
            self.add(first or address, path, "new", why)
        self.forget(fields, path)

    def cover(self, address: str, reason: str) -> None:
        """What is recorded within an address belongs to an output that is used as a whole."""
        for name in sorted(self.recorded):
            if name not in self.rows and _is_within(name, address):
                self.add(name, _path_of(name), "reuse", reason)

    def finished(self) -> list[ResumeRow]:
        """All rows; what is recorded where no stage is comes last."""
        orphans = sorted(self.recorded - self.rows.keys())
        why = "no stage of this pipeline has this address"
        return [*self.rows.values(), *(ResumeRow(name, _path_of(name), "orphan", why) for name in orphans)]


def depends(maker: str) -> str:
    """The reason of what cannot be told before ``maker`` has run."""
    return f"depends on {maker!r}, which has yet to run"


def _is_within(name: str, address: str) -> bool:
    return name == address or name.startswith((f"{address}/", f"{address}["))


def _path_of(address: str) -> str:
    """An address without indices."""
    return "/".join(part.partition("[")[0] for part in address.split("/"))
