"""Where a trial comes from (its optimizer, the trial it follows, its run's source and the runs around it), and what ran in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from metta_sweep.cli.families import TRIAL, called, children_of, parent_of
from metta_sweep.cli.kept import Outline, safe_outline, start_note
from metta_sweep.cli.text import number, params_text
from metta_sweep.core.events import Event, Pick, Resume
from metta_sweep.core.trial import Trial
from metta_sweep.errors import DamagedPayload, StoreError
from metta_sweep.experiments.read_back import read_sweep
from metta_sweep.experiments.start_note import StartNote
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["Lineage", "lineage_lines", "lineage_of", "origin_lines", "ran_lines", "trial_of"]

_ANCESTORS: Final = 20
"""Trials that follow each other, of which so many are told."""
_SHOWN: Final = 20


class Place(NamedTuple):
    """Where a run lies in the one around it."""

    run: str
    """The name of that run."""
    place: str
    """The trial or stage of it."""
    params: dict[str, Any] | None
    """Those of the trial, where it is one that is kept."""


class Taken(NamedTuple):
    """A checkpoint of another trial that a trial went on from."""

    trial: str
    step: int
    """After which it was made."""
    params: dict[str, Any] | None
    """Those that it went on with, where they are others than before: a member of a population, say, changes them then."""


class Lineage(NamedTuple):
    """Where the suggestion of a trial comes from."""

    origin: str | None
    """The optimizer, and its phase."""
    suggestion: int
    """Its number among all suggestions of the sweep."""
    branch: str | None
    follows: list[str]
    """The trials that it follows up: its parent, the parent of that, and so on."""
    takes_from: list[Taken]
    """The checkpoints of other trials that it went on from."""
    warm_start: list[str]
    """The runs whose trials the optimizer began with."""
    copied_from: str | None
    """The run in which it was run: this one is a fork of that one, or of a fork of it."""
    within: list[Place]
    """What its run lies within, from the innermost to the root."""
    ran: list[dict[str, Any]]
    """The experiments that ran inside it."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        taken = [one._asdict() for one in self.takes_from]
        return {**self._asdict(), "takes_from": taken, "within": [place._asdict() for place in self.within]}


def trial_of(reader: SqliteReader, row: RunRow, note: StartNote, trial_id: str) -> Trial:
    """A trial of a run, as it stands. Raises ``StoreError`` when there is none of that id."""
    from metta_sweep.experiments.codec import decode_trial

    ended = reader.trial_row(row.run_id, trial_id)
    if ended is not None:
        return decode_trial(ended)
    trials = read_sweep(reader, row, note).trials
    try:
        return trials.by_id(trial_id)
    except KeyError:
        raise StoreError(
            f"run {called(row)!r}",
            f"there is no trial {trial_id!r}",
            expected=f"the id of one of its {len(trials)} trials",
        ) from None


def lineage_of(reader: SqliteReader, row: RunRow, trial: Trial, events: Sequence[Event]) -> Lineage:
    """Where a trial of a run comes from; ``events`` are those of the trial."""
    pick = next((event.seq for event in events if isinstance(event, Pick)), None)
    return Lineage(
        origin=trial.origin,
        suggestion=trial.index,
        branch=trial.branch,
        follows=list(_followed(reader, row, trial)),
        takes_from=[
            Taken(event.source, event.step, event.params)
            for event in events
            if isinstance(event, Resume) and event.source is not None
        ],
        warm_start=_warm_start(reader, row),
        copied_from=None if pick is None else _copied_from(reader, row, pick),
        within=list(_around(reader, row)),
        ran=[_told(label, outline) for label, outline in _inside(reader, row, f"trial[{trial.id}]")],
    )


