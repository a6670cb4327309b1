"""Events and trials as JSON, and back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta_sweep import Report, Trial, TrialState
from metta_sweep.core.events import (
    EVENT_TYPES,
    Dispatch,
    Draw,
    Error,
    Event,
    Expand,
    PaperTrigger,
    Paused,
    Pick,
    Prune,
    Reported,
    Result,
    Resume,
    Score,
    Stop,
    Wait,
)
from metta_sweep.core.trial import TrialError
from metta_sweep.errors import StoreError
from metta_sweep.experiments.codec import decode_events, decode_trial, encode_events, encode_trial
from metta_sweep.records import Record

SAMPLES: list[Event] = [
    Draw(3, {"lr": 0.1, "layers": [1, {"deep": None}], "on": True, "act": "relü"}, "svm", "mine", "random", "2", 4, {"m": "svm"}),
    Draw(0, {}),
    Pick(3, "mine", 7, "svm", math.inf, None, None, 0, 0, (("a", 0.5), ("b", math.inf)), 3, 1, 2, "why not"),
    Dispatch("7", None, 2, 10.5),
    Reported("7", "svm", 1, 3, {"loss": 0.25, "accuracy": (0.5, 0.01)}),
    Result("7", "svm", 1, {"score": 1e-300}, 0.125, None, {"host": "here", "n": [1, 2]}),
    Result("7", None, 1, {}, 0.0, "deadline"),
    Error("7", None, 1, "ValueError", "no luck", "Traceback ...\n", 0.5, False, 2.0, None),
    Score("7", "svm", 0.5, None, 1, None, True, False),
    PaperTrigger("7", "svm", 0.75, 0.7, 3),
    Prune("7", "svm", 0.1, 0.2, 3, 5),
    Expand("7", "svm", 0.9, 0.7, ("7-f1", "7-f2"), 1),
    Wait("nothing now", 1, 2),
    Stop("budget_trials", "3 of 3"),
    Stop("stop", trial_id="7", branch="svm", step=4),
    Paused("7", "svm", 2, 9, 0.25, "00ff", {"host": "here"}),
    Resume("7", "svm", 9, "00ff", "3", {"lr": 0.2}, 1, 2, "why not"),
]


def envelope(payload: bytes, length: int = 1) -> Record:
    """A record with that payload."""
    return Record(10, length, "sweep[3]/score", "events", 0.0, 0.0, payload)


def test_every_kind_of_event_comes_back() -> None:
    """As it was, with number and address of the envelope."""
    assert {type(event) for event in SAMPLES} == set(EVENT_TYPES.values())
    back = list(decode_events(envelope(encode_events(SAMPLES), len(SAMPLES))))
    assert [event._replace(seq=-1, address="") for event in back] == SAMPLES
    assert [type(event) for event in back] == [type(event) for event in SAMPLES]
    assert [event.seq for event in back] == list(range(10, 10 + len(SAMPLES)))
    assert {event.address for event in back} == {"sweep[3]/score"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=5), st.floats(allow_nan=False, allow_infinity=False))
def test_parameters_and_numbers_come_back_exactly(params: dict[str, Any], number: float) -> None:
    """Whatever JSON can hold, to the last bit."""
    events: list[Event] = [Draw(0, params), Result("0", None, 1, {"score": number}, 0.0)]
    back = [event._replace(seq=-1, address="") for event in decode_events(envelope(encode_events(events), 2))]
    assert repr(back) == repr(events)


def test_the_journal_is_plain_json() -> None:
    """Anybody can read it: a list of lists, each with its kind first."""
    kinds = [fields[0] for fields in json.loads(encode_events(SAMPLES))]
    assert kinds == [event.kind for event in SAMPLES]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[[",
        b"null",
        b"7",
        b"[1]",
        b'[["no such kind", 1]]',
        b'[["score"]]',
        b'[["pick", "three", "0", 0]]',
        b'[["wait", "why", 0, 1, 2, 3, 4, 5]]',
        b'[["draw", 0, [1]]]',
        b'[["__import__", "os"]]',
        b"\x80\x04\x95",
    ],
)
def test_a_damaged_record_is_noticed_and_not_used(payload: bytes) -> None:
    """The error names the record and its address."""
    with pytest.raises(StoreError, match=r"(?s)record 10 at sweep\[3\]/score.*damaged"):
        list(decode_events(envelope(payload)))


def test_an_ended_trial_comes_back() -> None:
    """With its error, metrics with standard errors, metadata, and its last report."""
    trial = Trial(
        id="mine",
        number=4,
        params={"lr": 0.1, "act": None},
        branch="svm",
        origin="random",
        parent="2",
        index=9,
        state=TrialState.FAILED,
        attempt=2,
        reports=(Report(1, {"loss": 0.5}), Report(2, {"loss": (0.4, 0.1)})),
        metrics={"loss": (0.3, 0.05), "n": 2.0},
        score=None,
        error=TrialError("ValueError", "no luck", "Traceback"),
        reason="verdict",
        seconds=1.5,
        metadata={"host": "here"},
    )
    back = decode_trial(encode_trial(trial))
    assert back.reports == (trial.last_report,)
    assert back == Trial(**{**{name: getattr(trial, name) for name in Trial.__slots__}, "reports": back.reports})


@pytest.mark.parametrize("payload", [b"", b"[1,2]", b'{"a": 1}', b"null", b"[{}, {}, null, null, 0, [1], null, null, null]"])
def test_a_damaged_row_is_noticed_and_not_used(payload: bytes) -> None:
    """The error names the trial, and says where its events are."""
    row = encode_trial(Trial(id="mine", number=0, params={}, state=TrialState.COMPLETED))._replace(payload=payload)
    with pytest.raises(StoreError, match=r"(?s)trial 'mine'.*journal still has its events"):
        decode_trial(row)
