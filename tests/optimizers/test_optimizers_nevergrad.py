"""Nevergrad's optimizers as optimizers."""

from __future__ import annotations

import json
import random
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from metta_sweep.core.distributions import Choice, Constant, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import InvalidInput, MissingExtra, OptimizerError, SuggestionError, UnknownOption
from metta_sweep.experiments import SweepExperiment
from metta_sweep.optimizers import NevergradOptimizer

np = pytest.importorskip("numpy")
ng = pytest.importorskip("nevergrad")

SPACE = {
    "x": Uniform(-1, 1),
    "lr": LogUniform(1e-4, 1e-1),
    "k": Integer(1, 50),
    "b": LogInteger(8, 512),
    "act": Choice(["relu", "tanh", None]),
    "size": Choice([16, 32, 64]),
    "model": Choice({"svm": {"C": LogUniform(1e-2, 1e2)}, "none": {}}),
    "always": Constant([1]),
}
FLAT = {"x": Uniform(-1, 1), "y": Uniform(0, 1)}


def loss(params: Mapping[str, Any]) -> float:
    """Something to minimize."""
    return float((params["x"] - 0.3) ** 2 + params.get("k", 0) / 50 + (params.get("act") == "relu") + params.get("y", 0))


def trial(number: int, params: dict[str, Any], state: TrialState = TrialState.COMPLETED, **more: Any) -> Trial:
    """A trial as the optimizer is told of it."""
    return Trial(id=str(number), number=number, index=number, params=params, state=state, **more)


def run_of(space: Any, method: str, direction: Any = "minimize", slots: int = 1, **options: Any) -> NevergradOptimizer:
    """An optimizer for a run, with seed 3."""
    optimizer = NevergradOptimizer(space, method, seed=3, **options).for_run(Setup(None, Goal(direction), 0, slots))
    assert isinstance(optimizer, NevergradOptimizer)
    return optimizer


def drive(optimizer: NevergradOptimizer, n: int, sign: int = 1) -> list[dict[str, Any]]:
    """The parameters of ``n`` trials, one at a time."""
    found: list[dict[str, Any]] = []
    for number in range(n):
        for suggestion in optimizer.suggest(1):
            found.append(suggestion.params)
            optimizer.observe(trial(number, suggestion.params), sign * loss(suggestion.params))
    return found


def parametrization() -> Any:
    """The space in Nevergrad's own words."""
    p = ng.p
    svm, none = p.Dict(model="svm", C=p.Log(lower=1e-2, upper=1e2)), p.Dict(model="none")
    return p.Dict(
        x=p.Scalar(lower=-1, upper=1),
        lr=p.Log(lower=1e-4, upper=1e-1),
        k=p.Scalar(lower=1, upper=50).set_integer_casting(),
        b=p.Log(lower=8, upper=512).set_integer_casting(),
        act=p.Choice(["relu", "tanh", None]),
        size=p.TransitionChoice([16, 32, 64]),
        model=p.Choice([svm, none]),
    )


