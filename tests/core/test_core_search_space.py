"""Search spaces."""

from __future__ import annotations

import copy
import enum
import pickle
import subprocess
import sys
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from metta_sweep.core.distributions import Choice, Constant, Integer, LogUniform, Uniform
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import unit_floats
from metta_sweep.errors import InvalidInput, InvalidName, SearchSpaceError, SuggestionError

exactly = settings(derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

DIGITS = {
    "model": Choice(
        {
            "logistic": {"C": LogUniform(1e-4, 1e2)},
            "svm": {"C": LogUniform(1e-2, 1e3), "kernel": Choice({"rbf": {"gamma": LogUniform(1e-6, 1e-1)}, "linear": {}})},
            "forest": {"n_estimators": Integer(10, 200)},
        }
    ),
    "scale": Choice([True, False]),
}


class Optimizer(enum.StrEnum):
    ADAM = "adam"
    SGD = "sgd"


class Config(BaseModel):
    lr: Annotated[float, LogUniform(1e-4, 1e-1)]
    optimizer: Annotated[Optimizer, Choice(["adam", "sgd"])] = Optimizer.SGD
    layers: Annotated[int, Integer(1, 4), Field(ge=1)]
    epochs: int = 10


def test_names_come_depth_first_and_once() -> None:
    """Names are listed depth first; one that alternatives share is listed once."""
    assert SearchSpace.of(DIGITS).names == ("model", "C", "kernel", "gamma", "n_estimators", "scale")


@exactly
@given(st.integers(0, 2**62), st.integers(0, 10**6))
def test_every_sample_passes_the_check(seed: int, index: int) -> None:
    """What is drawn holds exactly the active parameters, each within its domain."""
    space = SearchSpace.of(DIGITS)
    params = space.sample_at(seed, index)
    space.check(params, "sample")
    assert ("gamma" in params) == (params.get("kernel") == "rbf")
    assert space.sample_at(seed, index) == params


def test_what_is_fixed_changes_nothing_else() -> None:
    """A parameter's value depends on the draw alone, not on what is fixed beside it."""
    space = SearchSpace.of(DIGITS)
    for index in range(50):
        free = space.sample_at(7, index)
        assert space.sample_at(7, index, {"model": free["model"]}) == free
        fixed = space.sample_at(7, index, {"model": "svm"})
        assert fixed["model"] == "svm"
        assert fixed["scale"] == free["scale"]


def test_shared_names_use_the_distribution_of_their_alternative() -> None:
    """A name under several alternatives has the domain that the chosen one gives it."""
    space = SearchSpace.of(DIGITS)
    units = [0.0, 0.999, 0.9, 0.5, 0.5, 0.0]
    assert space.sample(units)["C"] == pytest.approx(100, rel=0.02)
    units[0] = 0.5
    assert space.sample(units)["C"] == pytest.approx(1000, rel=0.02)


def test_the_order_of_writing_does_not_matter() -> None:
    """Two spaces that differ in the order of their parameters are equal and give the same draws."""
    one = SearchSpace.of({"a": Uniform(0, 1), "b": Integer(0, 9)})
    other = SearchSpace.of({"b": Integer(0, 9), "a": Uniform(0, 1)})
    assert one == other
    assert hash(one) == hash(other)
    assert one.sample_at(0, 3) == other.sample_at(0, 3)
    assert one != SearchSpace.of({"a": Uniform(0, 2), "b": Integer(0, 9)})
    assert one != {"a": Uniform(0, 1), "b": Integer(0, 9)}


def test_sample_takes_units_in_the_order_of_names() -> None:
    """``sample`` maps quantile k to name k; another number of quantiles is refused."""
    space = SearchSpace.of({"b": Uniform(0, 1), "a": Uniform(10, 20)})
    assert space.sample([0.25, 0.5]) == {"b": 0.25, "a": 15.0}
    with pytest.raises(SearchSpaceError, match=r"one float per parameter, 2 of them; found \[0.5\]"):
        space.sample([0.5])


def test_sample_draws_nothing_that_is_fixed() -> None:
    """Fixed values are kept, with the parameters that they bring; what cannot be fixed is refused."""
    space = SearchSpace.of(DIGITS)
    units = [0.99] * len(space.names)
    assert space.sample(units, {"model": "svm"}) == space.sample([0.5, *units[1:]])
    with pytest.raises(SuggestionError, match="C"):
        space.sample(units, {"C": 1.0})


def test_draws_are_uniform_and_independent() -> None:
    """Draws of one stream have the mean and the lack of correlation of independent uniform numbers."""
    draws = [unit_floats(3, index, 9) for index in range(4000)]
    for column in range(9):
        assert sum(draw[column] for draw in draws) / 4000 == pytest.approx(0.5, abs=0.02)
    product = sum((draw[0] - 0.5) * (draw[8] - 0.5) for draw in draws) / 4000
    assert product == pytest.approx(0, abs=0.006)


def test_more_parameters_than_one_block() -> None:
    """Spaces of more than eight parameters draw from several blocks."""
    space = SearchSpace.of({f"x{k}": Uniform(0, 1) for k in range(20)})
    assert len(set(space.sample_at(0, 0).values())) == 20


def test_copies_and_pickles_are_the_same_space() -> None:
    """Copies are the space itself; a pickled one is equal and draws alike."""
    space = SearchSpace.of(DIGITS)
    assert copy.deepcopy(space) is space
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert again.sample_at(1, 2) == space.sample_at(1, 2)
    assert SearchSpace.of(space) is space


def test_alternatives_are_the_branches() -> None:
    """The alternatives of a choice are text, and lead back to its options."""
    space = SearchSpace.of(DIGITS)
    assert space.alternatives("model") == ("logistic", "svm", "forest")
    assert space.alternatives("scale") == ("True", "False")
    assert space.alternative_value("scale", "False") is False
    assert space.alternative_value("model", "svm") == "svm"


def test_model_fields_carry_the_distributions() -> None:
    """A model's annotated fields are the parameters; its other fields keep their defaults."""
    space = SearchSpace.of(Config)
    assert space.names == ("lr", "optimizer", "layers")
    assert space.model is Config
    config = space.build_model(space.sample_at(0, 0))
    assert isinstance(config, Config)
    assert config.epochs == 10
    assert isinstance(config.optimizer, Optimizer)
    assert pickle.loads(pickle.dumps(space)).model is Config
    assert space == SearchSpace.of({"layers": Integer(1, 4), "lr": LogUniform(1e-4, 1e-1), "optimizer": Choice(["adam", "sgd"])})


def test_aliased_fields_are_filled_by_name() -> None:
    """Fields with an alias are parameters under their own names."""

    class Aliased(BaseModel):
        rate: Annotated[float, Uniform(0, 1)] = Field(alias="learningRate")

    space = SearchSpace.of(Aliased)
    assert space.build_model({"rate": 0.5}).model_dump() == {"rate": 0.5}


def test_sub_spaces_in_a_model() -> None:
    """Parameters of a sub-space fill fields that have defaults, where they are active."""

    class Nested(BaseModel):
        kind: Annotated[str, Choice({"svm": {"gamma": Uniform(0, 1)}, "none": {}})]
        gamma: float | None = None

    space = SearchSpace.of(Nested)
    assert space.build_model({"kind": "none"}).model_dump() == {"kind": "none", "gamma": None}
    assert space.build_model({"kind": "svm", "gamma": 0.5}).model_dump() == {"kind": "svm", "gamma": 0.5}


def test_pydantic_is_not_imported_without_a_model() -> None:
    """A space made of a mapping imports neither pydantic nor numpy."""
    code = (
        "import sys; from metta_sweep.core.search_space import SearchSpace; from metta_sweep.core.distributions import Uniform;"
        "SearchSpace.of({'x': Uniform(0, 1)}).sample_at(0, 0);"
        "print([name for name in ('pydantic', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class _Missing(BaseModel):
    lr: float


class _Class(BaseModel):
    lr: Annotated[float, Uniform]


class _Twice(BaseModel):
    lr: Annotated[float, Uniform(0, 1), Integer(0, 1)]


class _Type(BaseModel):
    lr: Annotated[int, Uniform(0, 1)]


class _Field(BaseModel):
    kind: Annotated[str, Choice({"svm": {"gama": Uniform(0, 1)}})]
    gamma: float = 1.0


class _Inside(BaseModel):
    lr: Annotated[float, Uniform(0, 1)] | None = None


class _Plain(BaseModel):
    lr: float = 0.1


MALFORMED: list[tuple[Any, str, str, Any, str]] = [
    ({}, "search_space", "no parameters", {}, "SuggestionQueue"),
    ({"lr": 0.1}, "search_space['lr']", "'lr'", 0.1, "Write Constant(0.1)"),
    ({"lr": (0, 1)}, "search_space['lr']", "'lr'", (0, 1), "Write Uniform(0, 1) for a range, Choice([0, 1])"),
    ({"batch": [32, 64, 128]}, "search_space['batch']", "'batch'", [32, 64, 128], "Write Choice([32, 64, 128])"),
    ({"lr": Uniform}, "search_space['lr']", "'lr'", Uniform, "Give it its arguments, such as Uniform(lower, upper)"),
    ({"svm": {"C": Uniform(0, 1)}}, "search_space['svm']", "'svm'", {"C": Uniform(0, 1)}, "under a Choice"),
    ({3: Uniform(0, 1)}, "search_space", "non-empty string", 3, "Name it"),
    ({"": Uniform(0, 1)}, "search_space", "non-empty string", "", "Name it"),
    ([Uniform(0, 1)], "search_space", "a list is no search space", [Uniform(0, 1)], "Write {'lr'"),
    (None, "search_space", "a NoneType is no search space", None, "Write {'lr'"),
    ({"C": Uniform(0, 1), "m": Choice({"svm": {"C": Uniform(0, 1)}})}, "search_space", "m = 'svm'", "C", "Rename one"),
    ({"m": Choice({"svm": {"m": Uniform(0, 1)}})}, "search_space", "'m'", "m", "Rename one"),
    (
        {"a": Choice({"x": {"C": Uniform(0, 1)}}), "b": Choice({"x": {"C": Uniform(0, 1)}})},
        "search_space",
        "'C'",
        "C",
        "Rename one",
    ),
    (_Missing, "_Missing.lr", "'lr'", float, "Write lr: Annotated[float, Uniform(0.0, 1.0)]"),
    (_Class, "_Class.lr", "'lr'", Uniform, "Uniform(lower, upper)"),
    (_Twice, "_Twice.lr", "2 distributions", [Uniform(0, 1), Integer(0, 1)], "Keep one"),
    (_Type, "_Type.lr", "'lr'", 0.37, "Make the type of the field fit Uniform(0.0, 1.0)"),
    (_Inside, "_Inside.lr", "'lr'", Uniform(0, 1), "Annotated[the whole type, Uniform(0.0, 1.0)]"),
    (_Plain, "_Plain", "none of its fields", ["lr"], "Annotate the fields"),
    (_Field, "_Field", "'gama'", "gama", "Did you mean 'gamma'?"),
]


@pytest.mark.parametrize(("space", "where", "what", "found", "remedy"), MALFORMED)
def test_malformed_spaces_are_refused(space: Any, where: str, what: str, found: Any, remedy: str) -> None:
    """A space that cannot be searched is refused with the parameter, what was found and the way to mend it."""
    with pytest.raises(SearchSpaceError) as caught:
        SearchSpace.of(space)
    assert caught.value.found == found
    assert caught.value.where == where
    assert what in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("params", "texts"),
    [
        ({}, ["'model' is missing", "'scale' is missing"]),
        ({"model": "svn", "scale": True}, ["'model' = 'svn' lies outside"]),
        (
            {"model": "forest", "scale": True, "n_estimators": 50, "gamma": 0.1},
            ["'gamma' is there only with model = 'svm' and kernel = 'rbf'"],
        ),
        (
            {"model": "forest", "scale": 1, "n_estimator": 50},
            ["'n_estimators' is missing", "did you mean 'n_estimators'?", "'scale' = 1"],
        ),
        ({"model": "logistic", "scale": True, "C": 1e9}, ["'C' = 1000000000.0 lies outside LogUniform(0.0001, 100.0)"]),
    ],
)
def test_check_names_everything_at_fault(params: dict[str, Any], texts: list[str]) -> None:
    """Parameters outside the space are refused in one error that names each fault."""
    with pytest.raises(SuggestionError) as caught:
        SearchSpace.of(DIGITS).check(params, "suggestion 3")
    assert caught.value.where == "suggestion 3"
    assert caught.value.found == params
    assert caught.value.remedy is not None
    for text in texts:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "where", "found", "remedy"),
    [
        (lambda s: s.sample_at(0, 0, {"modle": "svm"}), SuggestionError, "fixed", "modle", "Did you mean 'model'?"),
        (lambda s: s.sample_at(0, 0, {"model": "tree"}), SuggestionError, "fixed['model']", "tree", "Fix a value"),
        (lambda s: s.sample_at(0, 0, {"C": 1.0}), SuggestionError, "fixed", {"C": 1.0}, "Fix that choice, too"),
        (lambda s: s.sample_at(0, 0, {"model": "svm", "C": -1}), SuggestionError, "fixed['C']", -1, "Fix a value"),
        (lambda s: s.alternatives("modle"), SearchSpaceError, "search_space['modle']", "modle", "Did you mean 'model'?"),
        (lambda s: s.alternatives("kernel"), SearchSpaceError, "search_space['kernel']", "kernel", "the choice that it belongs to"),
        (lambda s: s.alternative_value("model", "svn"), SearchSpaceError, "search_space['model']", "svn", "Did you mean 'svm'?"),
        (lambda s: s.build_model({}), SearchSpaceError, "search_space", None, "Give the pydantic model class"),
    ],
)
def test_wrong_questions_are_refused(call: Any, error: type[InvalidInput], where: str, found: Any, remedy: str) -> None:
    """Asking a space for what it does not have names the question and the nearest answer."""
    with pytest.raises(error) as caught:
        call(SearchSpace.of(DIGITS))
    assert caught.value.where == where
    assert caught.value.found == found
    assert remedy in str(caught.value)


