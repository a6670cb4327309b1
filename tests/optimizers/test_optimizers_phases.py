"""Phases: optimizers one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from metta_sweep import (
    Budget,
    Choice,
    FailurePolicy,
    MemoryStore,
    StopReason,
    SweepExperiment,
    SweepResult,
    Trial,
    TrialContext,
    Uniform,
)
from metta_sweep.core.events import Stop, Wait
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Suggestion, TrialError, TrialState
from metta_sweep.errors import DefinitionChanged, InvalidName, OptimizerError, UnknownOption
from metta_sweep.optimizers import (
    GridOptimizer,
    Optimizer,
    Phase,
    Phases,
    PortfolioOptimizer,
    RandomOptimizer,
    SuggestionQueue,
    Supports,
)
from metta_sweep.schedulers import ASHAScheduler, Scheduler
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0)}


class Model(Optimizer):
    """Goes beside the best that it has been told of, and notes what that was."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.best = (float("-inf"), 0.5)
        self.made = 0

    def suggest(self, n: int) -> list[Suggestion]:
        """Each a little further from the best."""
        self.made += n
        return [Suggestion(params={"x": self.best[1] + (self.made - place) / 1e6}, origin="model") for place in range(n)]

    def observe(self, trial: Trial, result: Any) -> None:
        """Note it."""
        self.told.append(("observe", trial.origin))
        self.best = max(self.best, (float(result), float(trial.params["x"])))

    def failed(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("failed", trial.origin))

    def stopped(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("stopped", trial.origin))

    def reported(self, trial: Trial, report: Report) -> None:
        """Note it."""
        self.told.append(("reported", trial.origin))


async def score_x(trial: TrialContext) -> float:
    """The parameter, after one second."""
    await asyncio.sleep(1.0)
    return float(trial.params["x"])


def sweep(optimizer: Optimizer, **settings: Any) -> SweepExperiment:
    """A sweep of ``x`` with one slot and seed 0, in memory, unless said otherwise."""
    return SweepExperiment(
        **{
            "objective": score_x,
            "optimizer": optimizer,
            "search_space": SPACE,
            "slots": 1,
            "seed": 0,
            "store": "memory",
            **settings,
        }
    )


def run(experiment: SweepExperiment, budget: int | Budget | None = None) -> SweepResult:
    """Run it on a virtual clock."""
    return run_virtual(experiment.arun(budget))


def phases_of(result: SweepResult) -> list[str]:
    """The phase of each trial, in the order of picks."""
    return [str(trial.origin).split("/")[0] for trial in result.trials]


def waits(result: SweepResult) -> list[str]:
    """Why slots were idle, in order."""
    return [event.why for event in result.trace if isinstance(event, Wait)]


def fresh(*phases: Phase, **settings: Any) -> Phases:
    """For a run over ``x``."""
    return Phases(phases, **settings).for_run(Setup(SearchSpace.of(SPACE), Goal(), 0, 3))


def trials_of(suggestions: Sequence[Suggestion], first: int = 0) -> list[Trial]:
    """Suggestions as trials that run."""
    return [
        Trial(id=str(number), number=number, params=item.params, origin=item.origin, state=TrialState.RUNNING)
        for number, item in enumerate(suggestions, start=first)
    ]


# -- when a phase ends -------------------------------------------------------------------------------------------------------------


def test_the_next_phase_begins_after_the_trials_of_the_one_before() -> None:
    """And the last one goes on as long as the run does."""
    optimizer = Phases([Phase(RandomOptimizer(), trials=3), Phase(Model(), trials=2), Phase(GridOptimizer())])
    result = run(sweep(optimizer), 8)
    assert phases_of(result) == ["random"] * 3 + ["model"] * 2 + ["grid"] * 3
    assert [trial.origin for trial in result.trials][2:4] == ["random/random", "model/model"]
    assert waits(result) == []


def test_one_call_may_span_phases() -> None:
    """Where the next one waits for no result."""
    optimizer = fresh(Phase(RandomOptimizer(), trials=2), Phase(Model()))
    assert [str(item.origin).split("/")[0] for item in optimizer.suggest(5, pending=[])] == ["random"] * 2 + ["model"] * 3
    assert optimizer.phase == "model"


