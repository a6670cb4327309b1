"""Optimizing the optimizer: rounds of a configuration, sweeps with it, and what the meta-optimizer learns."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
from nesting_kit import bowl, check_deaths, essence_of, finished_by_another_process, kept_runs

from metta_sweep import (
    Choice,
    Context,
    FailurePolicy,
    Integer,
    MemoryStore,
    Optimizer,
    OptimizerOptimizer,
    Suggestion,
    SweepExperiment,
    Trial,
    TrialState,
    Uniform,
)
from metta_sweep.errors import BudgetError, InvalidInput, InvalidName, ObjectiveError, OptimizerError, UnknownOption
from metta_sweep.experiments import TriedConfig
from metta_sweep.optimizers import BayesianOptimizer, EvolutionOptimizer, GridOptimizer, RandomOptimizer, SuggestionQueue

SPACE = {"x": Uniform(-1.0, 1.0), "y": Uniform(-1.0, 1.0)}


async def objective(x: float, y: float) -> float:
    """A parabola with its maximum at (0.3, 0)."""
    return await bowl(x, 0.3) - y * y


class Evolving(OptimizerOptimizer):
    """Searches how far the children of an evolution are from their parents."""

    config_space = {"mutation_scale": Uniform(0.01, 1.0), "population_size": Integer(2, 6)}  # noqa: RUF012

    def create_optimizer(self, mutation_scale: float, population_size: int) -> Optimizer:
        """An evolution."""
        return EvolutionOptimizer(mutation_scale=mutation_scale, population_size=population_size)


def evolving(kind: type[OptimizerOptimizer] = Evolving, **settings: Any) -> OptimizerOptimizer:
    """Three rounds of eight trials, seeded, that need no library, unless said otherwise."""
    return kind(
        **{
            "objective": objective,
            "search_space": SPACE,
            "meta_optimizer": RandomOptimizer(),
            "rounds": 3,
            "budget": 8,
            "slots": 1,
            "seed": 3,
            "store": "memory",
            **settings,
        }
    )


def test_rounds_of_configurations() -> None:
    """Each round tests one with a sweep; the best one is told at the end."""
    result = evolving().run()
    assert [tried.round for tried in result.history] == [0, 1, 2]
    assert [set(tried.config) for tried in result.history] == [{"mutation_scale", "population_size"}] * 3
    best = max(result.history, key=lambda tried: tried.performance)
    assert (result.best_config, result.best_performance) == (best.config, best.performance)
    assert result.spend.trials == 24


def test_the_best_score_of_the_sweep_is_the_performance() -> None:
    """Of each round's child, by its address."""
    store = MemoryStore()
    result = evolving(name="o", store=store).run()
    names = [f"o/rounds[{number}]/test_optimizer>SweepExperiment" for number in range(3)]
    assert kept_runs(store, "o") == names
    trials = essence_of(result, store)["trials"]
    assert [tried.performance for tried in result.history] == [max(score for *_, score in trials[name]) for name in names]


def test_repeats_have_seeds_of_their_own_and_their_median_counts() -> None:
    """Each of them is a child with its own name."""
    store = MemoryStore()
    result = evolving(name="o", store=store, repeats=3, rounds=1).run()
    names = [f"o/rounds[0]/test_optimizer>sweep-{number}" for number in range(3)]
    assert kept_runs(store, "o") == names
    trials = essence_of(result, store)["trials"]
    scores = [max(score for *_, score in trials[name]) for name in names]
    assert len(set(scores)) == 3
    assert result.best_performance == median(scores)


def test_scores_may_be_minimized() -> None:
    """The best configuration is the one with the lowest score."""

    async def loss(x: float, y: float) -> float:
        return x * x + y * y

    result = evolving(objective=loss, goal="minimize").run()
    assert result.best_performance == min(tried.performance for tried in result.history)


