"""Meta-experiments: each trial runs a copy of the base with the suggested settings."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from meta_kit import SPACE, base, meta, run, worth

from metta_sweep import (
    Budget,
    Choice,
    Experiment,
    FailurePolicy,
    HybridExperiment,
    Integer,
    LocalExecutor,
    MemoryStore,
    MetaExperiment,
    Optimizer,
    OptimizerOptimizer,
    Pipeline,
    Suggestion,
    SweepExperiment,
    SweepResult,
    TrialContext,
    TrialState,
    Uniform,
    Variants,
)
from metta_sweep.errors import BudgetError, DefinitionChanged, ObjectiveError
from metta_sweep.experiments.codec import decode_trial
from metta_sweep.experiments.meta.origin import definition_of
from metta_sweep.experiments.meta.scores import RESULT_NAMES
from metta_sweep.optimizers import EvolutionOptimizer, RandomOptimizer, SobolOptimizer, SuggestionQueue
from metta_sweep.schedulers import ASHAScheduler, FIFOScheduler, IterationScheduler, PBTScheduler

C = {"scheduler.c": Uniform(0.0, 4.0)}


class Noting(Optimizer):
    """Suggests the same point again and again, and notes with which setting."""

    asked: list[float] = []  # noqa: RUF012  # of the test

    def __init__(self, x: float = 0.5) -> None:
        self.x = x

    def suggest(self, n: int) -> list[Suggestion]:
        """Its point."""
        self.asked.append(self.x)
        return [Suggestion(params={"x": self.x, "arm": "b"})] * n


def test_each_trial_runs_a_copy_with_the_suggested_settings() -> None:
    """As a child of its own, scored by its best trial; the base is never run or changed."""
    Noting.asked.clear()
    original = base(optimizer=Noting(), scheduler=None)
    result = run(meta(base=original, search_space={"optimizer.x": Uniform(0.0, 1.0)}), 3)
    values = [trial.params["optimizer.x"] for trial in result.trials]
    assert sorted(set(Noting.asked)) == sorted(values)
    assert [trial.score for trial in result.trials] == [(1 - (x - 0.3) ** 2) * 0.8 for x in values]
    assert result.best_params == {"optimizer.x": min(values, key=lambda x: abs(x - 0.3))}
    assert isinstance(original.optimizer, Noting)
    assert original.optimizer.x == 0.5


def test_children_are_kept_where_the_experiment_is() -> None:
    """Under its name and their addresses, with the budget that each was given."""
    store = MemoryStore()
    result = run(meta(name="tuned", search_space=C, store=store), 2)
    names = [row.name for row in store.runs()]
    assert names == ["tuned", "tuned/trial[0]>SweepExperiment", "tuned/trial[1]>SweepExperiment"]
    assert [trial.metadata["run"] for trial in result.trials] == names[1:]
    assert [len(list(store.trial_rows(row.run_id))) for row in store.runs()] == [2, 5, 5]


def test_running_it_again_returns_at_once_and_more_adds_trials() -> None:
    """It is a sweep, kept as sweeps are."""
    store = MemoryStore()
    first = run(meta(name="tuned", search_space=C, store=store), 2)
    again = run(meta(name="tuned", search_space=C, store=store), 2)
    assert (again.added, [trial.score for trial in again.trials]) == (0, [trial.score for trial in first.trials])
    assert run(meta(name="tuned", search_space=C, store=store), more=1).added == 1


def test_the_base_is_part_of_the_definition() -> None:
    """Another base under the same name is refused, and the difference shown."""
    store = MemoryStore()
    run(meta(name="tuned", search_space=C, store=store), 1)
    with pytest.raises(DefinitionChanged, match=r"base\.scheduler\.prune_floor: kept 0\.2, given 0\.1"):
        run(
            meta(
                name="tuned", search_space=C, store=store, base=base(scheduler=IterationScheduler(branch_by="arm", prune_floor=0.1))
            )
        )
    with pytest.raises(DefinitionChanged, match=r"base_budget\.trials: kept 5, given 6"):
        run(meta(name="tuned", search_space=C, store=store, base_budget=6))


def test_settings_that_a_class_adds_are_part_of_the_definition() -> None:
    """Of sweeps and of pipelines."""
    store = MemoryStore()
    space = {"failures.retries": Integer(0, 2)}
    run(meta(name="tuned", base=Shifted(1.0), search_space=space, store=store), 1)
    with pytest.raises(DefinitionChanged, match=r"base\.settings\.shift: kept 1\.0, given 2\.0"):
        run(meta(name="tuned", base=Shifted(2.0), search_space=space, store=store), 2)


def test_data_that_a_class_is_given_is_told_by_its_digest() -> None:
    """However much of it there is."""
    few, many = (definition_of(Trained(rows=[1.0] * count))["settings"]["rows"] for count in (3, 10_000))
    assert few == [1.0, 1.0, 1.0]
    assert list(many) == ["digest"]


# -- what copies are made of -------------------------------------------------------------------------------------------------------


def test_a_template_gets_its_objective_here() -> None:
    """A sweep without one is filled in by the experiment around it."""
    template = SweepExperiment(search_space=SPACE, scheduler=IterationScheduler(branch_by="arm"), slots=1)
    assert run(meta(base=template, objective=worth, search_space=C), 2).best is not None


def test_without_an_objective_it_is_a_template_itself() -> None:
    """It can be made, and says what is missing when it is run."""
    template = SweepExperiment(search_space=SPACE, slots=1)
    made = meta(base=template, search_space={"slots": Integer(1, 2)})
    with pytest.raises(ObjectiveError, match=r"SweepExperiment, the base, has no objective.*MetaExperiment\(objective=train"):
        run(made, 1)


def test_a_meta_experiment_is_a_base_too() -> None:
    """Three levels: the outer one sets something of the innermost, which gets its objective from the outermost."""
    template = SweepExperiment(search_space=SPACE, scheduler=IterationScheduler(branch_by="arm"), slots=1)
    inner = MetaExperiment(base=template, search_space=C, base_budget=2, slots=1)
    store = MemoryStore()
    outer = meta(
        name="outer",
        base=inner,
        objective=worth,
        search_space={"base.scheduler.prune_floor": Uniform(0.0, 0.3), "base_budget.trials": Integer(2, 3)},
        base_budget=2,
        store=store,
    )
    result = run(outer, 2)
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED] * 2
    assert "outer/trial[1]>MetaExperiment/trial[0]>SweepExperiment" in [row.name for row in store.runs()]


class Arms(SweepExperiment):
    """A sweep whose class says everything but how often it tries."""

    search_space = SPACE
    slots = 1

    async def objective(self, x: float, arm: str) -> float:
        """Best at x = 0.3."""
        return await worth(x, arm)


def sweep_of(power: float, trial_slots: int = 1) -> SweepExperiment:
    """A factory."""

    async def objective(x: float) -> float:
        return float(x**power)

    return SweepExperiment(objective=objective, search_space={"x": Uniform(0.0, 1.0)}, slots=trial_slots)


@pytest.mark.parametrize(
    ("maker", "objective", "space"),
    [
        (Arms, None, {"optimizer": Variants(random=RandomOptimizer(), sobol=SobolOptimizer())}),
        (
            Arms,
            None,
            {"slots": Integer(1, 3), "scheduler": Variants(first=FIFOScheduler(), ucb=IterationScheduler(branch_by="arm"))},
        ),
        (partial(SweepExperiment, search_space=SPACE), worth, {"slots": Integer(1, 2)}),
        (sweep_of, None, {"power": Uniform(1.0, 2.0)}),
        (sweep_of, None, {"power": Choice([1, 2]), "trial_slots": Integer(1, 2), "optimizer": Variants(r=RandomOptimizer())}),
        (partial(sweep_of, power=2.0), None, {"failures.retries": Integer(0, 2)}),
    ],
)
def test_classes_and_factories_are_called_with_the_parameters(maker: Any, objective: Any, space: Any) -> None:
    """Those that they take by name; what has a dot, or is a setting of what they return, is set in that."""
    result = run(meta(base=maker, objective=objective, search_space=space), 3)
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED] * 3


def test_a_method_of_a_subclass_may_make_the_base() -> None:
    """Any option may be an attribute of the class."""

    class Tuned(MetaExperiment):
        """Tunes a power."""

        base_budget = 3
        search_space = {"power": Uniform(0.5, 2.0)}  # noqa: RUF012  # of the class

        def base(self, power: float) -> SweepExperiment:
            """The sweep of one power."""
            return sweep_of(power)

        def score(self, result: SweepResult) -> float:
            """Half of it."""
            return (result.best_score or 0.0) / 2

    assert 0 < (run(Tuned(slots=1, store="memory"), 2).best_score or 0) < 0.5


def test_copies_side_by_side_have_executors_of_their_own() -> None:
    """Though their base was given one, which serves one run at a time."""
    made = meta(base=base(executor=LocalExecutor(slots=2), slots=2), search_space=C, slots=3)
    result = run(made, 6)
    assert [trial.error for trial in result.trials] == [None] * 6


class Holds(Experiment):
    """Runs a sweep that it was given."""

    def __init__(self, sweep: Any = None, times: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.sweep, self.times = sweep, times

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline().stage("search", self.sweep, budget=2).through(best_score=float)


TWO_AT_ONCE = {"executor": Variants(two=LocalExecutor(slots=2))}


@pytest.mark.parametrize(
    "settings",
    [
        {"base": base(slots=2), "search_space": TWO_AT_ONCE},
        {"base": partial(base, slots=2), "search_space": TWO_AT_ONCE},
        {"base": Holds(base(executor=LocalExecutor())), "search_space": {"times": Integer(1, 5)}, "base_budget": None},
        {
            "base": Holds(base()),
            "search_space": {"sweep": Variants(two=base(executor=LocalExecutor(slots=2), slots=2))},
            "base_budget": None,
        },
    ],
)
def test_executors_that_are_searched_or_deeper_are_not_shared(settings: dict[str, Any]) -> None:
    """Each copy has one of its own, wherever it is held."""
    result = run(meta(**settings, slots=3), 6)
    assert [trial.error for trial in result.trials] == [None] * 6


async def slow(x: float, arm: str) -> float:
    """Takes a second."""
    await asyncio.sleep(1.0)
    return await worth(x, arm)


def test_a_copy_that_is_cut_at_the_deadline_has_no_score() -> None:
    """Half of what it was to do is not what its settings are worth; the trial was stopped, and goes on with more time."""
    store = MemoryStore()
    first = run(meta(name="m", base=base(objective=slow), search_space=C, store=store), Budget(trials=3, seconds=12.0))
    assert [trial.state for trial in first.trials] == [TrialState.COMPLETED, TrialState.COMPLETED, TrialState.STOPPED]
    assert first.trials[2].score is None
    assert first.stop_reason == "budget_time"


class Trained(Experiment):
    """Is given data."""

    def __init__(self, rows: list[float]) -> None:
        super().__init__()
        self.rows = rows


class Shifted(SweepExperiment):
    """A sweep whose constructor takes something of its own, and says the rest itself."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__(search_space=SPACE, optimizer=EvolutionOptimizer(population_size=4), slots=1)
        self.shift = shift

    async def objective(self, x: float, arm: str) -> float:
        """Moved, and scaled by what was set later."""
        return (await worth(x, arm) + self.shift) * getattr(self, "factor", 1.0)