def test_a_phase_waits_for_results() -> None:
    """Slots stay idle meanwhile, for a reason in words; it begins when the first of its results are there."""
    seconds = [1.0, 2.0, 3.0, 4.0]

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(seconds[trial.number] if trial.number < 4 else 1.0)
        return float(trial.params["x"])

    optimizer = Phases([Phase(RandomOptimizer(), trials=4, min_observed=2), Phase(Model())])
    result = run(sweep(optimizer, objective=objective, slots=4), 8)
    assert phases_of(result) == ["random"] * 4 + ["model"] * 4
    assert waits(result)[0] == "the phase 'model' needs 2 results, has 1"
    model = result.optimizer.optimizers["model"]  # type: ignore[attr-defined]
    assert model.told[:2] == [("observe", "/random/random")] * 2


def test_what_is_in_flight_of_a_phase_is_bounded() -> None:
    """Never more than ``max_parallel`` at once, with the reason of the idle slots."""
    running: list[int] = []
    now = 0

    async def objective(trial: TrialContext) -> float:
        nonlocal now
        now += 1
        running.append(now)
        await asyncio.sleep(1.0 + trial.number % 3)
        now -= 1
        return float(trial.params["x"])

    optimizer = Phases([Phase(RandomOptimizer(), trials=5, max_parallel=4), Phase(Model(), max_parallel=2)])
    result = run(sweep(optimizer, objective=objective, slots=8), 14)
    assert max(running[:4]) == 4
    assert phases_of(result) == ["random"] * 5 + ["model"] * 9
    assert "the phase 'random' runs at most 4 at once" in waits(result)
    assert "the phase 'model' runs at most 2 at once" in waits(result)
    assert max(running[8:]) == 2


def test_asked_for_more_than_may_run_it_gives_as_many_as_may() -> None:
    """Also when the phase gives them in one call, and whatever else is pending."""
    optimizer = fresh(Phase(RandomOptimizer(), max_parallel=3))
    first = trials_of(optimizer.suggest(2, pending=[]))
    assert len(optimizer.suggest(9, pending=first)) == 1
    assert optimizer.waiting_for == "the phase 'random' runs at most 3 at once"
    assert len(optimizer.suggest(9, pending=first[:1])) == 2


def test_who_tells_of_no_pending_trials_is_taken_to_run_them_all() -> None:
    """Asked and told by hand, what has no result yet is in flight."""
    optimizer = fresh(Phase(RandomOptimizer(), trials=3, min_observed=2, max_parallel=2), Phase(Model()))
    trials = trials_of(optimizer.suggest(5))
    assert len(trials) == 2
    assert optimizer.suggest(1) == []
    optimizer.observe(trials[0], 1.0)
    (third,) = trials_of(optimizer.suggest(5))
    assert optimizer.suggest(5) == []
    assert optimizer.waiting_for == "the phase 'model' needs 2 results, has 1"
    optimizer.observe(third, 1.0)
    assert len(optimizer.suggest(5)) == 5


@pytest.mark.parametrize("min_observed", [0, 4])
def test_failed_trials_are_made_up_for(min_observed: int) -> None:
    """A phase has as many trials as it should that did not fail, whether the next one waits for results or not."""

    def objective(trial: TrialContext) -> float:
        if trial.number in (1, 3):
            raise ValueError("no")
        return float(trial.params["x"])

    optimizer = Phases([Phase(RandomOptimizer(), trials=4, min_observed=min_observed), Phase(Model())])
    result = run(sweep(optimizer, objective=objective), 8)
    assert phases_of(result) == ["random"] * 6 + ["model"] * 2
    assert result.optimizer.optimizers["model"].told.count(("failed", "/random/random")) == 2  # type: ignore[attr-defined]


def test_stopped_trials_are_results() -> None:
    """A phase that only sees trials stopped by a verdict comes to its end."""

    class StopsAll(Scheduler):
        def should_stop(self, trial: Trial) -> bool:
            return True

    async def objective(trial: TrialContext) -> Any:
        yield 0.5
        yield 0.6

    optimizer = Phases([Phase(RandomOptimizer(), trials=2, min_observed=2), Phase(Model())])
    result = run(sweep(optimizer, objective=objective, scheduler=StopsAll()), 4)
    assert phases_of(result) == ["random"] * 2 + ["model"] * 2
    assert result.optimizer.optimizers["model"].told == [("reported", "model"), ("stopped", "model")] * 2  # type: ignore[attr-defined]


