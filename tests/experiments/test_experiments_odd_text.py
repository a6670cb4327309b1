"""Text that UTF-8 cannot hold, such as the name of a file may be, wherever it can enter a sweep."""

from __future__ import annotations

from typing import Any

import pytest
from sweep_kit import events, queue_of, run, sweep

from metta_sweep import MemoryStore, StopReason, Suggestion, SweepResult, TrialContext, TrialState
from metta_sweep.core.events import Error, Wait
from metta_sweep.errors import InvalidInput
from metta_sweep.experiments.codec import decode_events, encode_events
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.records import Record

ODD = "bad \udcff name"


def twice(objective: Any, **settings: Any) -> SweepResult:
    """Run it, and go on with it: what both give."""
    store = MemoryStore()
    first = run(sweep(objective, name="it", store=store, optimizer=queue_of(2), **settings))
    again = run(sweep(objective, name="it", store=store, optimizer=queue_of(2), **settings))
    assert first.stop_reason is again.stop_reason is StopReason.QUEUE_EMPTY
    assert list(first.trials) == list(again.trials)
    return again


def raising(message: str) -> Any:
    """A trial function that raises a ``ValueError`` in its first trial."""

    async def objective(trial: TrialContext) -> float:
        if trial.params["i"] == 0:
            raise ValueError(message)
        return 1.0

    return objective


def test_an_error_with_odd_text_fails_its_trial_alone() -> None:
    """What cannot be written is spelled out, in the message and in the traceback."""
    result = twice(raising(ODD))
    failed, completed = result.trials
    assert (failed.state, completed.state) == (TrialState.FAILED, TrialState.COMPLETED)
    assert failed.error is not None
    assert failed.error.message == r"bad \udcff name"
    assert r"bad \udcff name" in failed.error.traceback
    assert [event.message for event in events(result, Error)] == [failed.error.message]


@pytest.mark.parametrize("metadata", [{"f": ODD}, {ODD: 1}, {"f": [{ODD: 1}]}])
def test_metadata_with_odd_text_fail_the_trial(metadata: dict[str, Any]) -> None:
    """As whatever is not JSON does, naming the key."""

    async def objective(trial: TrialContext) -> float:
        if trial.params["i"] == 0:
            trial.metadata.update(metadata)
        return 1.0

    failed, completed = twice(objective).trials
    assert (failed.state, completed.state) == (TrialState.FAILED, TrialState.COMPLETED)
    assert failed.error is not None
    assert f"trial.metadata[{next(iter(metadata))!r}]" in failed.error.message


def test_a_metric_with_an_odd_name_fails_the_trial() -> None:
    """The error names it."""

    async def objective(trial: TrialContext) -> dict[str, float]:
        return {"score": 1.0, ODD: 2.0} if trial.params["i"] == 0 else {"score": 1.0}

    failed, completed = twice(objective, metric="score").trials
    assert (failed.state, completed.state) == (TrialState.FAILED, TrialState.COMPLETED)
    assert failed.error is not None
    assert r"\udcff" in failed.error.message


@pytest.mark.parametrize(
    "suggestion",
    [
        Suggestion(params={"x": ODD}),
        Suggestion(params={ODD: 1}),
        Suggestion(params={"x": [{"y": ODD}]}),
        Suggestion(params={"x": [{ODD: 1}]}),
        Suggestion(params={}, id="\udcff"),
        Suggestion(params={}, branch="\udcff"),
        Suggestion(params={}, origin=ODD),
        Suggestion(params={}, parent=ODD),
    ],
)
def test_suggestions_with_odd_text_are_refused(suggestion: Suggestion) -> None:
    """Before anything is kept."""
    store = MemoryStore()
    with pytest.raises(InvalidInput, match="UTF-8 cannot hold"):
        run(sweep(lambda trial: 1.0, name="it", store=store, optimizer=SuggestionQueue([suggestion])))
    assert not store.runs()


def test_reasons_with_odd_text_are_kept_spelled_out() -> None:
    """A strategy of one's own may give any reason: it cannot end the run."""
    payload = encode_events([Wait(ODD, 1, 2)])
    (event,) = decode_events(Record(0, 1, "", "events", 0.0, 0.0, payload))
    assert isinstance(event, Wait)
    assert event.why == r"bad \udcff name"
