"""Optuna's samplers as optimizers."""

from __future__ import annotations

import functools
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from metta_sweep.core.distributions import Choice, Constant, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, TrialState
from metta_sweep.errors import InvalidInput, MissingExtra, OptimizerError, SuggestionError, UnknownOption
from metta_sweep.experiments import SweepExperiment
from metta_sweep.optimizers import OptunaOptimizer

optuna = pytest.importorskip("optuna")

SPACE = {
    "x": Uniform(-1, 1),
    "lr": LogUniform(1e-4, 1e-1),
    "k": Integer(1, 50),
    "b": LogInteger(8, 512),
    "act": Choice(["relu", "tanh", None]),
    "always": Constant([1]),
}
NESTED = {
    "model": Choice(
        {
            "svm": {"C": LogUniform(1e-2, 1e3), "kernel": Choice({"rbf": {"gamma": LogUniform(1e-4, 1)}, "linear": {}})},
            "net": {"C": Integer(1, 5), "gamma": LogUniform(1e-4, 1)},
        }
    ),
    "x": Uniform(0, 1),
}
QUICK = {
    "TPE": "TPESampler",
    "CMA-ES": "CmaEsSampler",
    "NSGA-II": "NSGAIISampler",
    "NSGA-III": "NSGAIIISampler",
    "QMC": "QMCSampler",
    "Random": "RandomSampler",
}


def worth(params: Mapping[str, Any]) -> float:
    """Something to maximize."""
    return float(-((params["x"] - 0.3) ** 2) - params.get("k", 0) / 50 - (params.get("act") == "relu") - params.get("gamma", 0.5))


def trial(number: int, params: dict[str, Any], state: TrialState = TrialState.COMPLETED, **more: Any) -> Trial:
    """A trial as the optimizer is told of it."""
    return Trial(id=str(number), number=number, index=number, params=params, state=state, **more)


def drive(optimizer: OptunaOptimizer, n: int, goal: Callable[[Mapping[str, Any]], float] = worth) -> list[dict[str, Any]]:
    """The parameters of ``n`` trials, one at a time."""
    found: list[dict[str, Any]] = []
    for number in range(n):
        for suggestion in optimizer.suggest(1):
            found.append(suggestion.params)
            score = goal(suggestion.params)
            optimizer.observe(trial(number, suggestion.params, score=score), score)
    return found


@contextmanager
def hushed() -> Iterator[None]:
    """Optuna by itself warns of what is experimental."""
    level = logging.getLogger("optuna").level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("optuna").setLevel(logging.ERROR)
        yield
    logging.getLogger("optuna").setLevel(level)


def plain(sampler: Any, n: int, direction: str = "maximize") -> list[dict[str, Any]]:
    """What Optuna's own ask and tell suggests on the same space."""
    found = []
    with hushed():
        study = optuna.create_study(direction=direction, sampler=sampler)
        for _ in range(n):
            asked = study.ask()
            params = {
                "x": asked.suggest_float("x", -1, 1),
                "lr": asked.suggest_float("lr", 1e-4, 1e-1, log=True),
                "k": asked.suggest_int("k", 1, 50),
                "b": asked.suggest_int("b", 8, 512, log=True),
                "act": asked.suggest_categorical("act", ["relu", "tanh", None]),
                "always": [1],
            }
            found.append(params)
            study.tell(asked, worth(params))
    return found


def made(sampler: str, **options: Any) -> Any:
    """A sampler of Optuna, made without its warnings."""
    with hushed():
        return getattr(optuna.samplers, sampler)(**options)


@pytest.mark.parametrize("name", QUICK)
def test_one_at_a_time_it_suggests_what_optuna_does(name: str) -> None:
    """Equal to the library's own ask and tell, for the same seed and history."""
    assert drive(OptunaOptimizer(SPACE, name, seed=3), 25) == plain(made(QUICK[name], seed=3), 25)


@pytest.mark.parametrize("options", [{"multivariate": True, "group": True}, {"multivariate": False, "n_startup_trials": 4}])
def test_options_of_the_sampler_are_optunas(options: dict[str, Any]) -> None:
    """They reach it under their own names, and the suggestions are still the library's."""
    ours = OptunaOptimizer(SPACE, "TPE", seed=1, **options)
    assert drive(ours, 25) == plain(made("TPESampler", seed=1, **options), 25)
    assert ours.describe() == {**OptunaOptimizer(SPACE, "TPE", seed=1).describe(), **options}


