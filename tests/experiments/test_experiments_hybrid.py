"""A hybrid search: explore at random, model, refine a population, validate the best with several seeds."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import pytest
from nesting_kit import check_deaths, finished_by_another_process, kept_runs

from metta_sweep import (
    Choice,
    FailurePolicy,
    HybridExperiment,
    Integer,
    MemoryStore,
    StopReason,
    SweepExperiment,
    Trial,
    TrialContext,
    TrialState,
    Uniform,
)
from metta_sweep.errors import (
    BudgetError,
    DefinitionChanged,
    FailureRateExceeded,
    GoalError,
    InvalidInput,
    ObjectiveError,
    SearchSpaceError,
    UnknownOption,
)
from metta_sweep.experiments import Candidate
from metta_sweep.experiments.warm_start import warm_sources
from metta_sweep.optimizers import BayesianOptimizer, EvolutionOptimizer, RandomOptimizer, SobolOptimizer

SPACE = {"x": Uniform(-1.0, 1.0)}


async def noisy(x: float, trial: TrialContext) -> float:
    """A parabola with its maximum at 0, and noise that depends on the seed of the trial."""
    return -x * x + 0.1 * trial.rng.gauss(0.0, 1.0)


def hybrid(**settings: Any) -> HybridExperiment:
    """Small phases that need no library, one slot, seeded, unless said otherwise."""
    return HybridExperiment(
        **{
            "objective": noisy,
            "search_space": SPACE,
            "explore": 6,
            "model": 5,
            "refine": (4, 2),
            "validate": 3,
            "candidates": 2,
            "modeler": EvolutionOptimizer(),
            "slots": 1,
            "seed": 3,
            "store": "memory",
            **settings,
        }
    )


def test_four_phases() -> None:
    """Each searches so much; the best candidates of all phases are evaluated again."""
    result = hybrid().run()
    phases = [result.exploration_results, result.modeled_results, result.final_results]
    assert [len(trials) for trials in phases] == [6, 5, 8]
    assert {trial.origin for trial in result.exploration_results} == {"random"}
    assert {trial.origin for trial in phases[1] + phases[2]} == {"evolution"}
    assert all(isinstance(trial, Trial) for trials in phases for trial in trials)
    best = sorted((trial.score for trials in phases for trial in trials), reverse=True)[:2]
    assert sorted((found.found_score for found in result.validation_scores.values()), reverse=True) == best
    assert result.spend.trials == 6 + 5 + 8 + 2 * 3


def test_what_a_candidate_is_worth() -> None:
    """Its scores with each seed, their mean, median and standard error; the best median comes first."""
    result = hybrid(candidates=4, validate=5).run()
    found: list[Candidate] = list(result.validation_scores.values())
    assert len(found) == 4
    for candidate in found:
        assert len(set(candidate.scores)) == 5
        assert candidate.mean == fmean(candidate.scores)
        assert candidate.median == median(candidate.scores)
        assert candidate.sem == stdev(candidate.scores) / 5**0.5
        phase, trial_id = candidate.found_by.split("/")
        trials = {"explore": result.exploration_results, "model": result.modeled_results, "refine": result.final_results}[phase]
        assert trials[int(trial_id)].params == candidate.params
    assert [candidate.median for candidate in found] == sorted((candidate.median for candidate in found), reverse=True)
    assert (result.best_params, result.best_score) == (found[0].params, found[0].median)


def test_the_first_of_a_search_is_not_always_the_best() -> None:
    """What scored best by luck is found out: the order of the validation is another than that of the search."""
    result = hybrid(explore=60, model=0, refine=(4, 0), candidates=6, validate=20).run()
    assert list(result.validation_scores) != [f"candidate-{place}" for place in range(1, 7)]
    assert max(found.found_score for found in result.validation_scores.values()) > result.best_score


def test_each_phase_begins_with_what_the_ones_before_it_found() -> None:
    """The model knows the exploration, the population both; who validates learns nothing."""
    store = MemoryStore()
    hybrid(name="h", store=store).run()
    names = [f"h/{phase}>SweepExperiment" for phase in ("explore", "model", "refine", "validate")]
    assert kept_runs(store, "h") == sorted(names)
    rows = [store.find_run(name) for name in names]
    assert [sum(source.trials for source in warm_sources(store, row.run_id)) for row in rows if row] == [0, 6, 11, 0]


def test_scores_may_be_minimized() -> None:
    """The best are the lowest ones."""

    async def loss(x: float) -> float:
        return x * x

    result = hybrid(objective=loss, goal="minimize").run()
    trials = [*result.exploration_results, *result.modeled_results, *result.final_results]
    assert result.best_score == min(trial.score for trial in trials)


def test_the_metric_may_be_named() -> None:
    """Trials with several metrics are compared by the one that decides."""

    async def both(x: float) -> dict[str, float]:
        return {"loss": x * x, "time": 1.0}

    assert hybrid(objective=both, goal={"loss": "minimize"}).run().best_score < 0.1


def test_candidates_are_different() -> None:
    """Parameters that were found twice are one candidate."""

    async def constant(n: int) -> float:
        return float(n)

    space = {"n": Choice([1, 2, 3])}
    random = RandomOptimizer()
    result = hybrid(objective=constant, search_space=space, explorer=random, modeler=random, refiner=random, candidates=5).run()
    assert [found.params["n"] for found in result.validation_scores.values()] == [3, 2, 1]


def test_phases_may_be_left_out() -> None:
    """Zero trials: no sweep is run."""
    store = MemoryStore()
    result = hybrid(model=0, refine=(4, 0), name="h", store=store).run()
    assert kept_runs(store, "h") == ["h/explore>SweepExperiment", "h/validate>SweepExperiment"]
    assert (result.modeled_results, result.final_results) == ([], [])


def test_other_optimizers() -> None:
    """Each phase may have its own."""
    result = hybrid(explorer=SobolOptimizer(), modeler=RandomOptimizer(), refiner=RandomOptimizer()).run()
    assert {trial.origin for trial in result.exploration_results} == {"sobol"}
    assert {trial.origin for trial in [*result.modeled_results, *result.final_results]} == {"random"}


def test_by_default_a_bayesian_optimizer_models() -> None:
    """It begins with the exploration, so that its first suggestion comes from the model."""
    pytest.importorskip("sklearn")

    async def bowl(x: float) -> float:
        return -((x - 0.3) ** 2)

    result = hybrid(objective=bowl, explore=12, model=4, modeler=None).run()
    assert {trial.origin for trial in result.modeled_results} == {"bayesian"}
    assert abs(result.modeled_results[0].params["x"] - 0.3) < 0.1


def test_a_phase_may_be_overridden() -> None:
    """It takes its constants and the results before it by name, as in the documentation."""

    class Own(HybridExperiment):
        async def bayesian_optimization(self, n_trials: int, init_from: list[Trial]) -> list[Trial]:
            best = max(init_from, key=lambda trial: trial.score or 0.0)
            return [best] * n_trials

    result = Own(objective=noisy, search_space=SPACE, explore=5, model=2, refine=(4, 0), validate=2, store="memory", seed=1).run()
    assert len({trial.id for trial in result.modeled_results}) == 1
    assert len(result.modeled_results) == 2


def test_all_sweeps_may_have_more_settings() -> None:
    """``create_sweep`` is where resources, failures and executors of all of them are said."""

    class Patient(HybridExperiment):
        def create_sweep(self, **settings: Any) -> SweepExperiment:
            return super().create_sweep(**settings, failures=FailurePolicy(tolerated_rate=1.0))

    async def half(x: float) -> float:
        if x < 0.2:
            raise ArithmeticError("too small")
        return x

    settings: dict[str, Any] = {"objective": half, "explore": 12, "validate": 2}
    with pytest.raises(FailureRateExceeded):
        hybrid(**settings).run()
    result = Patient(search_space=SPACE, model=0, refine=(4, 0), store="memory", seed=3, slots=1, **settings).run()
    assert {trial.state for trial in result.exploration_results} == {TrialState.COMPLETED, TrialState.FAILED}
    assert result.best_score > 0.2


def test_an_objective_may_be_a_method() -> None:
    """A subclass says what there is to search, as a sweep does."""

    class Own(HybridExperiment):
        search_space = SPACE
        goal = "minimize"

        async def objective(self, x: float) -> float:
            return x * x

    assert Own(explore=20, model=0, refine=(4, 0), validate=1, store="memory").run().best_score < 0.1


def test_a_single_seed_has_no_standard_error() -> None:
    """None stands in its place."""
    assert {found.sem for found in hybrid(validate=1).run().validation_scores.values()} == {None}


def test_more_of_a_phase_goes_on_where_it_was() -> None:
    """Other numbers of trials count when it is run again: what was explored stays."""
    store = MemoryStore()
    before = hybrid(name="h", store=store).run()
    after = hybrid(name="h", store=store, explore=8).run()
    assert [trial.params for trial in after.exploration_results[:6]] == [trial.params for trial in before.exploration_results]
    assert len(after.exploration_results) == 8


def test_another_search_under_its_name_is_refused() -> None:
    """Another search space or optimizer is another experiment: the difference is shown."""
    store = MemoryStore()
    hybrid(name="h", store=store).run()
    with pytest.raises(DefinitionChanged, match=r"settings\.search_space"):
        hybrid(name="h", store=store, search_space={"x": Uniform(0.0, 1.0)}).run()
    with pytest.raises(DefinitionChanged, match=r"settings\.modeler"):
        hybrid(name="h", store=store, modeler=RandomOptimizer()).run()


def test_a_budget_bounds_the_whole() -> None:
    """Phases that come after it is spent have nothing to do: without validation there is no best."""
    result = hybrid().run(budget=8)
    assert [len(result.exploration_results), len(result.modeled_results), len(result.final_results)] == [6, 2, 0]
    assert (result.validation_scores, result.best_params, result.best_score) == ({}, None, None)
    assert result.stop_reason is StopReason.BUDGET_TRIALS


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"objective": None}, ObjectiveError, "it has no objective.*Give objective=train"),
        ({"search_space": None}, SearchSpaceError, r"HybridExperiment\(search_space=\): it has nothing to search"),
        ({"goal": {"a": "maximize", "b": "minimize"}}, GoalError, r"several objectives.*goal=\{'a': 'maximize'\}"),
        ({"explore": -1}, BudgetError, r"HybridExperiment\(explore=\).*Write 0 to leave the phase out"),
        ({"model": 1.5}, BudgetError, r"HybridExperiment\(model=\)"),
        ({"refine": 20}, BudgetError, r"refine=\): it is the size of the population.*refine=\(20, 30\)"),
        ({"refine": (1, 3)}, BudgetError, r"refine=\)\[0\]: it is below 2"),
        ({"validate": 0}, BudgetError, r"validate=\)"),
        ({"candidates": 0}, BudgetError, r"candidates=\)"),
        ({"max_time_per_trial": 0}, BudgetError, "time_limit"),
        ({"explore": 0, "model": 0, "refine": (4, 0)}, BudgetError, "all phases of the search are left out"),
        ({"modeler": BayesianOptimizer}, InvalidInput, "a class is no optimizer"),
        ({"explorer": RandomOptimizer({"y": Uniform(0, 1)})}, InvalidInput, "another search space"),
        ({"objective": lambda y: y}, ObjectiveError, "'y'"),
        ({"slots": 0}, BudgetError, r"HybridExperiment\(slots=\)"),
        ({"n_explore": 3}, UnknownOption, "Did you mean 'explore'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], error: type[InvalidInput], says: str) -> None:
    """Each is refused when the experiment is made, also what its sweeps would refuse."""
    with pytest.raises(error, match=says):
        hybrid(**settings)


@pytest.mark.parametrize("places", [3, pytest.param(None, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_killed_anywhere_it_goes_on_as_if_nothing_had_happened(places: int | None) -> None:
    """Died after any record of any phase, it is resumed there: the same trials, candidates and scores."""
    check_deaths(lambda store: hybrid(name="h", store=store).run(), places)


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_refines_is_taken_up_there(tmp_path: Path) -> None:
    """Kill -9 in the third phase: what was explored and modeled is not run again."""
    code = """
        from metta_sweep import HybridExperiment, TrialContext, Uniform
        from metta_sweep.optimizers import EvolutionOptimizer

        def train(x: float, trial: TrialContext) -> float:
            ran(trial.id)
            return -x * x

        result = HybridExperiment(
            name="h", objective=train, search_space={"x": Uniform(-1.0, 1.0)}, explore=4, model=3, modeler=EvolutionOptimizer(),
            refine=(3, 2), validate=2, candidates=1, slots=1, seed=3, store=store,
        ).run()
        told([len(result.exploration_results), len(result.modeled_results), len(result.final_results), result.spend.trials])
    """
    first, again, told = finished_by_another_process(code, tmp_path / "runs.db", die_at_trial=10)
    assert first == [str(number) for number in (0, 1, 2, 3, 0, 1, 2, 0, 1, 2)]
    assert again[-5:] == ["3", "4", "5", "candidate-1.0", "candidate-1.1"]
    assert set(again[:-5]) <= {"1", "2"}
    assert told == [4, 3, 6, 15]


async def test_inside_a_trial() -> None:
    """The trial of another sweep searches how much to explore."""
    store = MemoryStore()

    async def score(explore: int) -> float:
        result = await hybrid(explore=explore, store=None, seed=None).run()
        return float(result.best_score)

    outer = SweepExperiment(name="outer", objective=score, search_space={"explore": Integer(3, 9)}, slots=1, seed=1, store=store)
    result = await outer.run(budget=2)
    assert result.states == {TrialState.COMPLETED: 2}
    assert "outer/trial[1]>HybridExperiment/validate>SweepExperiment" in kept_runs(store, "outer")
