"""The results of the experiments that ran inside another one, read from the store when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from metta_sweep.errors import did_you_mean
from metta_sweep.records import RunRow, Store

if TYPE_CHECKING:
    from metta_sweep.experiments.experiment_result import ExperimentResult
    from metta_sweep.experiments.result import SweepResult

__all__ = ["Children"]

_SHOWN = 6


class Children(Mapping[str, "SweepResult | ExperimentResult"]):
    """The experiments that ran directly inside another one, by their addresses in it: ``children["trial[3]>Inner"]``.

    In the order in which they began. What ran inside one of them is in the ``children`` of its result. Nothing is read before it is
    looked at, and it is read as it is then.

    Args:
        store: where they are kept; None: nowhere.
        parent: the name of the run that they ran inside, or its id where it has no name.
        address: its address in the tree, which may stand before theirs.
    """

    def __init__(self, store: Store | None, parent: str, address: str = "") -> None:
        self._store = store
        self._parent = parent
        self._address = address

    def _rows(self) -> dict[str, RunRow]:
        if self._store is None or not self._parent:
            return {}
        cut = len(self._parent) + 1
        within = ((row.name[cut:], row) for row in self._store.runs(under=self._parent) if row.name is not None)
        direct = {address: row for address, row in within if address.count(">") == 1}
        # a process that died just then may have left one that never began
        return {address: row for address, row in direct.items() if next(self._store.records(row.run_id), None) is not None}

    def __getitem__(self, address: str) -> SweepResult | ExperimentResult:
        from metta_sweep.experiments.read_back import read_result

        rows = self._rows()
        row = rows.get(address) or rows.get(address.removeprefix(f"{self._address}/"))
        if row is None or self._store is None:
            raise KeyError(_no_such(address, list(rows)))
        return read_result(self._store, row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    def __contains__(self, address: object) -> bool:
        return address in self._rows()

    def __repr__(self) -> str:
        names = list(self._rows())
        if not names:
            return "<no children>"
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        return f"<{len(names)} {'child' if len(names) == 1 else 'children'}: {shown}>"


def _no_such(address: str, known: list[str]) -> str:
    guess = did_you_mean(address, known)
    hint = f". Did you mean {guess!r}?" if guess else f"; there are: {', '.join(known[:_SHOWN]) or 'none'}"
    return f"no experiment ran at {address!r} here{hint}"