def test_minimizing_is_optunas() -> None:
    """The direction of the goal is the study's."""
    fresh = OptunaOptimizer(SPACE, "TPE", seed=2).for_run(Setup(None, Goal("minimize"), 0, 1))
    assert drive(fresh, 25) == plain(made("TPESampler", seed=2), 25, "minimize")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_gaussian_process_suggests_what_optuna_does() -> None:
    """Its 15 suggestions after the random ones, too."""
    pytest.importorskip("torch")
    assert drive(OptunaOptimizer(SPACE, "GP", seed=3), 25) == plain(made("GPSampler", seed=3), 25)


def test_a_conditional_space_is_optunas_define_by_run() -> None:
    """Only active parameters are asked for, so that grouped TPE gives what a define-by-run trial gives."""
    options: dict[str, Any] = {"multivariate": True, "group": True, "seed": 5}
    ours = drive(OptunaOptimizer(NESTED, "TPE", **options), 25)
    theirs = []
    with hushed():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(**options))
        for _ in range(25):
            asked = study.ask()
            params: dict[str, Any] = {"model": asked.suggest_categorical("model", ["svm", "net"])}
            params["x"] = asked.suggest_float("x", 0, 1)
            if params["model"] == "svm":
                params["C"] = asked.suggest_float("C [model = 'svm']", 1e-2, 1e3, log=True)
                params["kernel"] = asked.suggest_categorical("kernel", ["rbf", "linear"])
                if params["kernel"] == "rbf":
                    params["gamma"] = asked.suggest_float("gamma", 1e-4, 1, log=True)
            else:
                params["C"] = asked.suggest_int("C [model = 'net']", 1, 5)
                params["gamma"] = asked.suggest_float("gamma", 1e-4, 1, log=True)
            theirs.append(params)
            study.tell(asked, worth(params))
    assert ours == theirs
    assert {params["model"] for params in ours} == {"svm", "net"}
    for params in ours:
        SearchSpace.of(NESTED).check(params, "suggestion")


def test_reports_and_stopped_trials_are_optunas_pruned_ones() -> None:
    """A stopped trial is told with its reports, which TPE learns from, as a pruned one; a failed trial is told as failed."""
    ours, theirs = OptunaOptimizer({"x": Uniform(0, 1)}, "TPE", seed=0, failures="fail", n_startup_trials=4), []
    with hushed():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=4))
        for number in range(24):
            asked = study.ask()
            value = asked.suggest_float("x", 0, 1)
            theirs.append(value)
            if number % 3 == 0:
                asked.report(value, 1)
                asked.report(value / 2, 2)
                study.tell(asked, state=optuna.trial.TrialState.PRUNED)
            elif number % 3 == 1:
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(asked, 1 - value)
    for number in range(24):
        [suggestion] = ours.suggest(1)
        params, value = suggestion.params, suggestion.params["x"]
        assert value == theirs[number]
        if number % 3 == 0:
            # the second report of a step, as a retried attempt makes it, changes nothing
            for step, reported in ((1, value), (1, 9.0), (2, value / 2)):
                ours.reported(trial(number, params, TrialState.RUNNING), Report(step, {"value": reported}))
            ours.stopped(trial(number, params, TrialState.STOPPED))
        elif number % 3 == 1:
            ours.failed(trial(number, params, TrialState.FAILED))
        else:
            ours.observe(trial(number, params, score=1 - value), 1 - value)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_failure_counts_as_the_worst_seen(direction: str) -> None:
    """In the goal's direction: as a trial completed with the worst result so far; before there is a result, as failed."""
    sign = 1 if direction == "maximize" else -1
    optimizers = [
        OptunaOptimizer({"x": Uniform(0, 1)}, "TPE", seed=0, n_startup_trials=4).for_run(Setup(None, Goal(direction), 0, 1))  # type: ignore[arg-type]
        for _ in range(2)
    ]
    found: list[list[float]] = [[], []]
    for number in range(20):
        for side, optimizer in enumerate(optimizers):
            [suggestion] = optimizer.suggest(1)
            params, score = suggestion.params, sign * (2.0 + suggestion.params["x"])
            found[side].append(params["x"])
            good = [x for x in found[side] if x <= 0.5]
            if params["x"] > 0.5 and (side == 0 or not good):
                optimizer.failed(trial(number, params, TrialState.FAILED))
            elif params["x"] > 0.5:
                optimizer.observe(trial(number, params), sign * (2.0 + min(good)))
            else:
                optimizer.observe(trial(number, params), score)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["TPE", "NSGA-II", "NSGA-III", "Random", "QMC"])