class Recording(Optimizer):
    """Suggests configurations in turn, and keeps a record of what it is told in the order in which that happens."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float | None]] = []

    def suggest(self, n: int) -> list[Suggestion]:
        """One more than there were results."""
        scale = 0.1 * (1 + len([what for what, _ in self.told if what != "asked"]))
        self.told.append(("asked", None))
        return [Suggestion(params={"mutation_scale": scale, "population_size": 2})] * n

    def observe(self, trial: Trial, result: float) -> None:
        """Keep the score."""
        self.told.append((trial.id, result))

    def failed(self, trial: Trial) -> None:
        """Keep that it failed."""
        self.told.append((trial.id, None))


def test_the_meta_optimizer_is_asked_and_told_in_turns() -> None:
    """It is rebuilt in each round, and then is where it was: asked once per round, with all results before it."""
    models: list[Any] = []

    class Watched(Evolving):
        def _next_params(self, optimizer: Optimizer, index: int) -> dict[str, Any]:
            models.append(optimizer)
            return super()._next_params(optimizer, index)

    result = evolving(Watched, meta_optimizer=Recording()).run()
    scores = [tried.performance for tried in result.history]
    asked = ("asked", None)
    assert models[-1].told == [asked, ("0", scores[0]), asked, ("1", scores[1]), asked]
    assert [round(tried.config["mutation_scale"], 3) for tried in result.history] == [0.1, 0.2, 0.3]


def test_a_configuration_whose_sweep_completes_nothing() -> None:
    """It has no performance, and counts as failed; the others go on."""

    class Own(Evolving):
        def create_sweep(self, **settings: Any) -> SweepExperiment:
            return super().create_sweep(**settings, failures=FailurePolicy(tolerated_rate=1.0))

    calls: list[float] = []

    async def fails_at_first(x: float, y: float) -> float:
        calls.append(x)
        if len(calls) <= 8:
            raise ArithmeticError("not yet")
        return x

    result = evolving(Own, objective=fails_at_first, meta_optimizer=Recording()).run()
    assert [tried.performance is None for tried in result.history] == [True, False, False]
    assert result.best_performance == max(tried.performance for tried in result.history[1:])


def test_by_default_the_options_of_a_bayesian_optimizer_are_searched() -> None:
    """The fields of the documentation's example: its acquisition function, its exploration, and the size of batches."""
    pytest.importorskip("sklearn")
    seen: list[tuple[Any, ...]] = []

    class Watched(OptimizerOptimizer):
        def create_sweep(self, **settings: Any) -> SweepExperiment:
            optimizer, scheduler = settings["optimizer"], settings["scheduler"]
            seen.append((optimizer.acquisition, optimizer.exploration, scheduler.batch_size))
            return super().create_sweep(**settings)

    result = Watched(objective=objective, search_space=SPACE, rounds=2, budget=3, seed=1, store="memory").run()
    configs = [
        tuple(tried.config[name] for name in ("acquisition_fn", "exploration_rate", "batch_size")) for tried in result.history
    ]
    assert seen[1:] == configs  # the first one is a trial of the settings, when the experiment is made
    assert isinstance(evolving().meta_optimizer, RandomOptimizer)
    assert isinstance(OptimizerOptimizer(objective=objective, search_space=SPACE).meta_optimizer, BayesianOptimizer)


def test_every_step_may_be_overridden() -> None:
    """As in the documentation: the configuration flows as fields, and the sweep is written by hand."""

    class Own(Evolving):
        async def run_sweep_with_config(self, config: Context) -> float:
            optimizer = self.create_optimizer(config.mutation_scale, config.population_size)
            sweep = SweepExperiment(objective=self.objective, search_space=SPACE, optimizer=optimizer)
            result = await sweep.run(budget=4)
            assert result.best_score is not None
            return result.best_score

        def update_meta_model(self, history: list[TriedConfig], config: Context, performance: float | None) -> list[TriedConfig]:
            return [*history, TriedConfig(len(history), {"mutation_scale": 0.5, "population_size": 3}, performance)]

    result = evolving(Own).run()
    assert result.spend.trials == 12
    assert result.best_config == {"mutation_scale": 0.5, "population_size": 3}


