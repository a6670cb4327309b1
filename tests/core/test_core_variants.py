"""Choices between named objects."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from metta_sweep import Optimizer, Pipeline
from metta_sweep.core.distributions import Choice, Uniform, Variants
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import SearchSpaceError
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.optimizers import EvolutionOptimizer, GridOptimizer, RandomOptimizer
from metta_sweep.schedulers import IterationScheduler


def first(x: float) -> float:
    """One stage."""
    return x


def second(x: float) -> float:
    """Another one."""
    return -x


def test_parameters_hold_the_name_and_object_gives_what_stands_for_it() -> None:
    """Names are drawn equally often, in their order; the objects are the given ones."""
    one, other = RandomOptimizer(), EvolutionOptimizer(crossover=0.1)
    variants = Variants(random=one, evolution=other, none=None)
    assert [variants.from_unit(u) for u in (0.0, 0.34, 0.99)] == ["random", "evolution", "none"]
    assert variants.object("random") is one
    assert variants.object("evolution") is other
    assert variants.object("none") is None
    assert list(variants.objects) == list(variants.options) == ["random", "evolution", "none"]
    with pytest.raises(TypeError):
        variants.objects["random"] = None  # type: ignore[index]


def test_names_that_are_no_identifiers_come_in_a_mapping() -> None:
    """Alone, or beside keywords; keywords may be called as anything."""
    variants = Variants({"a-b": 1, "2": 2}, objects=3, options=4, self=5)
    assert dict(variants.objects) == {"a-b": 1, "2": 2, "objects": 3, "options": 4, "self": 5}
    assert Variants(only=first).options == ("only",)


def test_it_describes_itself_by_names_and_settings() -> None:
    """Part of a kept run's definition: another setting of an object makes it another one."""
    variants = Variants(
        evolution=EvolutionOptimizer(crossover=0.1),
        half=functools.partial(first, x=0.5),
        stage=first,
        train=Pipeline(x=float).stage("train", second),
        broken=Pipeline().stage("needy", second),
        skip=None,
    )
    described = variants.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["options"] == ["evolution", "half", "stage", "train", "broken", "skip"]
    objects = described["objects"]
    assert (objects["evolution"]["class"], objects["evolution"]["crossover"]) == ("EvolutionOptimizer", 0.1)
    assert objects["half"] == {"function": "first", "arguments": [], "keywords": {"x": 0.5}}
    assert (objects["stage"], objects["skip"]) == ("first", None)
    assert "train" in objects["train"]
    assert "needy" in objects["broken"]


def test_it_is_equal_to_one_with_the_same_names_and_settings() -> None:
    """So are search spaces and copies; a choice between the names is another thing."""
    one = Variants(a=EvolutionOptimizer(crossover=0.1), b=first)
    assert one == Variants(a=EvolutionOptimizer(crossover=0.1), b=first) == copy.deepcopy(one)
    assert hash(one) == hash(copy.deepcopy(one))
    assert one != Variants(a=EvolutionOptimizer(crossover=0.2), b=first)
    assert one != Variants(b=first, a=EvolutionOptimizer(crossover=0.1))
    assert one != Choice(["a", "b"])
    assert pickle.loads(pickle.dumps(Variants(a=first, b=None))).object("a") is first
    assert SearchSpace({"o": one}) != SearchSpace({"o": Variants(a=second, b=first)})


def test_it_shows_names_and_objects() -> None:
    """Short: it stands in errors."""
    assert repr(Variants(a=RandomOptimizer(), b=first, c=None, d=3)) == "Variants(a=RandomOptimizer, b=first, c=None, d=3)"
    assert repr(Variants({"a-b": first})) == "Variants({'a-b': first})"


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Variants, "there are no objects"),
        (lambda: Variants([RandomOptimizer()]), r"a list has no names.*Write Variants\(first="),  # type: ignore[arg-type]
        (lambda: Variants({1: first}), "must be a non-empty string.*Write '1'"),  # type: ignore[dict-item]
        (lambda: Variants({"": first}), "must be a non-empty string"),
        (lambda: Variants({"a": first}, a=second), "'a' is given twice"),
    ],
)
def test_objects_without_names_are_refused(make: Any, what: str) -> None:
    """With the call as it should be."""
    with pytest.raises(SearchSpaceError, match=what):
        make()


def test_a_name_that_stands_for_nothing_gets_did_you_mean() -> None:
    """Also a value that is no name."""
    variants = Variants(random=1, evolution=2)
    with pytest.raises(SearchSpaceError, match="Did you mean 'random'"):
        variants.object("randm")
    for wrong in (3, None, ["random"]):
        with pytest.raises(SearchSpaceError, match="one of 'random', 'evolution'"):
            variants.object(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", [RandomOptimizer(), GridOptimizer(), EvolutionOptimizer(population_size=4)])
def test_to_an_optimizer_it_is_a_choice_between_the_names(optimizer: Optimizer) -> None:
    """The same suggestions as for the choice."""

    def suggested(space: dict[str, Any]) -> list[dict[str, Any]]:
        results = SweepExperiment(
            objective=lambda who, x: float(who == "b") - x, search_space=space, optimizer=optimizer, store="memory", seed=0, slots=1
        ).run(25)
        return [trial.params for trial in results.trials]

    x = Uniform(0, 1)
    assert suggested({"who": Variants(a=first, b=second, c=None), "x": x}) == suggested({"who": Choice(["a", "b", "c"]), "x": x})


def test_its_names_can_be_the_branches_of_a_scheduler() -> None:
    """Which object is better is a bandit's question, too."""
    space = {"who": Variants(a=first, b=second), "x": Uniform(0.5, 1.0)}
    results = SweepExperiment(
        objective=lambda who, x: x if who == "b" else 0.1 * x,
        search_space=space,
        scheduler=IterationScheduler(branch_by="who", prune_floor=None, c=0.5),
        store="memory",
        slots=1,
        seed=0,
    ).run(40)
    assert results.branches["b"].runs > results.branches["a"].runs


def test_a_field_of_a_model_carries_it() -> None:
    """The field is text."""

    class Plan(BaseModel):
        who: Annotated[str, Variants(a=first, b=None)]

    space = SearchSpace.of(Plan)
    assert {space.sample_at(0, index)["who"] for index in range(20)} == {"a", "b"}


def test_every_keyword_is_a_name() -> None:
    """Those that Python's own methods have as parameters, too."""
    made = Variants(self=1, cls=2, named=3, name=4)
    assert dict(made.objects) == {"self": 1, "cls": 2, "named": 3, "name": 4}