def test_several_objectives_are_optunas(name: str) -> None:
    """All values are told, in the order and the directions of the goal."""
    goal = Goal.of({"accuracy": "maximize", "latency": "minimize"})
    ours = OptunaOptimizer({"x": Uniform(0, 1), "y": Uniform(0, 1)}, name, seed=1).for_run(Setup(None, goal, 0, 1))
    theirs = []
    with hushed():
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=made(QUICK[name], seed=1))
        for _ in range(25):
            asked = study.ask()
            params = {"x": asked.suggest_float("x", 0, 1), "y": asked.suggest_float("y", 0, 1)}
            theirs.append(params)
            study.tell(asked, [params["x"], params["x"] + params["y"]])
    for number, expected in enumerate(theirs):
        [suggestion] = ours.suggest(1)
        assert suggestion.params == expected
        result = {"latency": expected["x"] + expected["y"], "accuracy": expected["x"]}
        ours.observe(trial(number, expected, metrics=result, score=expected["x"]), result)


def test_earlier_trials_are_added_to_the_study() -> None:
    """As ``add_trial`` does, failed ones with the worst result: the suggestions after them are the library's."""
    space = {"x": Uniform(-1, 1), "c": Choice([1, True, [2]]), "one": Constant("a")}
    earlier = [trial(n, {"x": n / 10, "c": [1, True, [2]][n % 3], "one": "a"}, score=n / 10) for n in range(8)]
    ours, theirs = OptunaOptimizer(space, "TPE", seed=4, n_startup_trials=5), []
    stopped = trial(10, {"x": 0.7, "c": 1, "one": "a"}, TrialState.STOPPED, reports=(Report(3, {"score": 0.25}),))
    ours.warm_start([*earlier, trial(9, {"x": 0.5, "c": 1, "one": "a"}, TrialState.FAILED), stopped])
    ours.observe(trial(11, {"z": 1}, score=1.0), 1.0)
    kinds = {"x": optuna.distributions.FloatDistribution(-1, 1), "c": optuna.distributions.CategoricalDistribution([0, 1, 2])}
    with hushed():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=4, n_startup_trials=5))
        for n in range(8):
            study.add_trial(optuna.create_trial(params={"x": n / 10, "c": n % 3}, distributions=kinds, value=n / 10))
        study.add_trial(optuna.create_trial(params={"x": 0.5, "c": 0}, distributions=kinds, value=0.0))
        pruned = optuna.trial.TrialState.PRUNED
        study.add_trial(
            optuna.create_trial(params={"x": 0.7, "c": 0}, distributions=kinds, state=pruned, intermediate_values={3: 0.25})
        )
        for _ in range(6):
            asked = study.ask()
            x, c = asked.suggest_float("x", -1, 1), asked.suggest_categorical("c", [0, 1, 2])
            theirs.append({"x": x, "c": [1, True, [2]][c], "one": "a"})
            study.tell(asked, x)
    assert drive(ours, 6, lambda params: float(params["x"])) == theirs


def test_a_result_belongs_to_the_suggestion_with_its_parameters() -> None:
    """Whatever the order in which trials end, and whichever numbers they have."""

    def after(order: list[int]) -> dict[str, Any]:
        ours = OptunaOptimizer({"x": Uniform(0, 1)}, "TPE", seed=0, n_startup_trials=4)
        asked = ours.suggest(8)
        for place in order:
            params = asked[place].params
            ours.observe(trial(100 - place, dict(params), score=params["x"]), params["x"])
        return ours.suggest(1)[0].params

    assert after([0, 1, 2, 3, 4, 5, 6, 7]) == after([7, 5, 3, 1, 0, 2, 4, 6])


def test_what_runs_is_known_to_the_sampler() -> None:
    """Points in flight change what TPE suggests: it keeps away from them."""
    alone, beside = (OptunaOptimizer({"x": Uniform(0, 1)}, "TPE", seed=0, n_startup_trials=4) for _ in range(2))
    assert drive(alone, 6) == drive(beside, 6)
    assert beside.suggest(1)[0].params == alone.suggest(1)[0].params
    alone.observe(trial(6, alone.suggest(1)[0].params), 0.5)
    assert beside.suggest(2)[1].params != alone.suggest(1)[0].params


def test_fixed_parameters_are_enqueued() -> None:
    """They hold, those of sub-spaces with their choice; the others are suggested by the sampler."""
    ours = OptunaOptimizer(NESTED, "TPE", seed=0)
    for number in range(12):
        [suggestion] = ours.suggest(1, fixed={"model": "svm", "kernel": "rbf"})
        assert (suggestion.params["model"], suggestion.params["kernel"]) == ("svm", "rbf")
        SearchSpace.of(NESTED).check(suggestion.params, "suggestion")
        ours.observe(trial(number, suggestion.params, score=0.5), worth(suggestion.params))
    assert len({suggestion.params["model"] for suggestion in ours.suggest(12)}) == 2
    with pytest.raises(SuggestionError, match="there only with"):
        ours.suggest(1, fixed={"kernel": "rbf"})