@pytest.mark.parametrize("steps", [{}, {"optimizer": PBTScheduler(population_size=2, num_generations=2)}])
def test_a_class_with_a_constructor_of_its_own(steps: dict[str, Any]) -> None:
    """Its own settings go to its constructor; those that it keeps to itself are set all the same, and what was set later stays."""
    original = Shifted()
    vars(original)["factor"] = 10.0
    space = {"shift": Uniform(1.0, 2.0), "optimizer.mutation_scale": Uniform(0.1, 1.0), "failures.retries": Integer(0, 2)}
    result = run(meta(base=original, search_space=space, **steps), 2)
    assert [trial.error for trial in result.trials] == [None, None]
    assert min(trial.score or 0.0 for trial in result.trials) > 10.0


# -- seeds -------------------------------------------------------------------------------------------------------------------------


def first_points(store: MemoryStore) -> list[float]:
    """The first point of each child."""
    children = [row for row in store.runs() if row.name is not None and "/" in row.name]
    return [decode_trial(next(iter(store.trial_rows(row.run_id)))).params["x"] for row in children]


def test_each_copy_has_its_own_seed_unless_they_are_paired() -> None:
    """Paired ones differ by what is searched alone; so do those of a base with a seed."""
    space = {"failures.retries": Integer(0, 2)}
    plain = {"scheduler": None}
    apart, paired, fixed = MemoryStore(), MemoryStore(), MemoryStore()
    run(meta(name="m", base=base(**plain), search_space=space, store=apart), 3)
    run(meta(name="m", base=base(**plain), search_space=space, store=paired, paired=True), 3)
    run(meta(name="m", base=base(seed=3, **plain), search_space=space, store=fixed), 3)
    assert len(set(first_points(apart))) == 3
    assert len(set(first_points(paired))) == len(set(first_points(fixed))) == 1