def test_a_phase_makes_up_for_trials_that_a_deadline_cut() -> None:
    """They will never have a result, so that waiting for them would be for ever."""
    store = MemoryStore()

    def plan() -> SweepExperiment:
        optimizer = Phases([Phase(RandomOptimizer(), trials=3, min_observed=3), Phase(Model())])
        return sweep(optimizer, name="it", store=store, slots=3, grace=0.0)

    cut = run(plan(), Budget(trials=20, seconds=0.5))
    assert [trial.state for trial in cut.trials] == [TrialState.STOPPED] * 3
    result = run(plan(), Budget(trials=8, seconds=100.0))
    assert phases_of(result) == ["random"] * 6 + ["model"] * 2
    assert result.stop_reason is StopReason.BUDGET_TRIALS


async def three_epochs(trial: TrialContext) -> float:
    """The parameter, reported after each of three seconds."""
    for epoch in range(trial.resume_step or 0, 3):
        await asyncio.sleep(1.0)
        trial.report(epoch + 1, trial.params["x"])
        if trial.should_stop:
            break
    return float(trial.params["x"])


def test_paused_trials_hold_nothing_up() -> None:
    """They may never go on: a phase makes up for the results that it misses, and adds trials beside them."""
    optimizer = Phases(
        [Phase(RandomOptimizer(), trials=5, min_observed=3, max_parallel=5), Phase(RandomOptimizer(), max_parallel=2)]
    )
    scheduler = ASHAScheduler(max_epochs=3, grace_period=1)
    result = run(sweep(optimizer, slots=2, objective=three_epochs, scheduler=scheduler), 40)
    assert (len(result.trials), result.stop_reason) == (40, StopReason.BUDGET_TRIALS)
    assert 5 < phases_of(result).count("random") < 30
    paused = [trial for trial in result.trials if trial.state is TrialState.PAUSED and trial.origin == "random-2/random"]
    assert len(paused) > 2


def test_a_phase_whose_optimizer_has_no_more_is_over() -> None:
    """The next one begins, although fewer trials were suggested than the phase may have."""
    queue = SuggestionQueue([{"x": 0.1}, {"x": 0.2}])
    assert phases_of(run(sweep(Phases([Phase(queue, trials=9), Phase(Model())])), 4)) == ["suggestionqueue"] * 2 + ["model"] * 2


def test_the_last_phase_may_end_the_run() -> None:
    """With ``trials``, all that it suggests is run, whatever the default budget; and then the run is over."""
    optimizer = Phases([Phase(RandomOptimizer(), trials=100), Phase(Model(), trials=7)])
    result = run(sweep(optimizer, slots=5))
    assert len(result.trials) == 107
    assert result.stop_reason is StopReason.OPTIMIZER_EXHAUSTED
    last = result.trace[-1]
    assert isinstance(last, Stop)
    assert last.detail == "nothing is left to suggest"


def test_a_phase_that_always_fails_ends_by_the_failure_rate() -> None:
    """It does not go on for ever."""

    def objective(x: float) -> float:
        raise ValueError("no")

    optimizer = Phases([Phase(RandomOptimizer(), trials=3, min_observed=1), Phase(Model())])
    result = run(sweep(optimizer, objective=objective, failures=FailurePolicy(min_failed=6)), 50)
    assert result.stop_reason is StopReason.FAILURE_RATE
    assert phases_of(result) == ["random"] * 6


def test_a_finite_space_is_searched_once() -> None:
    """Whichever phase has a point."""
    space = {"a": Choice([1, 2, 3]), "b": Choice(["x", "y"])}
    optimizer = Phases([Phase(RandomOptimizer(), trials=4), Phase(GridOptimizer())])
    result = run(sweep(optimizer, search_space=space, objective=lambda a, b: float(a)))
    assert len({str(trial.params) for trial in result.trials}) == len(result.trials) == 6
    assert result.stop_reason is StopReason.OPTIMIZER_EXHAUSTED
    again = Phases([Phase(RandomOptimizer(), trials=40)], duplicates=True)
    assert len(run(sweep(again, search_space=space, objective=lambda a, b: float(a))).trials) == 40


# -- what is known -----------------------------------------------------------------------------------------------------------------