@pytest.mark.parametrize("name", ["TPE", "Random", "BruteForce", "NSGA-II", "CMA-ES"])
def test_no_point_is_suggested_twice(name: str) -> None:
    """A finite space is used up, and then there is nothing more; what a sampler repeats has its known result."""
    ours = OptunaOptimizer({"a": Integer(0, 3), "b": Choice(["p", "q", "r"])}, name, seed=0)
    found = drive(ours, 20, lambda params: float(params["a"]))
    assert len(found) == len({json.dumps(params) for params in found}) == 12
    assert ours.suggest(1) == []


def test_duplicates_are_allowed_on_request() -> None:
    """Then it is the library to the letter, in a finite space too."""
    ours = drive(OptunaOptimizer({"a": Integer(0, 3)}, "TPE", seed=0, duplicates=True), 20, lambda params: float(params["a"]))
    with hushed():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
        theirs = []
        for _ in range(20):
            asked = study.ask()
            theirs.append({"a": asked.suggest_int("a", 0, 3)})
            study.tell(asked, theirs[-1]["a"])
    assert ours == theirs
    assert len({params["a"] for params in ours}) == 4


def test_a_grid_sampler_ends_the_run() -> None:
    """A sampler that stops the study, which Optuna allows only within ``optimize``, has nothing more to suggest."""
    grid = optuna.samplers.GridSampler({"a": [1, 2], "x": [0.25, 0.5]}, seed=0)
    found = drive(OptunaOptimizer({"a": Integer(0, 9), "x": Uniform(0, 1)}, grid), 9, lambda params: params["x"])
    assert sorted((params["a"], params["x"]) for params in found) == [(1, 0.25), (1, 0.5), (2, 0.25), (2, 0.5)]


def test_a_sampler_may_be_an_object_or_its_class() -> None:
    """The object is never touched; the class gets the seed; one made without a seed draws the same in each run all the same."""
    object_ = made("TPESampler", seed=3)
    assert drive(OptunaOptimizer(SPACE, object_), 12) == drive(OptunaOptimizer(SPACE, object_), 12)
    assert drive(OptunaOptimizer(SPACE, object_), 12) == plain(made("TPESampler", seed=3), 12)
    assert drive(OptunaOptimizer(SPACE, optuna.samplers.TPESampler, seed=3), 12) == plain(made("TPESampler", seed=3), 12)
    unseeded = [OptunaOptimizer(SPACE, made("CmaEsSampler")).for_run(Setup(None, Goal(), 8, 1)) for _ in range(2)]
    assert drive(unseeded[0], 12) == drive(unseeded[1], 12)
    assert OptunaOptimizer(SPACE, object_).describe()["sampler"]["class"] == "TPESampler"


def test_optuna_is_quiet_only_within_calls(caplog: pytest.LogCaptureFixture) -> None:
    """Its experimental warnings and log lines are left out, and its level and the filters are as before."""
    logger = logging.getLogger("optuna")
    before, filters = logger.level, list(warnings.filters)
    with caplog.at_level(logging.DEBUG):
        drive(OptunaOptimizer(SPACE, "CMA-ES", seed=0), 8)
        drive(OptunaOptimizer(SPACE, "TPE", seed=0, multivariate=True, group=True), 8)
    assert not [record for record in caplog.records if record.name.startswith("optuna")]
    assert (logger.level, list(warnings.filters)) == (before, filters)