def test_a_configuration_may_have_a_sub_space() -> None:
    """What a configuration does not have is None in its field, and is not handed on."""
    seen: list[dict[str, Any]] = []

    class Own(OptimizerOptimizer):
        config_space = {"kind": Choice({"random": {}, "evolution": {"mutation_scale": Uniform(0.1, 1.0)}})}  # noqa: RUF012

        def create_optimizer(self, kind: str, mutation_scale: float = 0.3) -> Optimizer:
            seen.append({"kind": kind, "mutation_scale": mutation_scale})
            return RandomOptimizer() if kind == "random" else EvolutionOptimizer(mutation_scale=mutation_scale)

    result = evolving(Own, rounds=6).run()
    assert {tuple(tried.config) for tried in result.history} == {("kind",), ("kind", "mutation_scale")}
    assert {call["mutation_scale"] for call in seen if call["kind"] == "random"} == {0.3}


def test_none_may_be_an_option_of_a_configuration() -> None:
    """It is told to the maker of optimizers, and to the meta-optimizer, as any other value."""
    asked: list[Any] = []

    class Scaled(OptimizerOptimizer):
        def create_optimizer(self, scale: float | None) -> Optimizer:
            asked.append(scale)
            return RandomOptimizer()

    result = evolving(Scaled, config_space={"scale": Choice([None])}, rounds=2).run()
    assert [tried.config for tried in result.history] == [{"scale": None}] * 2
    assert result.best_config == {"scale": None}
    assert set(asked) == {None}


def test_more_rounds_go_on_where_the_run_was() -> None:
    """What was tested is not tested again."""
    store = MemoryStore()
    before = evolving(name="o", store=store).run()
    after = evolving(name="o", store=store, rounds=5).run()
    assert after.history[:3] == before.history
    assert len(after.history) == 5
    assert len(kept_runs(store, "o")) == 5


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["meta_seed"], "the loop has a field 'meta_seed' of its own.*Call it optimizer_meta_seed"),
        (["exploration", "exploration_rate"], "create_optimizer gets 'exploration' and 'exploration_rate' as one"),
    ],
)
def test_names_of_a_configuration_that_would_be_mixed_up(names: list[str], says: str) -> None:
    """Refused when it is made, and not lost in silence."""
    with pytest.raises(InvalidName, match=says):
        evolving(OptimizerOptimizer, config_space={name: Uniform(0.1, 1.0) for name in names})


def test_a_meta_optimizer_that_runs_out() -> None:
    """One with an end is refused when it has too few configurations."""
    configs = [{"mutation_scale": 0.1, "population_size": 2}] * 2
    with pytest.raises(BudgetError, match=r"rounds=\): SuggestionQueue has 2 suggestions.*at most 2.*Write rounds=2"):
        evolving(meta_optimizer=SuggestionQueue(configs))
    assert len(evolving(meta_optimizer=SuggestionQueue(configs), rounds=2).run().history) == 2


class Silent(Optimizer):
    """Has nothing to suggest."""

    def suggest(self, n: int) -> list[Suggestion]:
        """Nothing."""
        return []


def test_a_meta_optimizer_that_suggests_nothing() -> None:
    """The error says in which round, and what to write."""
    with pytest.raises(OptimizerError, match=r"Silent\.suggest\(1\): it had nothing to suggest in round 0"):
        evolving(meta_optimizer=Silent()).run()


def _asks(scale: float) -> Optimizer:
    return EvolutionOptimizer(mutation_scale=scale)


class Asking(Evolving):
    """Asks for what no configuration holds."""

    def create_optimizer(self, mutation_scal: float) -> Optimizer:  # type: ignore[override]
        """An evolution."""
        return _asks(mutation_scal)


class Refusing(Evolving):
    """A space whose middle no optimizer takes."""

    config_space = {"mutation_scale": Uniform(2.0, 3.0), "population_size": Integer(2, 6)}  # noqa: RUF012