# -- scores ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "metrics"),
    [
        ("spend.trials", {"score": 5.0}),
        (lambda result: len(result.trials), {"score": 5.0}),
        (lambda result: {"trials": len(result.trials)}, {"trials": 5.0}),
        (lambda result: (2.0, 0.5), {"score": (2.0, 0.5)}),
    ],
)
def test_scores_are_attributes_or_functions_of_the_result(score: Any, metrics: dict[str, Any]) -> None:
    """A metric, one with its standard error, or a mapping of metrics."""
    assert run(meta(search_space=C, score=score), 1).trials[0].metrics == metrics


async def test_a_score_may_take_its_time() -> None:
    """A coroutine function is awaited."""

    async def later(result: SweepResult) -> float:
        return float(len(result.trials))

    assert (await meta(search_space=C, score=later).arun(1)).best_score == 5.0


def test_the_goal_of_the_best_score_is_that_of_the_base() -> None:
    """Unless it is given, or another score is asked for."""
    assert meta(search_space=C).goal.direction == "maximize"
    down = base(goal="minimize", scheduler=IterationScheduler(branch_by="arm"))
    assert meta(base=down, search_space=C).goal.direction == "minimize"
    assert meta(base=down, search_space=C, goal="maximize").goal.direction == "maximize"
    assert meta(base=down, search_space=C, score="best.score").goal.direction == "minimize"
    assert meta(base=down, search_space=C, score="spend.seconds").goal.direction == "maximize"


