"""Which run the state of a trial is: where a member of a population goes on, also in the place of another one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

from metta_sweep.address import child, join
from metta_sweep.clock import wall_time
from metta_sweep.core.budget import Budget
from metta_sweep.errors import StoreError
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.experiments.tree.node import Node
from metta_sweep.records import RunRow

__all__ = ["Lineage", "forked"]

_FILE: Final = "lineage.json"


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the last step of a trial left behind. Kept in the trial's directory: who takes its checkpoint goes on from there."""

    run: str
    """The id of the run of that step."""
    address: str
    """Its address in the tree."""
    trial: str
    """The id of the trial that ran it."""
    step: int
    mark: str
    """What its name ends with, where it did not go on as it was; else empty."""
    params: dict[str, Any]
    trials: int | None
    """The budget of the run, over all its steps; so are the next two."""
    seconds: float | None
    cost: float | None

    @classmethod
    def read(cls, directory: Path, step: int) -> Self:
        """What is kept in a directory that was restored. Raises ``StoreError`` when it is not that of the step."""
        path = directory / _FILE
        try:
            kept = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(
                f"{path}", f"it does not tell which run step {step} was ({error})", remedy="Start over with fresh=True"
            ) from error
        if kept.step != step:
            raise StoreError(
                f"{path}", "it is of another step", found=kept.step, expected=f"step {step}", remedy="Start over with fresh=True"
            )
        return kept

    def write(self, directory: Path) -> None:
        """Keep it, in place of what was kept there before."""
        new = directory / f"{_FILE}.new"
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(directory / _FILE)

    def mark_of_next(self, trial: str, params: Mapping[str, Any]) -> str:
        """What the name of the next step's run ends with: its own, where it goes on as it was; another one in a new place.

        A trial may come to the same step twice, in the place of others: its runs are told apart by what they go on from.
        """
        if trial == self.trial and params == self.params:
            return self.mark
        told = json.dumps([self.address, params], sort_keys=True)
        return blake2b(told.encode(), digest_size=3).hexdigest()

    def budget_of_next(self, added: Budget) -> Budget:
        """What the run may spend when the next step adds so much. No cap stays none."""
        caps = ((self.trials, added.trials), (self.seconds, added.seconds), (self.cost, added.cost))
        trials, seconds, cost = (more if before is None or more is None else before + more for before, more in caps)
        return Budget(None if trials is None else int(trials), seconds, cost)


def forked(node: Node, place: str, name: str, before: Lineage | None) -> str:
    """The address of the child ``name`` at a place of a running experiment, which begins as what was there before, if anything.

    Raises:
        StoreError: there is no such run any more, or another one has this name.
    """
    address = child(join(node.address, place), name)
    if before is None:
        return address
    store, full = node.store, f"{node.root}/{address}"
    there = store.find_run(full)
    if there is None:
        if isinstance(node.run, SweepRun):
            node.run.recorder.flush()  # that it goes on from there must outlive the process as the fork does
        store.fork_run(before.run, RunRow(f"{name}-{os.urandom(4).hex()}", full, wall_time()))
    elif there.forked_from != before.run:
        raise StoreError(
            f"the run {full!r}",
            f"it is no fork of {before.address!r}, from which it is to go on",
            found=there.forked_from,
            expected=before.run,
            remedy="Start over with fresh=True",
        )
    return address