def test_every_phase_is_told_of_all_trials() -> None:
    """A model begins with what the phases before it have found; reports go to the phase of the trial only."""
    first, second = Model(), Model()
    optimizer = fresh(Phase(first, trials=2, name="a"), Phase(second, name="b"))
    made = trials_of(optimizer.suggest(3, pending=[]))
    for trial in made[:2]:
        optimizer.reported(trial, Report(1, {"score": 0.3}))
        optimizer.observe(trial, 0.3)
    optimizer.failed(Trial(id="2", number=2, params={"x": 0.1}, origin=made[2].origin, error=TrialError("E", "no", "")))
    told = {name: model.told for name, model in optimizer.optimizers.items() if isinstance(model, Model)}
    assert told["a"] == [("reported", "model"), ("observe", "model")] * 2 + [("failed", "/b/model")]
    assert told["b"] == [("observe", "/a/model")] * 2 + [("failed", "model")]
    assert first.told == second.told == []


def test_the_phase_is_shown_while_the_run_goes_on() -> None:
    """As the origin of the last pick."""

    async def phases() -> list[str | None]:
        optimizer = Phases([Phase(RandomOptimizer(), trials=2, name="explore"), Phase(Model())])
        return [update.phase async for update in sweep(optimizer).stream(3)]

    assert run_virtual(phases())[:3] == ["explore/random", "explore/random", "model/model"]


def test_trials_of_earlier_experiments_count_for_no_phase() -> None:
    """They are told to all, and the first phase begins all the same."""
    optimizer = fresh(Phase(RandomOptimizer(), trials=2, min_observed=1, name="a"), Phase(Model()))
    earlier = [
        Trial(id=str(number), number=number, params={"x": 0.25}, origin="a/random", score=1.0, state=TrialState.COMPLETED)
        for number in range(5)
    ]
    optimizer.warm_start(earlier)
    made = trials_of(optimizer.suggest(9, pending=[]))
    assert len(made) == 2
    assert optimizer.suggest(1, pending=made) == []
    optimizer.observe(made[0], 0.1)
    (next_one,) = optimizer.suggest(1, pending=made[1:])
    assert next_one.params["x"] == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("slots", [1, 3])
def test_a_run_that_goes_on_is_in_the_phase_that_it_was_in(slots: int) -> None:
    """Taken up again after every trial, it has the trials of one that did not stop."""

    def plan(**settings: Any) -> SweepExperiment:
        inner = PortfolioOptimizer({"model": Model(), "random": RandomOptimizer()})
        phases = [
            Phase(GridOptimizer(order="shuffled"), trials=4, min_observed=2),
            Phase(inner, trials=5, max_parallel=2, name="mixed"),
        ]
        return sweep(Phases([*phases, Phase(Model())]), slots=slots, **settings)

    def decided(result: SweepResult) -> list[tuple[Any, ...]]:
        return [(trial.id, trial.origin, trial.params, trial.score) for trial in result.trials]

    store = MemoryStore()
    result = run(plan(name="it", store=store), 1)
    for budget in range(2, 16):
        result = run(plan(name="it", store=store), budget)
    assert phases_of(result)[:4] == ["grid"] * 4
    if slots == 1:
        assert decided(result) == decided(run(plan(), 15))
    assert phases_of(result) == ["grid"] * 4 + ["mixed"] * 5 + ["model"] * 6


def test_other_phases_are_another_experiment() -> None:
    """Their optimizers, order and settings are part of a kept run's definition."""
    store = MemoryStore()

    def kept(*phases: Phase) -> None:
        run(sweep(Phases(phases), name="it", store=store), 1)

    kept(Phase(RandomOptimizer(), trials=3), Phase(GridOptimizer()))
    kept(Phase(RandomOptimizer(), trials=3), Phase(GridOptimizer()))
    others = [
        (Phase(RandomOptimizer(), trials=4), Phase(GridOptimizer())),
        (Phase(RandomOptimizer(), trials=3, min_observed=1), Phase(GridOptimizer())),
        (Phase(RandomOptimizer(), trials=3), Phase(GridOptimizer(), max_parallel=2)),
        (Phase(RandomOptimizer(), trials=3), Phase(GridOptimizer(resolution=4))),
        (Phase(RandomOptimizer(), trials=3, name="first"), Phase(GridOptimizer())),
    ]
    for phases in others:
        with pytest.raises(DefinitionChanged, match="optimizer"):
            kept(*phases)


# -- what is refused ---------------------------------------------------------------------------------------------------------------