def plain(made: Any, method: str, n: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Nevergrad's own ask and tell suggests, each point once, within the bounds."""
    from nevergrad.optimization import metamodel

    # numpy from 2.4 on refuses what Nevergrad's metamodels do
    monkeypatch.setattr(metamodel, "float", lambda value: float(np.asarray(value).reshape(())), raising=False)
    state, python_state = np.random.get_state(), random.getstate()
    found: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(3)
        random.seed(3)
        made.random_state = np.random.RandomState(3)
        optimizer = ng.optimizers.registry[method](made, budget=100, num_workers=1)
        for _ in range(n):
            candidate = optimizer.ask()
            params = dict(candidate.value)
            params.update(params.pop("model", {}))
            found.append(params)
            optimizer.tell(candidate, loss(params))
    np.random.set_state(state)
    random.setstate(python_state)
    return [params for place, params in enumerate(found) if params not in found[:place]]


def check_equal(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """The same points, but for rounding: bounds that it passes by the last digit are ours exactly."""
    assert len(ours) >= len(theirs) >= 20
    for mine, other in zip(ours, theirs, strict=False):
        assert {name: value for name, value in mine.items() if name != "always"} == {
            name: pytest.approx(value, rel=1e-14) if isinstance(value, float) else value for name, value in other.items()
        }


@pytest.mark.parametrize(
    "method",
    [
        "DE",
        "OnePlusOne",
        "Cobyla",
        *[pytest.param(name, marks=pytest.mark.slow) for name in ("CMA", "PSO", "TwoPointsDE", "TBPSA", "RandomSearch")],
    ],
)
def test_one_at_a_time_it_suggests_what_nevergrad_does(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to the library's own ask and tell for the same seed and history, but for what it repeats; the sign is turned inside."""
    check_equal(drive(run_of(SPACE, method), 25), plain(parametrization(), method, 25, monkeypatch))


@pytest.mark.parametrize("method", ["NGOpt", pytest.param("MetaModel", marks=pytest.mark.slow)])
def test_methods_that_choose_and_model_are_nevergrads(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On floats alone, with the draws that they take from numpy's own generator."""
    flat = ng.p.Dict(x=ng.p.Scalar(lower=-1, upper=1), y=ng.p.Scalar(lower=0, upper=1))
    check_equal(drive(run_of(FLAT, method), 25), plain(flat, method, 25, monkeypatch))


def test_maximizing_turns_signs() -> None:
    """The same suggestions for the opposite results."""
    assert drive(run_of(SPACE, "DE", "maximize"), 20, -1) == drive(run_of(SPACE, "DE"), 20)


def test_the_processs_generators_are_left_alone() -> None:
    """What the trials draw from numpy and Python is as without it, and it draws the same whatever they do."""
    np.random.seed(1)
    random.seed(1)
    before = np.random.get_state()[1].tolist(), random.getstate()
    first = drive(run_of(FLAT, "NGOpt"), 12)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before
    np.random.seed(2)
    assert drive(run_of(FLAT, "NGOpt"), 12) == first


def test_a_method_that_waits_for_results_never_hangs() -> None:
    """Failed, stopped and forgotten trials leave it without a result, and it is asked on."""
    optimizer = run_of(FLAT, "Cobyla")
    for number in range(12):
        [suggestion] = optimizer.suggest(1)
        if number % 4 == 0:
            optimizer.observe(trial(number, suggestion.params), loss(suggestion.params))
        elif number % 4 == 1:
            optimizer.failed(trial(number, suggestion.params, TrialState.FAILED))
        elif number % 4 == 2:
            optimizer.stopped(trial(number, suggestion.params, TrialState.STOPPED))
    assert len(optimizer.suggest(3)) == 3


def test_a_method_that_waits_for_results_keeps_no_process_alive() -> None:
    """Its threads wait for results that never come; the process ends all the same."""
    optimizer = run_of(FLAT, "Cobyla")
    before = set(threading.enumerate())
    optimizer.suggest(1)
    waiting = set(threading.enumerate()) - before
    assert waiting
    assert all(thread.daemon for thread in waiting)


def test_a_method_that_takes_one_trial_at_a_time_is_refused_with_slots() -> None:
    """When the run begins, with what to write instead."""
    with pytest.raises(OptimizerError, match="takes one trial at a time; found '3 slots'; expected slots=1"):
        run_of(FLAT, "Cobyla", slots=3)


def test_a_failure_counts_as_the_worst_seen() -> None:
    """In the goal's direction: a failure is told with the worst result so far, never as a good one."""

    def next_after(last: float | None) -> list[dict[str, Any]]:
        optimizer = run_of(FLAT, "OnePlusOne", "maximize")
        for number, score in enumerate((-3.0, -1.0, last)):
            [suggestion] = optimizer.suggest(1)
            if score is None:
                optimizer.failed(trial(number, suggestion.params, TrialState.FAILED))
            else:
                optimizer.observe(trial(number, suggestion.params), score)
        return [suggestion.params for suggestion in optimizer.suggest(3)]

    assert next_after(None) == next_after(-3.0) != next_after(0.0)


def test_points_of_others_are_learnt() -> None:
    """Trials that others suggested are told as not asked for, sub-spaces and bounds included."""
    space = {**FLAT, **SPACE}
    taught, untaught = run_of(space, "OnePlusOne"), run_of(space, "OnePlusOne")
    svm: dict[str, Any] = {
        "x": 1.0,
        "y": 0.0,
        "lr": 1e-1,
        "k": 50,
        "b": 8,
        "act": None,
        "size": 64,
        "model": "svm",
        "C": 1e2,
        "always": [1],
    }
    others: list[dict[str, Any]] = [{key: value for key, value in svm.items() if key != "C"} | {"model": "none"}, svm]
    taught.warm_start([trial(number, params, score=-float(number)) for number, params in enumerate(others)])
    assert drive(taught, 6) != drive(untaught, 6)
    for params in others:
        found = taught._whole.space.params(taught._whole.space.candidate(params).value)
        assert found.pop("always") == [1]
        assert found == pytest.approx({name: params[name] for name in params if name != "always"})
    cobyla = run_of(FLAT, "Cobyla")
    cobyla.observe(trial(0, {"x": 0.5, "y": 0.5}), 1.0)  # it learns from its own points only
    assert len(cobyla.suggest(1)) == 1


def test_fixed_parameters_have_an_optimizer_of_their_own() -> None:
    """It searches the rest of the space, and a result goes to the one that suggested it."""
    optimizer = run_of(SPACE, "DE")
    for number in range(8):
        for fixed in ({"model": "svm", "k": 7}, {"act": None}):
            [suggestion] = optimizer.suggest(1, fixed=fixed)
            assert suggestion.params.items() >= fixed.items()
            SearchSpace.of(SPACE).check(suggestion.params, "suggestion")
            optimizer.observe(trial(number, suggestion.params), loss(suggestion.params))
    assert sorted(searched.optimizer.num_tell for searched in optimizer._searched.values()) == [0, 8, 8]
    with pytest.raises(SuggestionError, match="there only with"):
        optimizer.suggest(1, fixed={"C": 1.0})


@pytest.mark.parametrize("method", ["NGOpt", "OnePlusOne"])
def test_no_point_is_suggested_twice(method: str) -> None:
    """A finite space is used up, and then there is nothing more; with ``duplicates`` there is no end."""
    space = {"x": Integer(0, 3), "k": Choice(["p", "q", "r"]), "one": Integer(2, 2)}
    optimizer = NevergradOptimizer(space, method, seed=0)
    found = []
    for number in range(20):
        for suggestion in optimizer.suggest(1):
            found.append(json.dumps(suggestion.params))
            optimizer.observe(trial(number, suggestion.params), float(suggestion.params["x"]))
    assert len(found) == len(set(found)) == 12
    assert len(NevergradOptimizer(space, method, seed=0, duplicates=True).suggest(20)) == 20


def test_one_shot_methods_end_with_their_budget() -> None:
    """They plan all their points beforehand; nothing more is suggested, where Nevergrad raises. A branch goes on at random."""
    optimizer = run_of(FLAT, "ScrHammersleySearch", budget=7)
    assert len(optimizer.suggest(10, fixed={"x": 0.5})) == 10
    assert len(drive(optimizer, 12)) == 7


def test_several_objectives() -> None:
    """All are told; the suggestions depend on each of them, and failures do no harm."""

    def run(weight: float) -> list[dict[str, Any]]:
        goal = Goal.of({"a": "maximize", "b": "minimize"})
        optimizer = NevergradOptimizer(FLAT, "DE", seed=1).for_run(Setup(None, goal, 0, 2))
        found = []
        for number in range(40):
            [suggestion] = optimizer.suggest(1)
            params = suggestion.params
            found.append(params)
            if number % 9 == 0:
                optimizer.failed(trial(number, params, TrialState.FAILED))
            else:
                optimizer.observe(trial(number, params), {"b": weight * params["y"] + params["x"] ** 2, "a": params["x"]})
        return found

    assert run(1.0) == run(1.0) != run(-1.0)


def test_it_describes_its_settings() -> None:
    """Method and budget, and what it was given; the same in a run."""
    assert NevergradOptimizer(method="DE").describe() == {
        "class": "NevergradOptimizer",
        "method": "DE",
        "budget": 100,
        "duplicates": False,
    }
    assert run_of(FLAT, "DE").describe() == NevergradOptimizer(FLAT, "DE", seed=3).describe()


@pytest.mark.parametrize(
    ("call", "error", "where", "remedy"),
    [
        (lambda: NevergradOptimizer(method="ngopt"), OptimizerError, "NevergradOptimizer(method=)", "Did you mean 'NGOpt'?"),
        (lambda: NevergradOptimizer(method=3), OptimizerError, "NevergradOptimizer(method=)", "Write method='NGOpt'"),  # type: ignore[arg-type]
        (lambda: NevergradOptimizer(budget=0), OptimizerError, "NevergradOptimizer(budget=)", "Write budget=100"),
        (lambda: NevergradOptimizer(num_workers=3), UnknownOption, "NevergradOptimizer", "slots=3"),  # type: ignore[arg-type]
        (lambda: NevergradOptimizer().suggest(1), OptimizerError, "NevergradOptimizer", "Give search_space"),
    ],
)
def test_malformed_settings_are_refused(call: Any, error: type[InvalidInput], where: str, remedy: str) -> None:
    """With the name of the setting, and the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert caught.value.where == where
    assert remedy in str(caught.value)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the optimizer is made."""
    monkeypatch.setitem(sys.modules, "nevergrad", None)
    monkeypatch.setitem(sys.modules, "nevergrad.optimization", None)
    with pytest.raises(MissingExtra, match=r"needs nevergrad, which is not installed.*'nevergrad'"):
        NevergradOptimizer()


def test_a_sweep_with_slots_learns() -> None:
    """Eight at once, by the lines that a user writes."""
    sweep = SweepExperiment(
        optimizer=NevergradOptimizer(method="TwoPointsDE", budget=80),
        search_space={"x": Uniform(-5, 5), "y": Uniform(-5, 5)},
        objective=lambda x, y: (x - 1) ** 2 + (y + 2) ** 2,
        goal="minimize",
        slots=8,
        seed=0,
        store="memory",
    )
    results = sweep.run(budget=80)
    assert results.best_score is not None
    assert results.best_score < 1.5
    assert {found.origin for found in results.trials} == {"nevergrad TwoPointsDE"}