@pytest.mark.parametrize(
    ("kind", "settings", "error", "says"),
    [
        (Evolving, {"objective": None}, ObjectiveError, "Evolving: it has no objective"),
        (Evolving, {"rounds": 0}, BudgetError, r"Evolving\(rounds=\).*Write rounds=10"),
        (Evolving, {"repeats": 0}, BudgetError, r"Evolving\(repeats=\)"),
        (Evolving, {"budget": "all"}, BudgetError, "is no budget"),
        (Evolving, {"meta_optimizer": RandomOptimizer}, OptimizerError, r"a class is no optimizer.*Write RandomOptimizer\(\)"),
        (Evolving, {"meta_optimizer": 3}, OptimizerError, "it is no optimizer"),
        (Evolving, {"round": 3}, UnknownOption, "Did you mean 'rounds'"),
        (Evolving, {"config_space": {"class": Choice([1])}}, InvalidName, "class"),
        (
            Asking,
            {},
            OptimizerError,
            r"create_optimizer\(mutation_scal\): no configuration.*mean 'mutation_scale'",
        ),
        (Refusing, {}, OptimizerError, r"EvolutionOptimizer\(mutation_scale=\)"),
        (Evolving, {"objective": lambda z: z}, ObjectiveError, "'z'"),
    ],
)
def test_bad_settings(kind: type[OptimizerOptimizer], settings: dict[str, Any], error: type[InvalidInput], says: str) -> None:
    """Each is refused when the experiment is made."""
    with pytest.raises(error, match=says):
        evolving(kind, **settings)


@pytest.mark.parametrize("places", [2, pytest.param(None, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
@pytest.mark.parametrize("meta", [RandomOptimizer(), EvolutionOptimizer(population_size=2), GridOptimizer()])
def test_killed_anywhere_it_goes_on_as_if_nothing_had_happened(meta: Optimizer, places: int | None) -> None:
    """Died after any record, it is resumed there, with a meta-optimizer that knows what it knew."""

    class Own(Evolving):
        config_space = {"mutation_scale": Choice([0.1, 0.2, 0.4, 0.8]), "population_size": Integer(2, 3)}  # noqa: RUF012

    settings: dict[str, Any] = {"name": "o", "meta_optimizer": meta, "rounds": 4, "budget": 3}
    check_deaths(lambda store: evolving(Own, **settings, store=store).run(), places)


@pytest.mark.slow
def test_a_process_that_is_killed_is_taken_up_in_its_round(tmp_path: Path) -> None:
    """Kill -9 in the second round: the first one is not tested again."""
    code = """
        from metta_sweep import OptimizerOptimizer, TrialContext, Uniform
        from metta_sweep.optimizers import EvolutionOptimizer, RandomOptimizer

        def train(x: float, trial: TrialContext) -> float:
            ran(trial.id)
            return -x * x

        class Evolving(OptimizerOptimizer):
            config_space = {"mutation_scale": Uniform(0.01, 1.0)}

            def create_optimizer(self, mutation_scale):
                return EvolutionOptimizer(mutation_scale=mutation_scale)

        result = Evolving(
            name="o", objective=train, search_space={"x": Uniform(-1.0, 1.0)}, meta_optimizer=RandomOptimizer(), rounds=3, budget=4,
            slots=1, seed=3, store=store,
        ).run()
        told([len(result.history), result.spend.trials])
    """
    first, again, told = finished_by_another_process(code, tmp_path / "runs.db", die_at_trial=7)
    assert first == ["0", "1", "2", "3", "0", "1", "2"]
    assert again[-5:] == ["3", "0", "1", "2", "3"]
    assert set(again[:-5]) <= {"1", "2"}
    assert told == [3, 12]


async def test_inside_a_trial() -> None:
    """The trial of another sweep optimizes an optimizer: three levels, in one store."""
    store = MemoryStore()

    async def score(budget: int) -> float:
        result = await evolving(budget=budget, store=None, seed=None, rounds=2).run()
        return float(result.best_performance)

    outer = SweepExperiment(name="outer", objective=score, search_space={"budget": Integer(2, 4)}, slots=1, seed=1, store=store)
    result = await outer.run(budget=2)
    assert result.states == {TrialState.COMPLETED: 2}
    assert "outer/trial[1]>Evolving/rounds[1]/test_optimizer>SweepExperiment" in kept_runs(store, "outer")
