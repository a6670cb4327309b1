"""Quasi-random search."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from metta_sweep import MemoryStore, SweepExperiment
from metta_sweep.core.distributions import Choice, Integer, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.errors import InvalidInput, MissingExtra, OptimizerError, SuggestionError, UnknownOption
from metta_sweep.optimizers import RandomOptimizer, SobolOptimizer

qmc = pytest.importorskip("scipy.stats").qmc

CUBE = {name: Uniform(0, 1) for name in "abcd"}
MODELS = {
    "model": Choice({"svm": {"C": LogUniform(1e-2, 1e3)}, "forest": {"trees": Integer(1, 500)}, "none": {}}),
    "x": Uniform(0, 1),
}


def params_of(optimizer: SobolOptimizer, *batches: int, **options: Any) -> list[dict[str, Any]]:
    """The parameters of suggestions asked for in these batches."""
    return [suggestion.params for n in batches for suggestion in optimizer.suggest(n, **options)]


def test_the_points_are_those_of_the_library() -> None:
    """Unscrambled, the sequence of SciPy itself, by the names of the parameters."""
    expected = qmc.Sobol(4, scramble=False).random(256).tolist()
    found = params_of(SobolOptimizer({name: CUBE[name] for name in "dacb"}, scramble=False), 256)
    assert [[params[name] for name in "abcd"] for params in found] == expected
    assert type(found[0]["a"]) is float


def test_the_stream_is_the_same_however_it_is_asked_for() -> None:
    """One at a time, in batches, or all at once, beyond the end of a block."""
    whole = params_of(SobolOptimizer(CUBE, seed=3), 200)
    assert params_of(SobolOptimizer(CUBE, seed=3), *[1] * 200) == whole
    assert params_of(SobolOptimizer(CUBE, seed=3), 7, 120, 0, 3, 70) == whole
    assert params_of(SobolOptimizer(CUBE, seed=4), 200) != whole
    assert {suggestion.origin for suggestion in SobolOptimizer(CUBE, seed=3).suggest(3)} == {"sobol"}


def test_it_fills_the_space_more_evenly_than_random_draws_do() -> None:
    """The discrepancy of 128 points is less than half that of random ones, for each of five seeds."""
    for seed in range(5):
        points = [list(params.values()) for params in params_of(SobolOptimizer(CUBE, seed=seed), 128)]
        independent = [list(suggestion.params.values()) for suggestion in RandomOptimizer(CUBE, seed=seed).suggest(128)]
        assert qmc.discrepancy(points) < 0.5 * qmc.discrepancy(independent)


def test_branches_walk_the_same_sequence_each_from_its_beginning() -> None:
    """Asked in turn within two branches, each is covered evenly: not every other point of one sequence, which is one half of it."""
    optimizer = SobolOptimizer(MODELS, seed=0)
    found: dict[str, list[float]] = {"svm": [], "forest": []}
    for _ in range(64):
        for model, values in found.items():
            (params,) = params_of(optimizer, 1, fixed={"model": model})
            assert params["model"] == model
            values.append(params["x"])
    assert found["svm"] == found["forest"]
    for eighth in range(8):
        assert sum(eighth <= 8 * value < eighth + 1 for value in found["svm"]) == 8


def test_a_branch_that_comes_late_has_the_sequence_from_its_beginning_too() -> None:
    """Far behind another one, and that one goes on where it was."""
    svm, forest = {"model": "svm"}, {"model": "forest"}
    optimizer = SobolOptimizer(MODELS, seed=0)
    early = params_of(optimizer, 1000, fixed=svm)
    late = params_of(optimizer, 100, fixed=forest)
    assert late == params_of(SobolOptimizer(MODELS, seed=0), 100, fixed=forest)
    assert early + params_of(optimizer, 100, fixed=svm) == params_of(SobolOptimizer(MODELS, seed=0), 1100, fixed=svm)


def test_a_single_point_beside_an_endless_space_is_suggested_once() -> None:
    """A third of the draws are of the model that has nothing to set."""
    found = params_of(SobolOptimizer({"model": Choice({"svm": {"C": Uniform(0, 1)}, "none": {}})}, seed=1), 50)
    assert len(found) == 50
    assert sum(params == {"model": "none"} for params in found) == 1


def test_duplicates_come_where_they_are_asked_for() -> None:
    """A finite space has no end then."""
    space = {"n": Integer(1, 3)}
    assert len(params_of(SobolOptimizer(space, seed=0), 9)) == 3
    found = params_of(SobolOptimizer(space, seed=0, duplicates=True), 9)
    assert len(found) == 9
    assert {params["n"] for params in found} == {1, 2, 3}


def test_more_parameters_than_the_sequence_has_are_refused_when_the_sweep_is_made() -> None:
    """21201 is the most; the message names optimizers that search more."""
    space = {f"x{number}": Uniform(0, 1) for number in range(21202)}
    with pytest.raises(OptimizerError, match=r"21202 parameters.*up to 21201.*RandomOptimizer"):
        SweepExperiment(search_space=space, optimizer=SobolOptimizer(), objective=lambda trial: 0.0, store=MemoryStore())
    with pytest.raises(OptimizerError, match="at most 21201"):
        SobolOptimizer(space)


def test_without_scipy_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is made, not when a sweep is half through."""
    for name in ("scipy", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"SobolOptimizer needs SciPy.*'sobol'"):
        SobolOptimizer()


def test_importing_the_optimizers_imports_no_scipy() -> None:
    """Only who makes one pays for it."""
    code = "import sys, metta_sweep.optimizers; print([name for name in ('scipy', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_it_describes_its_settings_only() -> None:
    """What it was given, the same in a run."""
    own = SobolOptimizer(seed=7, scramble=False)
    described = {"class": "SobolOptimizer", "scramble": False, "duplicates": False, "seed": 7}
    run = own.for_run(Setup(SearchSpace.of(CUBE), Goal(), 0, 1))
    run.suggest(3)
    assert own.describe() == run.describe() == copy.deepcopy(own).describe() == described


@pytest.mark.parametrize(
    ("call", "error", "where", "remedy"),
    [
        (lambda: SobolOptimizer(scramble=1), OptimizerError, "SobolOptimizer(scramble=)", "Leave it out"),  # type: ignore[arg-type]
        (lambda: SobolOptimizer(duplicates="no"), OptimizerError, "SobolOptimizer(duplicates=)", "Leave it out"),  # type: ignore[arg-type]
        (lambda: SobolOptimizer(seed=0.5), OptimizerError, "SobolOptimizer(seed=)", "Leave it out"),  # type: ignore[arg-type]
        (lambda: SobolOptimizer(scrambel=True), UnknownOption, "SobolOptimizer", "Did you mean 'scramble'?"),  # type: ignore[arg-type]
        (lambda: SobolOptimizer().suggest(1), OptimizerError, "SobolOptimizer", "Give search_space"),
        (lambda: SobolOptimizer(CUBE).suggest(1, fixed={"m": 1}), SuggestionError, "fixed", "to fix a parameter"),
    ],
)
def test_malformed_settings_are_refused(call: Any, error: type[InvalidInput], where: str, remedy: str) -> None:
    """With what is wrong, and the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert caught.value.where == where
    assert remedy in str(caught.value)
