"""Experiments as trial functions: classes, experiments with inputs, functions that return either, and what they count as."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from metta_sweep import Experiment, MemoryStore, Pipeline, SweepExperiment, Uniform
from metta_sweep.core.budget import Budget
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import MetricError, ObjectiveError
from metta_sweep.experiments.result import SweepResult
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue

SPACE = {"rate": Uniform(0.0, 2.0)}


def queue(*rates: float) -> SuggestionQueue:
    """These rates, in this order."""
    return SuggestionQueue([{"rate": rate} for rate in rates])


class Tuned(SweepExperiment):
    """How near three fixed points come to ``rate``."""

    optimizer = SuggestionQueue([{"x": 0.0}, {"x": 1.0}, {"x": 2.0}])

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate

    def objective(self, x: float) -> float:
        """The distance, negated."""
        return -abs(x - self.rate)


class Trained(Experiment):
    """A pipeline with an input and two numbers, the last of which is its output."""

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return (
            Pipeline(rate=float)
            .stage("train", lambda rate: 1.0 - rate)
            .through(accuracy=float)
            .stage("measure", lambda accuracy: {"gain": accuracy * 10.0, "notes": "fine", "passed": True})
            .through(gain=float, notes=str, passed=bool)
        )


class Mute(Experiment):
    """A pipeline whose output is no number."""

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return Pipeline(rate=float).stage("name", lambda rate: f"{rate}").through(text=str)


def sweep(objective: Any, *rates: float, **options: Any) -> SweepExperiment:
    """One trial for each rate, one after another."""
    return SweepExperiment(objective=objective, search_space=SPACE, optimizer=queue(*rates), slots=1, **options)


def only(results: SweepResult) -> Trial:
    """The one trial."""
    (trial,) = results.trials
    return trial


def test_a_class_of_sweeps_gets_the_parameters_and_counts_as_its_best_score() -> None:
    """Each trial makes one of the class and runs it; the score is that of its best trial."""
    results = sweep(Tuned, 0.25, 1.5).run()
    assert [trial.score for trial in results.trials] == [-0.25, -0.5]


def test_a_partial_of_a_class_has_some_of_its_options_already() -> None:
    """``partial(SweepExperiment, search_space=...)`` is a trial function of the other options; a search may be of one of them."""
    assert only(sweep(partial(Tuned, slots=1), 0.25).run()).score == -0.25
    base = partial(SweepExperiment, objective=lambda x: x, search_space={"x": Uniform(0.0, 1.0)}, optimizer=RandomOptimizer())
    seeds = SweepExperiment(objective=base, optimizer=SuggestionQueue([{"seed": 1}, {"seed": 2}]), slots=1).run()
    assert [child.seed for child in seeds.children.values()] == [1, 2]
    with pytest.raises(ObjectiveError, match="Did you mean 'rates'"):
        SweepExperiment(objective=partial(Tuned, slots=1), search_space={"rates": Uniform(0.0, 1.0)})


def test_a_function_that_returns_an_experiment_has_it_run() -> None:
    """A sync function, a lambda and a coroutine may return an experiment that was not run: it is run in the trial."""

    async def made_later(rate: float) -> Tuned:
        return Tuned(rate)

    for factory in (lambda rate: Tuned(rate), made_later):
        assert only(sweep(factory, 0.25).run()).score == -0.25


def test_what_a_function_in_a_thread_returns_is_a_child_of_its_trial() -> None:
    """Its experiment runs inside the trial, in the store of the sweep, as that of a coroutine does."""
    store = MemoryStore()
    results = sweep(lambda rate: Tuned(rate), 0.25, 0.75, name="outer", store=store).run()
    assert [row.name for row in store.runs(under="outer")] == ["outer/trial[0]>Tuned", "outer/trial[1]>Tuned"]
    assert list(results.children) == ["trial[0]>Tuned", "trial[1]>Tuned"]


def test_a_function_that_returns_the_result_of_a_sweep_counts_as_its_best_score() -> None:
    """``return await sweep.run()``, and ``return sweep.run()`` in a worker thread, need no ``.best_score``."""

    async def awaited(rate: float) -> SweepResult:
        return await Tuned(rate).run(budget=1)

    def in_a_thread(rate: float) -> SweepResult:
        return Tuned(rate).run(budget=1)

    assert only(sweep(awaited, 0.25).run()).score == -0.25
    assert only(sweep(in_a_thread, 0.75).run()).score == -0.75


@pytest.mark.parametrize("objective", [Trained(), Trained])
def test_an_experiment_with_a_pipeline_gets_the_parameters_as_inputs(objective: Any) -> None:
    """Its score is the one number that the last part of its pipeline provides; texts and bools are no numbers."""
    assert only(sweep(objective, 0.25).run()).metrics == {"gain": 7.5}


def test_the_goal_picks_a_field_that_an_earlier_stage_provides() -> None:
    """A metric that the goal names may be any field of the pipeline."""
    trial = only(sweep(Trained(), 0.25, goal={"accuracy": "maximize"}).run())
    assert (trial.score, trial.metrics) == (0.75, {"gain": 7.5, "accuracy": 0.75})


def test_several_numbers_and_a_goal_that_names_none_are_refused_with_their_names() -> None:
    """The error lists what there is, and shows how the goal names one of them."""

    class Two(Experiment):
        def pipeline(self) -> Pipeline:
            both = Pipeline(rate=float).stage("both", lambda rate: {"first": rate, "second": rate})
            return both.through(first=float, second=float)

    with pytest.raises(MetricError, match=r"it has 2 metrics \('first', 'second'\).*goal=\{'first': 'maximize'\}"):
        sweep(Two(), 0.25).run()


def test_an_output_without_a_number_fails_the_trial_with_its_fields() -> None:
    """The error tells what the last part provides, and what to do."""
    trial = only(sweep(Mute(), 0.25).run())
    assert trial.error is not None
    assert "provides no number; found text (str)" in trial.error.message


def test_a_sweep_is_no_trial_function_and_the_error_says_what_is() -> None:
    """An instance of a sweep takes no parameters: refused when the outer one is made."""
    with pytest.raises(ObjectiveError, match=r"takes no parameters.*MetaExperiment\(base=sweep"):
        sweep(Tuned(0.5), 0.25)


class Deaf(Experiment):
    """A pipeline without inputs."""

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline().stage("train", lambda: 1.0).through(score=float)


@pytest.mark.parametrize("objective", [Deaf(), Deaf])
def test_an_experiment_that_takes_nothing_is_no_trial_function(objective: Any) -> None:
    """All trials would be the same: its settings are what may be searched."""
    with pytest.raises(ObjectiveError, match=r"Deaf declares no inputs.*Write Pipeline\(lr=float\).*MetaExperiment\(base=Deaf\("):
        SweepExperiment(objective=objective, search_space=SPACE)


def test_parameters_that_nothing_suggests_are_found_when_the_sweep_is_made() -> None:
    """What the constructor of a class, or the pipeline of an experiment, asks for must be in the search space."""
    for objective in (Tuned, Trained, Trained()):
        with pytest.raises(ObjectiveError, match=r"nothing is there for its parameter 'rate'.*Did you mean 'rates'\?"):
            SweepExperiment(objective=objective, search_space={"rates": Uniform(0.0, 1.0)})


def test_options_of_all_experiments_can_be_searched_and_are_not_filled_by_accident() -> None:
    """A parameter called like an option of the constructor is given to it; other options keep their defaults."""

    class Seeded(Tuned):
        def __init__(self, **options: Any) -> None:
            super().__init__(0.5, **options)

        def objective(self, x: float) -> float:
            return float(self.seed or 0)

    outer = SweepExperiment(objective=Seeded, optimizer=SuggestionQueue([{"seed": 7}]), slots=1)
    assert only(outer.run()).score == 7.0


def test_a_sweep_in_which_nothing_completed_fails_the_trial() -> None:
    """The error names the sweep inside, how many trials it had, and why it stopped."""

    class Failing(Tuned):
        def objective(self, x: float) -> float:
            raise ValueError("no")

    trial = only(sweep(Failing, 0.25).run())
    assert (trial.state, trial.score) == (TrialState.FAILED, None)
    assert trial.error is not None
    assert "no trial completed" in trial.error.message
    assert "found 3 trials" in trial.error.message


def test_a_sweep_that_stopped_for_a_bad_reason_fails_the_trial() -> None:
    """Too many failures inside fail the trial outside, though some trial completed."""

    class Breaking(Tuned):
        optimizer = SuggestionQueue([{"x": float(number)} for number in range(20)])
        slots = 1

        def objective(self, x: float) -> float:
            if x > 2.0:
                raise ValueError("no")
            return x

    trial = only(sweep(Breaking, 0.25).run())
    assert trial.error is not None
    assert trial.error.type.endswith("FailureRateExceeded")


def test_a_sweep_with_several_objectives_has_no_score() -> None:
    """A sweep inside with a Pareto front fails the trial, and the error names its metrics."""

    class Twofold(Tuned):
        goal = {"near": "maximize", "far": "minimize"}  # noqa: RUF012

        def objective(self, x: float) -> dict[str, float]:  # type: ignore[override]
            return {"near": x, "far": x}

    trial = only(sweep(Twofold, 0.25).run())
    assert trial.error is not None
    assert "several objectives (near, far)" in trial.error.message


def test_a_result_that_was_not_awaited_fails_the_trial_and_says_so() -> None:
    """``return sweep.run()`` in a coroutine is an awaitable: the error says that ``await`` is missing."""

    async def forgot(rate: float) -> Any:
        return Tuned(rate).run(budget=1)

    trial = only(sweep(forgot, 0.25).run())
    assert trial.error is not None
    assert "Write `await Tuned.run(...)`" in trial.error.message


def test_the_result_of_an_experiment_counts_when_a_function_returns_it() -> None:
    """``return await experiment.run(rate=rate)`` counts as the numbers of its output."""

    async def trained(rate: float) -> Any:
        return await Trained().run(rate=rate)

    assert only(sweep(trained, 0.25).run()).metrics == {"gain": 7.5}


def test_three_levels_count_their_leaves_apart() -> None:
    """A class of sweeps whose objective is a class of sweeps: each level has the trials of its own budget."""

    class Middle(SweepExperiment):
        objective = Tuned
        search_space = SPACE
        slots = 1

        def __init__(self, start: float, **options: Any) -> None:
            super().__init__(optimizer=queue(start, start + 0.25), **options)

    outer = SweepExperiment(objective=Middle, optimizer=SuggestionQueue([{"start": 0.25}, {"start": 1.25}]), slots=1)
    results = outer.run(Budget(trials=2))
    assert [trial.score for trial in results.trials] == [-0.25, -0.25]
    assert results.spend.trials == 2


def test_sweeps_inside_that_go_the_other_way_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A run that maximizes the best scores of sweeps which minimize says so, once."""

    class Lowest(Tuned):
        goal = "minimize"

    sweep(Lowest, 0.25, 0.5).run()
    said = [record.getMessage() for record in caplog.records if "the best scores of sweeps" in record.getMessage()]
    assert len(said) == 1
    assert "is to maximize the best scores of sweeps which minimize: is goal='minimize' meant for it, too?" in said[0]
    sweep(Lowest, 0.25, goal="minimize").run()
    assert len([record for record in caplog.records if "the best scores of sweeps" in record.getMessage()]) == 1