@pytest.mark.parametrize(
    ("call", "error", "where", "remedy"),
    [
        (lambda: OptunaOptimizer(sampler="tpe"), OptimizerError, "OptunaOptimizer(sampler=)", "Did you mean 'TPE'?"),
        (lambda: OptunaOptimizer(sampler="CMAES"), OptimizerError, "OptunaOptimizer(sampler=)", "Did you mean 'CMA-ES'?"),
        (lambda: OptunaOptimizer(sampler="zzz"), OptimizerError, "OptunaOptimizer(sampler=)", "Write sampler='TPE'"),
        (lambda: OptunaOptimizer(sampler=3), OptimizerError, "OptunaOptimizer(sampler=)", "Write sampler='TPE'"),  # type: ignore[arg-type]
        (lambda: OptunaOptimizer(sampler=dict), OptimizerError, "OptunaOptimizer(sampler=)", "Write sampler='TPE'"),  # type: ignore[arg-type]
        (lambda: OptunaOptimizer(failures="nan"), OptimizerError, "OptunaOptimizer(failures=)", "Write failures='worst'"),  # type: ignore[arg-type]
        (lambda: OptunaOptimizer(n_startup_trial=3), UnknownOption, "OptunaOptimizer", "'n_startup_trials'"),
        (lambda: OptunaOptimizer(group=True, multivariate=False), OptimizerError, "OptunaOptimizer(sampler=)", "Look them up"),
        (
            lambda: OptunaOptimizer(sampler=made("TPESampler"), group=True),
            OptimizerError,
            "OptunaOptimizer(sampler=)",
            "TPESampler",
        ),
        (lambda: OptunaOptimizer(seed=0.5), OptimizerError, "OptunaOptimizer(seed=)", "Leave it out"),  # type: ignore[arg-type]
        (lambda: OptunaOptimizer(duplicates=1), OptimizerError, "OptunaOptimizer(duplicates=)", "Leave it out"),  # type: ignore[arg-type]
        (lambda: OptunaOptimizer().suggest(1), OptimizerError, "OptunaOptimizer", "Give search_space"),
    ],
)
def test_malformed_settings_are_refused(call: Any, error: type[InvalidInput], where: str, remedy: str) -> None:
    """With the name of the setting, and the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert caught.value.where == where
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("sampler", "library", "extra"),
    [("TPE", "optuna", "optuna"), ("CMA-ES", "cmaes", "optuna"), ("QMC", "scipy", "optuna"), ("GP", "torch", "optuna-gp")],
)
def test_a_missing_library_is_named_with_its_extra(sampler: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the optimizer is made, and not when the package is imported."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=f"needs {library}, which is not installed.*'{extra}'") as caught:
        OptunaOptimizer(sampler=sampler)
    assert caught.value.extra == extra


@pytest.mark.parametrize("sampler", [lambda: made("TPESampler"), lambda: made("CmaEsSampler")])
def test_samplers_of_a_function_draw_the_same_again(sampler: Callable[[], Any]) -> None:
    """A function that makes a sampler without a seed is no source of chance: a resumed run must be where it was."""
    first, second = (drive(OptunaOptimizer(SPACE, sampler, seed=4), 3) for _ in range(2))
    assert first == second != drive(OptunaOptimizer(SPACE, sampler, seed=5), 3)


def test_a_seed_in_a_partial_is_kept() -> None:
    """It was given on purpose, whatever the sweep's seed is."""
    partial = functools.partial(optuna.samplers.TPESampler, seed=7)
    assert drive(OptunaOptimizer(SPACE, partial, seed=4), 3) == drive(OptunaOptimizer(SPACE, "TPE", seed=7), 3)


def test_a_sampler_given_as_an_object_is_described_with_its_options() -> None:
    """Two that search differently are two definitions of a kept run."""
    one, other = (OptunaOptimizer(sampler=made("TPESampler", n_startup_trials=count)).describe() for count in (3, 10))
    assert one["sampler"]["class"] == "TPESampler"
    assert one["sampler"]["n_startup_trials"] == 3
    assert one != other
    json.dumps(one)
    drawn, again = (OptunaOptimizer(sampler=made("QMCSampler")).describe() for _ in range(2))
    assert drawn == again


def test_spaces_and_goals_that_a_sampler_cannot_search_are_refused() -> None:
    """When the sweep is made: brute force has no floats, CMA-ES one objective."""

    def sweep(sampler: str, goal: Any) -> SweepExperiment:
        optimizer = OptunaOptimizer(sampler=sampler)
        return SweepExperiment(optimizer=optimizer, search_space={"x": Uniform(0, 1)}, objective=lambda x: x, goal=goal)

    with pytest.raises(OptimizerError, match="does not search continuous parameters"):
        sweep("BruteForce", "maximize")
    with pytest.raises(OptimizerError, match="does not search a goal with several objectives"):
        sweep("CMA-ES", {"a": "maximize", "b": "minimize"})
    sweep("TPE", {"a": "maximize", "b": "minimize"})


def test_a_sweep_with_slots_learns() -> None:
    """Eight at once, by the lines that a user writes: far better than its random start."""
    sweep = SweepExperiment(
        optimizer=OptunaOptimizer(sampler="TPE"),
        search_space={"x": Uniform(-5, 5), "y": Uniform(-5, 5)},
        objective=lambda x, y: (x - 1) ** 2 + (y + 2) ** 2,
        goal="minimize",
        slots=8,
        seed=0,
        store="memory",
    )
    results = sweep.run(budget=60)
    assert len(results.trials) == 60
    assert results.best_score is not None
    assert results.best_score < 0.8
    assert {found.origin for found in results.trials} == {"optuna TPE"}