def lineage_lines(reader: SqliteReader, row: RunRow, trial: Trial, events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """The same as titles and lines of text."""
    it = lineage_of(reader, row, trial, events)
    yield "origin", f"{it.origin or 'unknown'}, suggestion {it.suggestion}" + (f" of {it.branch}" if it.branch is not None else "")
    if it.follows:
        yield "follows", ", which follows ".join(f"trial[{one}]" for one in it.follows)
    for taken in it.takes_from:
        changed = f", with {params_text(taken.params)}" if taken.params else ""
        yield "went on", f"from the checkpoint of trial[{taken.trial}] after step {taken.step}{changed}"
    for source in it.warm_start:
        yield "learned", f"the optimizer began with {source}"
    if it.copied_from is not None:
        yield "copied", f"from {it.copied_from}, where it was run: this run is a fork of it"
    for place in it.within:
        yield "within", _in_words(place)
    for line in ran_lines(reader, row, f"trial[{trial.id}]"):
        yield "ran", line


def origin_lines(reader: SqliteReader, row: RunRow) -> Iterator[str]:
    """Where a run comes from and what lies within it, for its summary."""
    if row.forked_from is not None:
        yield f"fork    of {_called_now(reader, row.forked_from)}: events before number {reader.copied_end(row.run_id)} are its"
    for source in _warm_start(reader, row):
        yield f"warm    its optimizer began with {source}"
    for place in _around(reader, row):
        yield f"within  {_in_words(place)}"
    count = len(reader.runs(under=called(row)))
    if count:
        yield f"inside  {count} experiment{'s' if count > 1 else ''}: metta-sweep tree {shlex.quote(called(row))} shows them"


def ran_lines(reader: SqliteReader, row: RunRow, place: str) -> Iterator[str]:
    """The experiments that ran in a trial or stage of a run, or in what lies within that stage."""
    inside = list(_inside(reader, row, place, _SHOWN))
    for label, outline in inside:
        if outline is None:
            yield f"{label}: not kept itself"
            continue
        count = outline.trials
        told = [outline.status, *([f"best {number(outline.best_score)}"] if outline.best_score is not None else [])]
        yield f"{label}: {', '.join([*told, *([] if count is None else ['1 trial' if count == 1 else f'{count} trials'])])}"
    more = len(children_of(reader, called(row), place)) - len(inside)
    if more:
        yield f"... and {more} more: metta-sweep tree {shlex.quote(called(row))} --all shows them"


def _inside(reader: SqliteReader, row: RunRow, place: str, count: int | None = None) -> Iterator[tuple[str, Outline | None]]:
    for twig in children_of(reader, called(row), place)[:count]:
        yield twig.label, None if twig.row is None else safe_outline(reader, twig.row)


def _told(label: str, outline: Outline | None) -> dict[str, Any]:
    if outline is None:
        return {"address": label, "run_id": None, "status": "not kept", "trials": None, "best_score": None}
    told = {"address": label, "run_id": outline.run_id, "status": outline.status}
    return {**told, "trials": outline.trials, "best_score": outline.best_score}


def _followed(reader: SqliteReader, row: RunRow, trial: Trial) -> Iterator[str]:
    from metta_sweep.experiments.codec import decode_trial

    parent = trial.parent
    for _ in range(_ANCESTORS):
        if parent is None:
            return
        yield parent
        found = reader.trial_row(row.run_id, parent)
        parent = None if found is None else decode_trial(found).parent


def _warm_start(reader: SqliteReader, row: RunRow) -> list[str]:
    from metta_sweep.experiments.warm_start import warm_sources

    return [source.in_words() for source in warm_sources(reader, row.run_id)]


def _copied_from(reader: SqliteReader, row: RunRow, seq: int) -> str | None:
    """The run in whose own journal an event of a run is; None for the run itself."""
    source: str | None = None
    at: RunRow | None = row
    while at is not None and at.forked_from is not None and seq < reader.copied_end(at.run_id):
        source = at.forked_from
        at = reader.find_run(source)
    return None if source is None else _called_now(reader, source)


def _called_now(reader: SqliteReader, run_id: str | None) -> str:
    found = None if run_id is None else reader.find_run(run_id)
    return run_id or "" if found is None else called(found)


def _around(reader: SqliteReader, row: RunRow) -> Iterator[Place]:
    name = called(row)
    while "/" in name:
        parent = parent_of(name)
        place = name[len(parent) + 1 :].rpartition(">")[0]
        yield Place(parent, place, _params_of(reader, parent, place))
        name = parent


def _params_of(reader: SqliteReader, name: str, place: str) -> dict[str, Any] | None:
    """Those of a trial; None for what is no trial, or cannot be read: what lies within it can."""
    row, trial = reader.find_run(name), TRIAL.fullmatch(place)
    if row is None or trial is None:
        return None
    try:
        note = start_note(reader, row.run_id)
        return None if note is None else trial_of(reader, row, note, trial["id"]).params
    except (StoreError, DamagedPayload):
        return None


def _in_words(place: Place) -> str:
    params = f": {params_text(place.params) or 'no params'}" if place.params is not None else ""
    return f"{place.place} of {place.run}{params}"