def test_pipelines_of_one_objective_have_a_goal_of_their_own() -> None:
    """That of their best score is by default the goal here, too."""
    problem: dict[str, Any] = {"objective": worth, "search_space": SPACE, "goal": "minimize"}
    hybrid = HybridExperiment(**problem, explore=2, model=0, refine=(2, 0), validate=1)
    assert MetaExperiment(base=hybrid, search_space={"explore": Integer(1, 3)}).goal.direction == "minimize"
    rounds = OptimizerOptimizer(**problem, rounds=1, budget=2)
    made = MetaExperiment(base=rounds, search_space={"repeats": Integer(1, 3)}, score="best_performance")
    assert made.goal.direction == "minimize"


def test_what_can_give_no_score_is_refused_when_it_is_made() -> None:
    """A method of results, and copies that run nothing."""
    with pytest.raises(ObjectiveError, match="the results of SweepExperiment have no 'to_dict'"):
        meta(search_space=C, score="to_dict")
    with pytest.raises(BudgetError, match=r"base_budget=\): copies that run nothing have no score"):
        meta(search_space=C, base_budget=0)


def test_the_names_of_scores_are_those_of_results() -> None:
    """What is offered in messages is there."""
    result = run(base(store="memory"), 2)
    assert [name for name in RESULT_NAMES if not hasattr(result, name)] == []