def test_alternatives_that_read_the_same_are_refused() -> None:
    """Options that are the same text cannot be branches."""
    space = SearchSpace.of({"x": Choice([1, "1"])})
    with pytest.raises(SearchSpaceError, match=r"read the same.*Give them different names"):
        space.alternatives("x")


def test_options_that_are_no_names_are_no_branches() -> None:
    """An option whose text cannot be part of an address cannot be a branch."""
    with pytest.raises(InvalidName, match=r"search_space\['x'\] as branches: the name '\[1, 2\]' holds '\['.*Use letters"):
        SearchSpace.of({"x": Choice([[1, 2], [3]])}).alternatives("x")


def test_many_alternatives_may_share_a_name() -> None:
    """A name under thousands of alternatives is one parameter, and any of them can be fixed."""
    space = SearchSpace.of({"arm": Choice({f"a{number}": {"x": Integer(number, number)} for number in range(5000)})})
    assert space.names == ("arm", "x")
    assert space.sample_at(0, 0, {"arm": "a4321"}) == {"arm": "a4321", "x": 4321}


def test_fixed_parameters_of_a_sub_space() -> None:
    """Parameters of a sub-space can be fixed together with their choice."""
    params = SearchSpace.of(DIGITS).sample_at(0, 0, {"model": "svm", "kernel": "linear", "C": 2.0})
    assert {name: params[name] for name in ("model", "kernel", "C")} == {"model": "svm", "kernel": "linear", "C": 2.0}
    assert "gamma" not in params


def test_fixed_values_become_plain() -> None:
    """Fixed numpy scalars become plain numbers, and a fixed list is copied."""
    space, layers = SearchSpace.of({"n": Integer(0, 9), "layers": Choice([[1], [2]])}), [2]
    params = space.sample_at(0, 0, {"n": np.int64(3), "layers": layers})
    layers.append(3)
    assert params == {"n": 3, "layers": [2]}
    assert type(params["n"]) is int


def test_constants_are_parameters() -> None:
    """A constant is there in every draw."""
    assert SearchSpace.of({"epochs": Constant(3)}).sample_at(0, 0) == {"epochs": 3}