def test_phases_without_names_are_called_after_their_optimizers() -> None:
    """With a number where that is taken."""
    optimizer = Phases(
        [
            Phase(RandomOptimizer(), trials=1),
            Phase(RandomOptimizer(), trials=1),
            Phase(Model(), name="random-3", trials=1),
            Phase(RandomOptimizer()),
        ]
    )
    assert list(optimizer.optimizers) == ["random", "random-2", "random-3", "random-4"]


def test_they_support_what_all_of_them_do() -> None:
    """And are slow when one of them is."""

    class Narrow(Model):
        supports = Supports(integers=False, most_parameters=2)
        slow = True

    optimizer = Phases([Phase(RandomOptimizer(), trials=1), Phase(Narrow())])
    assert optimizer.supports == Supports(integers=False, most_parameters=2)
    assert optimizer.slow


def test_a_search_space_of_one_of_them_is_that_of_all() -> None:
    """So that the sweep needs none."""
    optimizer = Phases([Phase(RandomOptimizer(SPACE), trials=2), Phase(GridOptimizer())])
    assert len(run(sweep(optimizer, search_space=None), 4).trials) == 4


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Phases([]), OptimizerError, "it has no phases"),
        (lambda: Phases(Phase(RandomOptimizer())), OptimizerError, r"no list of phases.*Write Phases\(\["),  # type: ignore[arg-type]
        (lambda: Phases([RandomOptimizer()]), OptimizerError, r"Phases\[0\]: .* is no phase.*Write Phase\(optimizer"),  # type: ignore[list-item]
        (
            lambda: Phases([Phase(RandomOptimizer()), Phase(RandomOptimizer())]),
            OptimizerError,
            r"Phases\[0\]\.trials: a phase without an end is followed by another",
        ),
        (
            lambda: Phases([Phase(RandomOptimizer(), 2, name="a"), Phase(RandomOptimizer(), name="a")]),
            OptimizerError,
            "two phases are called 'a'",
        ),
        (lambda: Phases([Phase(RandomOptimizer())], seed=1.5), OptimizerError, r"Phases\(seed=\)"),  # type: ignore[arg-type]
        (lambda: Phases([Phase(RandomOptimizer())], duplicates=1), OptimizerError, r"Phases\(duplicates=\)"),  # type: ignore[arg-type]
        (lambda: Phases([Phase(RandomOptimizer())], space=SPACE), UnknownOption, "search_space"),  # type: ignore[arg-type]
        (
            lambda: Phases([Phase(RandomOptimizer(SPACE), 2), Phase(RandomOptimizer({"y": Uniform(0, 1)}))]),
            OptimizerError,
            "'random' and 'random-2' have different search spaces",
        ),
        (lambda: Phase(RandomOptimizer), OptimizerError, r"a class is no optimizer.*Write RandomOptimizer\(\)"),  # type: ignore[arg-type]
        (lambda: Phase(RandomOptimizer(), trials=0), OptimizerError, r"Phase\(trials=\): it is below 1.*Write trials=5"),
        (lambda: Phase(RandomOptimizer(), trials=5, min_observed=-1), OptimizerError, r"Phase\(min_observed=\)"),
        (lambda: Phase(RandomOptimizer(), max_parallel=0), OptimizerError, r"Phase\(max_parallel=\)"),
        (lambda: Phase(RandomOptimizer(), trials=2.0), OptimizerError, r"Phase\(trials=\): a float is not a whole number"),  # type: ignore[arg-type]
        (lambda: Phase(RandomOptimizer(), trials=2, min_observed=3), OptimizerError, "would never begin.*at most trials=2"),
        (lambda: Phase(RandomOptimizer(), min_observed=3), OptimizerError, "no phase follows one without an end"),
        (lambda: Phase(RandomOptimizer(), num_trials=5), UnknownOption, "Phase: .*Did you mean 'trials'"),  # type: ignore[call-arg]
        (lambda: Phase(RandomOptimizer(), 5, max_parallelism=5), UnknownOption, "Did you mean 'max_parallel'"),  # type: ignore[call-arg]
        (lambda: Phase(RandomOptimizer(), 5, min_trials_observed=3), UnknownOption, "Did you mean 'min_observed'"),  # type: ignore[call-arg]
        (lambda: Phase(RandomOptimizer(), name="a/b"), InvalidName, "which has a meaning in addresses"),
    ],
)
def test_malformed_phases_are_refused(make: Any, error: type[Exception], text: str) -> None:
    """When they are made, with what was found and what to write."""
    with pytest.raises(error, match=text):
        make()
