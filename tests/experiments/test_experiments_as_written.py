"""Code that users read first works as it is written."""

from __future__ import annotations

import asyncio
from typing import Any

from sweep_kit import kinds, run, sweep

from metta_sweep import (
    Budget,
    Choice,
    Experiment,
    Integer,
    LogUniform,
    Pipeline,
    StopReason,
    Suggestion,
    SweepExperiment,
    TrialContext,
    Uniform,
    fields,
    hooks,
    ref,
)
from metta_sweep.errors import BuildError
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing import deterministic_expander, make_deterministic_runner

SEARCH_SPACE = {
    "model": Choice(
        {
            "logistic": {"C": LogUniform(1e-4, 1e2)},
            "svm": {"C": LogUniform(1e-2, 1e3), "gamma": LogUniform(1e-6, 1e-1)},
            "forest": {"n_estimators": Integer(10, 200), "max_depth": Integer(2, 20)},
        }
    )
}


def train(trial: TrialContext) -> float:
    """A stand-in for training: each kind of model has its accuracy."""
    return {"logistic": 0.6, "svm": 0.9, "forest": 0.75}[trial.params["model"]]


def digits(**more: Any) -> SweepExperiment:
    """The sweep of the script."""
    return SweepExperiment(
        name="digits",
        objective=train,
        search_space=SEARCH_SPACE,
        optimizer=RandomOptimizer(),
        scheduler=IterationScheduler(branch_by="model"),
        slots=3,
        seed=0,
        **more,
    )


def test_the_script_with_a_choice_of_models() -> None:
    """run(budget=60) in a script gives the best parameters, their score, the stop reason and the branches' means."""
    results = digits().run(budget=60)
    assert results.best_params is not None
    assert results.best_params["model"] == "svm"
    assert set(results.best_params) == {"model", "C", "gamma"}
    assert results.best_score == 0.9
    assert results.stop_reason == "budget_trials"
    assert abs(results.branches["svm"].mean - 0.9) < 1e-12
    assert len(results.trials) == 60


def test_the_script_with_a_budget_of_trials_and_time() -> None:
    """Budget(trials=, seconds=) is taken as a number is."""
    assert digits().run(budget=Budget(trials=6, seconds=120)).stop_reason is StopReason.BUDGET_TRIALS


async def test_the_research_loop_inside_an_event_loop() -> None:
    """A queue of hypotheses, follow-ups by a lambda, a hook on a stage, and `await research.run(...)`."""
    seen: list[Any] = []

    async def runner(trial: TrialContext) -> float:
        await asyncio.sleep(0)
        return 0.9 if trial.branch == "a" else 0.5

    research = SweepExperiment(
        name="research",
        objective=runner,
        optimizer=SuggestionQueue([Suggestion(branch="a", params={"x": 1}), Suggestion(branch="b", params={"x": 2})]),
        scheduler=IterationScheduler(expander=lambda trial: [Suggestion(branch=trial.branch, params={"parent": trial.id})]),
        slots=3,
        hooks={"score": hooks(after=lambda scored: seen.append(scored))},
        store="memory",
    )
    report = await research.run(budget=Budget(trials=20, seconds=30))
    assert report.triggers == ["a"]
    assert report.trace[0].kind == "draw"
    assert set(kinds(report)) == {"draw", "pick", "dispatch", "result", "score", "paper.trigger", "expand", "stop"} | (
        {"wait"} & set(kinds(report))
    )
    assert len(report.trials) == 20
    assert report.trials.by_id("0-f1").params == {"parent": "0"}
    assert seen


def test_a_trial_has_the_members_that_are_promised() -> None:
    """id, number, params, branch, state, score, attempt and error of a trial."""
    trial = run(sweep(), 1).trials[0]
    assert (trial.id, trial.number, trial.branch, str(trial.state), trial.attempt, trial.error) == (
        "0",
        0,
        None,
        "completed",
        1,
        None,
    )
    assert trial.score == trial.params["x"]


def test_branch_statistics_have_the_members_that_are_promised() -> None:
    """runs, pending, reward_sum, mean, pruned and triggered of a branch."""
    stats = digits().run(budget=9).branches["svm"]
    assert (stats.runs > 0, stats.pending, stats.pruned, stats.triggered) == (True, 0, False, True)
    assert abs(stats.reward_sum - stats.runs * 0.9) < 1e-12
    assert abs(stats.mean - 0.9) < 1e-12


def test_every_event_has_kind_seq_and_address() -> None:
    """Events are numbered without gaps, carry the address of their stage, and trial and branch where they have one."""
    trace = digits().run(budget=4).trace
    assert [event.seq for event in trace] == list(range(len(trace)))
    for event in trace:
        stage = {"draw": "pick", "pick": "pick", "stop": "pick", "wait": "pick", "score": "score", "paper.trigger": "fan_out"}
        assert event.address.startswith("sweep[")
        assert event.address.endswith("]/" + stage.get(event.kind, "dispatch"))
        if event.kind in {"pick", "dispatch", "result", "score"}:
            assert getattr(event, "trial_id") in {"0", "1", "2", "3"}  # noqa: B009  # not every kind of event has one
            assert getattr(event, "branch") in {"logistic", "svm", "forest"}  # noqa: B009


def test_the_names_of_the_facade() -> None:
    """What is imported at the top of this file is what it says, and RandomOptimizer takes a space and a seed."""
    optimizer = RandomOptimizer({"x": Uniform(0, 1)}, seed=0)
    results = run(SweepExperiment(objective=lambda x: x, optimizer=optimizer, slots=1), 2)
    assert [set(trial.params) for trial in results.trials] == [{"x"}, {"x"}]
    assert issubclass(SweepExperiment, Experiment)
    assert issubclass(BuildError, Exception)
    assert [StopReason(value).value for value in ("queue_empty", "budget_time")] == ["queue_empty", "budget_time"]
    assert all(callable(name) for name in (fields, hooks, ref, make_deterministic_runner, deterministic_expander, Pipeline))


def test_without_optimizer_and_scheduler_a_sweep_searches_at_random() -> None:
    """Random suggestions from the search space, three slots filled as they free."""
    experiment = SweepExperiment(objective=lambda x: x, search_space={"x": Uniform(0, 1)}, seed=0)
    results = experiment.run(budget=5)
    assert experiment.slots == 3
    assert [trial.origin for trial in results.trials] == ["random"] * 5