# -- children that go wrong --------------------------------------------------------------------------------------------------------


async def broken(trial: TrialContext) -> float:
    """Never works."""
    raise ValueError("no data")


def test_a_child_without_a_completed_trial_fails_its_trial() -> None:
    """The error says why there is no score."""
    policy = FailurePolicy(tolerated_rate=1.0)
    made = meta(base=base(objective=broken, failures=policy), search_space=C, failures=policy)
    error = run(made, 1).trials[0].error
    assert error is not None
    assert error.type.endswith("MetricError")
    assert error.message == (
        "the score of trial[0]: best_score is None, since none of its trials completed (5 failed). "
        "The first error was ValueError: no data."
    )


def test_a_child_that_stopped_for_a_bad_reason_fails_its_trial() -> None:
    """As ``raise_for_stop`` says, though it may have a best trial."""
    made = meta(base=base(objective=broken), search_space=C, base_budget=20, failures=FailurePolicy(tolerated_rate=1.0))
    error = run(made, 1).trials[0].error
    assert error is not None
    assert error.type.endswith("FailureRateExceeded")


def test_a_score_that_fails_fails_its_trial() -> None:
    """An error of the user's function is data, as that of any trial function; so is a name within the score that is none."""
    policy = FailurePolicy(tolerated_rate=1.0)
    error = run(meta(search_space=C, score=lambda result: 1 / 0, failures=policy), 1).trials[0].error
    assert error is not None
    assert error.type == "ZeroDivisionError"
    error = run(meta(search_space=C, score="spend.trails", failures=policy), 1).trials[0].error
    assert error is not None
    assert (
        error.message
        == "the score of trial[0]: Spend has no 'trails'; it has cost, count, index, seconds, trials. Did you mean 'trials'?"
    )


def test_settings_that_are_refused_together_fail_their_trial() -> None:
    """Each may be set by itself, so that it shows in the trial only; the error is that of the constructor."""
    made = meta(
        base=SweepExperiment(objective=worth, search_space=SPACE, scheduler=ASHAScheduler(max_epochs=10, grace_period=1), slots=1),
        search_space={"scheduler.max_epochs": Integer(2, 20), "scheduler.grace_period": Integer(1, 20)},
        optimizer=SuggestionQueue([{"scheduler.max_epochs": 2, "scheduler.grace_period": 20}]),
        failures=FailurePolicy(tolerated_rate=1.0),
    )
    error = run(made).trials[0].error
    assert error is not None
    assert error.type.endswith("SchedulerError")
    assert "grace_period" in error.message


def test_budgets_of_copies_may_be_searched() -> None:
    """Each cap by its path, beside those that all have."""
    made = meta(search_space={"budget.trials": Integer(1, 4)}, base_budget=Budget(seconds=60), score="spend.trials")
    result = run(made, 3)
    assert [trial.score for trial in result.trials] == [trial.params["budget.trials"] for trial in result.trials]


def test_changed_code_of_a_score_or_variant_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Scores of two kinds are not compared in silence: whoever changes the function of the score is told."""
    store = MemoryStore()

    def made(by: Any) -> MetaExperiment:
        base = SweepExperiment(objective=lambda x: x, search_space={"x": Uniform(0, 1)})
        return MetaExperiment(base=base, search_space={"slots": Integer(1, 3)}, score=by, base_budget=2, name="m", store=store)

    def score(offset: float) -> Any:
        def moved(result: Any) -> float:
            return offset + float(result.best_score)

        return moved

    made(score(1.0)).run(budget=1)
    made(score(1.0)).run(budget=2)
    assert "has changed" not in caplog.text
    made(score(100.0)).run(budget=3)
    assert "has changed since it was last run" in caplog.text
