"""What the optimizer of a run began with: trials of earlier runs, as they are kept in its journal."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from metta_sweep.core.trial import Trial
from metta_sweep.errors import StoreError
from metta_sweep.records import StoreReader, TrialRow

__all__ = ["WarmSource", "WarmStart", "kept_or_given", "warm_sources"]

_log: Final = logging.getLogger("metta_sweep")
_VERSION: Final = 1


class WarmSource(NamedTuple):
    """Where trials come from that a run began with."""

    run: str | None
    """The name of their run, or its id where it has no name; None where trials were given without their run."""
    trials: int
    """How many of them taught something."""

    def in_words(self) -> str:
        """``20 trials of explore``."""
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        return trials if self.run is None else f"{trials} of {self.run}"


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Trials of earlier runs, as they are kept in the journal of the run that begins with them."""

    payload: bytes
    sources: tuple[WarmSource, ...]
    """The runs that they come from."""

    @classmethod
    def of(cls, trials: Sequence[Trial], sources: Sequence[tuple[WarmSource, str | None]]) -> WarmStart:
        """Checked trials, and the runs that they come from with their ids."""
        from pydantic_core import from_json, to_json

        from metta_sweep.experiments.codec import encode_trial

        rows = [[*row[:-1], from_json(row.payload)] for row in map(encode_trial, trials)]
        told = [{"run": source.run, "run_id": run_id, "trials": source.trials} for source, run_id in sources]
        return cls(to_json({"version": _VERSION, "sources": told, "trials": rows}), tuple(source for source, _ in sources))

    @classmethod
    def read(cls, payload: bytes) -> WarmStart:
        """What is kept. Raises ``ValueError``, ``TypeError`` or ``LookupError`` where it is no such thing."""
        from pydantic_core import from_json

        note = from_json(payload)
        if note["version"] != _VERSION:
            raise ValueError(f"its version is {note['version']!r}, and {_VERSION} is known")
        sources = [WarmSource(source["run"], source["trials"]) for source in note["sources"]]
        for run, count in sources:
            if not isinstance(run, str | None) or type(count) is not int:
                raise TypeError(f"it comes from {run!r}, {count!r}")
        return cls(payload, tuple(sources))

    def trials(self) -> list[Trial]:
        """The trials, with what optimizers need of them. Raises ``StoreError`` where they are none."""
        from pydantic_core import from_json, to_json

        from metta_sweep.experiments.codec import decode_trial

        try:
            rows = from_json(self.payload)["trials"]
            return [decode_trial(TrialRow._make([*fields, to_json(rest)])) for *fields, rest in rows]
        except (ValueError, TypeError, LookupError) as error:
            raise _damaged("a run", error) from error

    def essence(self) -> list[tuple[Any, ...]]:
        """What there is to learn from them, to tell whether another warm start teaches the same."""
        return [(trial.params, trial.state, trial.score, trial.metrics, trial.reports) for trial in self.trials()]


def kept_or_given(given: WarmStart | None, store: StoreReader, run_id: str, *, begun: bool) -> WarmStart | None:
    """What the optimizer of a run begins with: when it has begun before what is kept, with a warning where something else is given.

    Args:
        given: what the sweep was given now.
        store: where the run is kept.
        run_id: the run.
        begun: whether a process has taken it up before.
    """
    if not begun:
        return given
    kept = _kept(store, run_id)
    if given is not None and (kept is None or given.essence() != kept.essence()):
        had = "nothing" if kept is None else _in_words(kept.sources)
        _log.warning(
            "the run %s began with what it knew then (%s): the warm_start= given now is not used; run(fresh=True) begins with it",
            run_id,
            had,
        )
    return kept


def warm_sources(store: StoreReader, run_id: str) -> tuple[WarmSource, ...]:
    """The runs whose trials a kept run began with."""
    kept = _kept(store, run_id)
    return () if kept is None else kept.sources


def _in_words(sources: Iterable[WarmSource]) -> str:
    return ", ".join(source.in_words() for source in sources)


def _kept(store: StoreReader, run_id: str) -> WarmStart | None:
    """What a run began with: committed with the note of its first start, so that it is the second record, if any."""
    record = next((record for record in islice(store.records(run_id), 2) if record.kind == "warm"), None)
    if record is None:
        return None
    try:
        return WarmStart.read(record.payload)
    except (ValueError, TypeError, LookupError) as error:
        raise _damaged(f"run {run_id!r}", error) from error


def _damaged(where: str, error: Exception) -> StoreError:
    return StoreError(
        f"{where}, the record of its warm start",
        f"its payload is no list of trials ({error!s:.200})",
        remedy="The journal is damaged. Start over with fresh=True: this one is kept beside it",
    )
