"""Stopping decisions equal those of other systems' own code, on the same streams of reports.

Their decisions were recorded by ``benchmarks/record_decisions.py``; Optuna's are also made anew where it is installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from decision_streams import STREAMS, Decides, OptunaPruner, Stream, decisions, packed, stream

from metta_sweep.core.events import Pick, Reported, Result, Score
from metta_sweep.core.goal import Goal
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, TrialState, Verdict
from metta_sweep.schedulers import ASHAScheduler, MedianStoppingScheduler, Scheduler

TABLES = Path(__file__).parent / "decision_tables"


class Ours(Decides):
    """A scheduler of this package, told of events as a sweep would."""

    def __init__(self, scheduler: Scheduler, settings: Stream) -> None:
        goal = Goal.of("minimize" if settings.minimize else "maximize")
        self.scheduler = scheduler.for_run(Setup(None, goal, settings.seed, settings.slots))

    def start(self, trial: int) -> None:
        """Its pick."""
        self.scheduler.apply(Pick(trial, str(trial), trial))

    def stops(self, trial: int, step: int, value: float) -> bool:
        """Its report, and the verdict."""
        report = Report(step, {"score": value})
        self.scheduler.apply(Reported(str(trial), None, 1, step, {"score": value}))
        running = Trial(id=str(trial), number=trial, params={}, state=TrialState.RUNNING, attempt=1, reports=(report,))
        return self.scheduler.judge(running, report) is Verdict.STOP

    def end(self, trial: int, value: float, *, stopped: bool) -> None:
        """Its result and score."""
        cause = "verdict" if stopped else "complete"
        self.scheduler.apply(Result(str(trial), None, 1, {} if stopped else {"score": value}, 1.0, cause))
        self.scheduler.apply(Score(str(trial), None, None if stopped else value, value, 1, value))


def asha(rule: Any) -> Callable[[Stream], Decides]:
    """The stopping rule of that system."""
    return lambda settings: Ours(
        ASHAScheduler(
            max_epochs=settings.max_epochs,
            reduction_factor=settings.reduction_factor,
            grace_period=settings.grace_period,
            rule=rule,
        ),
        settings,
    )


def median(rule: Any) -> Callable[[Stream], Decides]:
    """The median rule of that system."""
    return lambda settings: Ours(
        MedianStoppingScheduler(
            grace_period=settings.grace_period,
            min_trials=settings.min_trials,
            max_epochs=settings.max_epochs,
            rule=rule,
        ),
        settings,
    )


OURS = {
    "asha_optuna": asha("optuna"),
    "asha_ray": asha("ray"),
    "asha_syne_tune": asha("syne_tune"),
    "median_optuna": median("optuna"),
    "median_ray": median("ray"),
}


@pytest.mark.parametrize("name", OURS)
def test_decisions_equal_those_of_the_original(name: str) -> None:
    """On each of the recorded streams, at each report: with ties, skipped steps, any order of trials, either direction."""
    table = json.loads((TABLES / f"{name}.json").read_text())
    assert len(table["streams"]) == STREAMS >= 200
    for seed, bits in enumerate(table["streams"]):
        assert packed(decisions(stream(seed), OURS[name])) == bits, f"stream {seed}: {stream(seed)}"


def test_the_tables_tell_the_rules_apart() -> None:
    """The streams are such that each rule decides otherwise than each other one on most of them."""
    tables = [json.loads((TABLES / f"{name}.json").read_text())["streams"] for name in OURS]
    for place, table in enumerate(tables):
        for other in tables[place + 1 :]:
            differing = sum(mine != theirs for mine, theirs in zip(table, other, strict=True))
            assert differing > STREAMS // 2


def test_the_textbook_rule_for_stopping_is_that_of_optuna() -> None:
    """Within the best ``floor(n / eta)``, or the best so far."""

    def paper(settings: Stream) -> Decides:
        return Ours(
            ASHAScheduler(
                max_epochs=settings.max_epochs,
                reduction_factor=settings.reduction_factor,
                grace_period=settings.grace_period,
                mode="stopping",
            ),
            settings,
        )

    for seed in range(40):
        assert decisions(stream(seed), paper) == decisions(stream(seed), OURS["asha_optuna"])


@pytest.mark.parametrize("name", ["asha_optuna", "median_optuna"])
def test_decisions_equal_those_of_the_installed_optuna(name: str) -> None:
    """Its pruner decides on streams that were not recorded."""
    optuna: Any = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def theirs(settings: Stream) -> Decides:
        if name == "median_optuna":
            pruner = optuna.pruners.MedianPruner(n_startup_trials=settings.min_trials, n_warmup_steps=settings.grace_period)
        else:
            pruner = optuna.pruners.SuccessiveHalvingPruner(
                min_resource=settings.grace_period, reduction_factor=settings.reduction_factor
            )
        return OptunaPruner(settings, pruner)

    for seed in range(10_000, 10_012):
        assert decisions(stream(seed), OURS[name]) == decisions(stream(seed), theirs), stream(seed)
