"""What a sweep gives back."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from sweep_kit import queue, rewards, run, sweep

from metta_sweep import FailurePolicy, MemoryStore, StopReason, Suggestion, SweepExperiment, SweepResult, TrialContext, TrialState
from metta_sweep.core.events import Pick
from metta_sweep.errors import MissingExtra, StoreError
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import IterationScheduler

Hide = Callable[..., None]

MIXED: list[dict[str, Any]] = [
    {"lr": 1, "act": "relu", "layers": [64, 32], "on": True},
    {"lr": 0.5, "act": None, "layers": "auto"},
    {"lr": 2, "act": 3},
]


async def mixed(trial: TrialContext) -> dict[str, Any]:
    """Several metrics, one with its standard error; the last trial fails."""
    if trial.number == 2:
        raise ValueError("no luck")
    return {"accuracy": (0.5 + trial.number / 10, 0.01), "latency": 3}


def mixed_result() -> SweepResult:
    """Three trials with all sorts of parameters."""
    experiment = SweepExperiment(
        objective=mixed,
        optimizer=SuggestionQueue([Suggestion(params=params, branch="m") for params in MIXED]),
        goal={"accuracy": "maximize"},
        slots=1,
        seed=0,
        failures=FailurePolicy(tolerated_rate=1),
    )
    return run(experiment)


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Make libraries look as if they were not installed."""
    real = importlib.import_module

    def hide_them(*names: str) -> None:
        def import_module(name: str, package: str | None = None) -> ModuleType:
            if name in names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(name, package)

        monkeypatch.setattr(importlib, "import_module", import_module)

    return hide_them


def test_the_members_of_a_result() -> None:
    """Best trial, trials, branches, triggers, spend, stop reason and trace."""
    result = mixed_result()
    assert result.best is not None
    assert (result.best.id, result.best_params, result.best_score) == ("1", MIXED[1], 0.6)
    assert [trial.id for trial in result.trials] == ["0", "1", "2"]
    assert result.trials[0].metrics == {"accuracy": (0.5, 0.01), "latency": 3}
    assert (result.branches["m"].completed, result.branches["m"].failed) == (2, 1)
    assert (result.triggers, result.spend.trials, result.stop_reason) == ([], 3, StopReason.QUEUE_EMPTY)
    assert result.trace[-1].kind == "stop"
    assert "3 trials" in repr(result)


def test_a_result_without_a_completed_trial() -> None:
    """No best, no score, no parameters; the summary says so."""
    result = run(sweep(), 0)
    assert (result.best, result.best_params, result.best_score, list(result.trials)) == (None, None, None, [])
    assert "none" in result.summary()
    assert result.to_frame().height == 0


def test_the_first_of_equal_scores_is_the_best() -> None:
    """Later trials must be better, not as good."""
    result = run(sweep(rewards({"a": 0.5}), optimizer=queue(*"aaa")))
    assert result.best is not None
    assert result.best.id == "0"


def test_the_best_of_a_minimized_score_is_the_lowest() -> None:
    """In the user's units, whatever the direction."""
    result = run(sweep(rewards({"a": 3.0, "b": -2.0, "c": 1.0}), optimizer=queue(*"abc"), goal="minimize"))
    assert result.best is not None
    assert (result.best.branch, result.best_score) == ("b", -2.0)


# -- sequences ---------------------------------------------------------------------------------------------------------------------


def test_trials_are_a_sequence() -> None:
    """Length, positions from both ends, slices, iteration, membership by id."""
    trials = run(sweep(), 5).trials
    assert len(trials) == 5
    assert (trials[-1].id, trials[4].id, trials[-5].id) == ("4", "4", "0")
    assert [trial.id for trial in trials[1:4]] == ["1", "2", "3"]
    assert [trial.id for trial in trials[::-2]] == ["4", "2", "0"]
    assert trials[7:] == []
    assert [trial.id for trial in reversed(trials)] == ["4", "3", "2", "1", "0"]
    assert trials.by_id("3") == trials[3]
    with pytest.raises(IndexError, match="5"):
        trials[5]
    with pytest.raises(IndexError):
        trials[-6]
    with pytest.raises(KeyError, match="no trial '9'"):
        trials.by_id("9")


def test_the_trace_is_a_sequence() -> None:
    """The same of events; printed, it gives a line with a reason for each."""
    trace = run(sweep(), 3).trace
    everything = list(trace)
    assert [event.seq for event in everything] == list(range(len(trace)))
    assert trace[-1] == everything[-1]
    assert trace[2:9:3] == everything[2:9:3]
    assert trace[::-1] == everything[::-1]
    assert trace[len(trace) :] == []
    with pytest.raises(IndexError):
        trace[len(trace)]
    assert str(trace).count("\n") == len(trace) - 1
    assert "stop" in str(trace)


def test_a_long_trace_is_shown_in_part() -> None:
    """print(trace) shows the first fifty events and how many more there are."""
    trace = run(sweep(), 30).trace
    assert str(trace).splitlines()[-1] == f"... and {len(trace) - 50} more"


def test_trials_and_trace_are_those_of_their_moment() -> None:
    """A result does not grow when its run goes on."""
    store = MemoryStore()
    before = run(sweep(name="it", store=store), 2)
    events = len(before.trace)
    after = run(sweep(name="it", store=store), 4)
    assert (len(before.trials), len(list(before.trials)), len(after.trials)) == (2, 2, 4)
    assert (len(before.trace), len(list(before.trace))) == (events, events)
    assert len(after.trace) > events


