"""Reasons in words."""

from __future__ import annotations

from math import inf

import pytest

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
from metta_sweep.core.reasons import reason_of

CASES: list[tuple[Event, str]] = [
    (Pick(0, "0", 0, "a", 1.42, 0.71, 0.71, 3, 1, (), 4), "ucb 1.42 = mean 0.71 + 0.71, highest of 4 branches"),
    (Pick(0, "0", 0, "a", 1.42, 0.71, 0.71, 3, 1, (), 1, why="note"), "ucb 1.42 = mean 0.71 + 0.71, the only branch (note)"),
    (Pick(0, "0", 0, "a", inf, None, None, 0, 0, (), 4), "ucb inf, not tried yet, first of 4 branches"),
    (Pick(0, "0", 0, "a", inf, None, None, 0, 0, (), 1), "ucb inf, not tried yet, the only branch"),
    (Pick(0, "0", 0), "the next in the queue"),
    (Pick(0, "0", 0, why="promoted to level 2"), "promoted to level 2"),
    (Draw(0, {}, origin="RandomOptimizer", asked=3), "proposed by RandomOptimizer, asked for 3"),
    (Draw(0, {}, asked=1, fixed={"m": "a"}), "proposed by the optimizer, asked for 1 with m='a'"),
    (Draw(0, {}, parent="7"), "follow-up of trial 7"),
    (Dispatch("0", "a", 1), "first attempt"),
    (Dispatch("0", "a", 2, 1.5), "attempt 2, limited to 1.5 s"),
    (Reported("0", "a", 1, 3, {"loss": 0.25, "acc": (0.5, 0.01)}), "step 3: loss 0.25, acc 0.5 ± 0.01"),
    (Result("0", "a", 1, {"score": 0.5}, 0.25), "ran to its end after 0.25 s: score 0.5"),
    (Result("0", "a", 1, {}, 2.0, "verdict"), "stopped (verdict) after 2 s: no metrics"),
    (Error("0", "a", 1, "ValueError", "no", "", 0.1), "ValueError: no (first attempt; the trial has failed)"),
    (Error("0", "a", 2, "ValueError", "no", "", 0.1, False, 3.0), "ValueError: no (attempt 2; tried again after 3 s)"),
    (Score("0", "a", 0.5, 0.5, 2, 0.25, best=True), "score 0.5 (the best so far), reward 0.5; branch mean 0.25 of 2 runs"),
    (Score("0", "a", None, None, 1, None), "no score, no value yet"),
    (Score("0", "a", None, None, 1, None, counts=False), "cut short: not counted as a run"),
    (PaperTrigger("0", "a", 0.75, 0.7, 1), "mean 0.75 of 1 run reached the threshold 0.7"),
    (Prune("0", "a", 0.1, 0.2, 3, 2), "mean 0.1 of 3 runs is below the floor 0.2, 2 waiting dropped"),
    (Expand("0", "a", 0.9, 0.7, ("0-f1", "0-f2"), 1), "reward 0.9 reached 0.7; follow-ups: 0-f1, 0-f2, 1 refused"),
    (Expand("0", "a", 0.9, 0.7, (), 2), "reward 0.9 reached 0.7; follow-ups: none, 2 refused"),
    (Wait("model needs 3 results, has 1", 1, 2), "model needs 3 results, has 1 (1 slots busy, 2 free)"),
    (Stop("budget_trials", "60 of 60 trials"), "budget_trials: 60 of 60 trials"),
    (Stop("queue_empty"), "queue_empty"),
    (Paused("0", "a", 1, 9, 2.5, "abcdef0123456789"), "paused after step 9, 2.5 s, checkpoint abcdef01"),
    (Paused("0", "a", 1, 9, 2.5), "paused after step 9, 2.5 s"),
    (Resume("0", "a", 9), "goes on after step 9"),
    (
        Resume("0", "a", 9, "abc", "7", {"lr": 0.1}, why="rank 20 of 20"),
        "goes on after step 9 from the checkpoint of trial 7 with lr=0.1: rank 20 of 20",
    ),
]


@pytest.mark.parametrize(("event", "words"), CASES, ids=lambda value: value if isinstance(value, str) else value.kind)
def test_reasons_in_words(event: Event, words: str) -> None:
    """Every event says in one line why it happened."""
    assert reason_of(event) == words


def test_every_kind_of_event_has_a_reason() -> None:
    """No kind of event is forgotten."""
    assert {event.kind for event, _ in CASES} == set(EVENT_TYPES)
