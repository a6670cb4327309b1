"""Events to JSON and back. What comes back is validated; nothing is evaluated or imported by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from metta_sweep.core.events import EVENT_TYPES, Event
from metta_sweep.core.trial import Report, Trial, TrialError, TrialState
from metta_sweep.core.values import encodable
from metta_sweep.errors import StoreError
from metta_sweep.records import Record, TrialRow

__all__ = ["decode_events", "decode_facts", "decode_trial", "encode_events", "encode_trial"]

_KINDS = {event_type: kind for kind, event_type in EVENT_TYPES.items()}


def encode_events(events: Sequence[Event]) -> bytes:
    """A JSON array with one array per event: its kind, then its fields in order, without ``seq`` and ``address``."""
    return _json([(_KINDS[type(event)], *event[:-2]) for event in events])


@cache
def _validator(kind: str) -> Callable[[Any], Event]:
    return cast("Callable[[Any], Event]", TypeAdapter(EVENT_TYPES[kind]).validator.validate_python)


def decode_events(record: Record) -> Iterator[Event]:
    """The events of a record, with their numbers and the address of the envelope. Raises as ``decode_facts`` does."""
    for offset, event in enumerate(decode_facts(record)):
        yield event._replace(seq=record.seq + offset, address=record.address)


def decode_facts(record: Record) -> list[Event]:
    """The events of a record as they were when they were kept, without numbers and addresses: what a fold needs.

    Raises:
        StoreError: the payload is no list of events. Nothing of it is used.
    """
    try:
        return [_validator(kind)(fields) for kind, *fields in from_json(record.payload, cache_strings="keys")]
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"record {record.seq} at {record.address}",
            f"its payload is no list of events ({error!s:.200})",
            remedy="The journal is damaged",
        ) from error


def encode_trial(trial: Trial) -> TrialRow:
    """The projection row of an ended trial. Of its reports the last one is kept: the journal has them all."""
    error = trial.error
    last = trial.last_report
    payload = _json(
        (
            trial.params,
            trial.metrics,
            trial.origin,
            trial.parent,
            trial.index,
            None if error is None else tuple(error),
            None if last is None else tuple(last),
            trial.reason,
            trial.metadata or None,
        )
    )
    return TrialRow(trial.number, trial.id, trial.branch, trial.state.value, trial.score, trial.attempt, trial.seconds, payload)


def decode_trial(row: TrialRow) -> Trial:
    """The trial of a row."""
    try:
        params, metrics, origin, parent, index, error, last, reason, metadata = from_json(row.payload)
        if not isinstance(params, dict):
            raise TypeError(f"params are a {type(params).__name__}")  # reported as all else that does not fit
        return Trial(
            id=row.id,
            number=row.number,
            params=params,
            branch=row.branch,
            origin=origin,
            parent=parent,
            index=index,
            state=TrialState(row.state),
            attempt=row.attempt,
            reports=() if last is None else (Report(last[0], _metrics(last[1])),),
            metrics=_metrics(metrics),
            score=row.score,
            error=None if error is None else TrialError(*error),
            reason=reason,
            seconds=row.seconds,
            metadata=metadata or {},
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StoreError(
            f"trial {row.id!r}", f"its row is damaged ({error!s:.200})", remedy="The journal still has its events"
        ) from error


def _json(values: Sequence[Any]) -> bytes:
    """As JSON; of text that UTF-8 cannot hold, such as a custom strategy's reasons may be, what it cannot hold is spelled out."""
    try:
        return to_json(values, inf_nan_mode="strings")
    except PydanticSerializationError:
        return to_json(_spelled_out(values), inf_nan_mode="strings")


def _spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {_spelled_out(key): _spelled_out(item) for key, item in value.items()}
    return [_spelled_out(item) for item in value] if isinstance(value, list | tuple) else value


def _metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in metrics.items()}