def test_trials_are_read_when_they_are_looked_at() -> None:
    """Each look makes a new, equal object: nothing is held."""
    trials = run(sweep(), 2).trials
    assert trials[0] is not trials[0]
    assert trials[0] == trials[0]


def test_a_pick_says_why() -> None:
    """Branch, score and its parts, the others' scores, slots busy and free."""
    result = run(sweep(rewards({"a": 0.5, "b": 0.4}), optimizer=queue(*"aabb"), scheduler=IterationScheduler(), slots=2), 4)
    picks = [event for event in result.trace if isinstance(event, Pick)]
    assert [(pick.branch, pick.busy, pick.free) for pick in picks][:2] == [("a", 0, 2), ("b", 1, 1)]
    third = picks[2]
    assert third.score is not None
    assert third.score == pytest.approx((third.mean or 0) + (third.bonus or 0))
    assert (third.runs, third.pending, list(dict(third.others))) == (1, 0, ["b"])


# -- export ------------------------------------------------------------------------------------------------------------------------

COLUMNS = ["trial", "branch", "state", "score", "params", "metrics", "origin", "attempt", "seconds"]


def test_a_polars_frame() -> None:
    """Its columns, with structs of parameters and metrics; a parameter of several kinds is its JSON."""
    frame = mixed_result().to_frame()
    assert type(frame).__module__.startswith("polars")
    assert frame.columns == COLUMNS
    assert frame["trial"].to_list() == ["0", "1", "2"]
    assert frame["state"].to_list() == ["completed", "completed", "failed"]
    assert frame["score"].to_list() == [0.5, 0.6, None]
    assert frame["metrics"].to_list()[0] == {"accuracy": 0.5, "accuracy_sem": 0.01, "latency": 3.0}
    params = frame["params"].struct
    assert params.field("lr").to_list() == [1.0, 0.5, 2.0]
    assert params.field("act").to_list() == ['"relu"', None, "3"]
    assert params.field("layers").to_list() == ["[64,32]", '"auto"', None]
    assert params.field("on").to_list() == [True, None, None]


def test_a_pandas_frame_where_there_is_no_polars(hide: Hide) -> None:
    """The same columns in pandas."""
    hide("polars")
    frame = mixed_result().to_frame()
    assert type(frame).__module__.startswith("pandas")
    assert list(frame.columns) == COLUMNS
    assert list(frame["trial"]) == ["0", "1", "2"]
    assert frame["params"][0] == MIXED[0]
    assert frame["metrics"][1] == {"accuracy": 0.6, "accuracy_sem": 0.01, "latency": 3.0}


def test_no_frame_without_either(hide: Hide) -> None:
    """The error names the extra to install."""
    hide("polars", "pandas")
    with pytest.raises(MissingExtra, match="the extra 'polars' of metta_sweep") as caught:
        mixed_result().to_frame()
    assert caught.value.extra == "polars"


def test_a_dict_and_its_json() -> None:
    """to_json() is to_dict() as text, and nothing gets lost on the way."""
    result = mixed_result()
    plain = result.to_dict()
    assert json.loads(result.to_json()) == json.loads(json.dumps(plain))
    assert plain["stop_reason"] == "queue_empty"
    assert plain["goal"] == {"direction": "maximize", "metric": "accuracy"}
    assert [trial["state"] for trial in plain["trials"]] == ["completed", "completed", "failed"]
    assert plain["trials"][2]["error"]["message"] == "no luck"
    assert plain["branches"]["m"]["runs"] == 3
    assert plain["best"]["id"] == "1"


# -- for people --------------------------------------------------------------------------------------------------------------------


def test_the_summary_shows_branches_and_the_best_trial() -> None:
    """A row for each branch, best first, and lines for best, papers and stop."""
    result = run(
        sweep(rewards({"good": 0.9, "bad": 0.1}), optimizer=queue("good", *["bad"] * 4), scheduler=IterationScheduler(), name="it")
    )
    lines = result.summary().splitlines()
    assert lines[0].startswith("it: 4 trials in 4.0 s")
    rows = [line.split()[:3] for line in lines[3:5]]
    assert rows == [["good", "paper", "1"], ["bad", "pruned", "3"]]
    assert any(line.startswith("best    0.9 by trial 0") for line in lines)
    assert any(line.startswith("papers  good") for line in lines)
    assert lines[-1].startswith("stop    queue_empty")
    assert max(map(len, lines)) <= 110


def test_the_summary_tells_of_failures() -> None:
    """How many trials failed, and the first line of what the last of them said, however odd it is."""

    def objective(trial: TrialContext) -> float:
        raise ValueError(f"[red]number {trial.number}\nand much more")

    lines = run(sweep(objective), 3).summary().splitlines()
    assert "failed  3 of 3 trials; the last of them, trial 2: ValueError: [red]number 2" in lines
    assert "best    none: no trial completed" in lines


def test_the_summary_of_a_sweep_without_branches_shows_its_best_trials() -> None:
    """The best ten, best first, with their parameters."""
    result = run(sweep(), 12)
    lines = result.summary().splitlines()
    scores = [float(line.split()[2]) for line in lines[3:13]]
    assert scores == sorted(scores, reverse=True)
    assert lines[13].startswith("... and 2 more")


def test_a_good_end_is_no_error() -> None:
    """raise_for_stop() of a run that ended well gives the result."""
    result = run(sweep(), 1)
    assert result.raise_for_stop() is result
    assert result.trials[0].state is TrialState.COMPLETED


def test_a_foreign_store_is_refused() -> None:
    """A server is no store: the error says what is, before anything is opened."""
    with pytest.raises(StoreError, match=r"sqlite:///dir/file\.db"):
        sweep(store="postgresql://host/db")
