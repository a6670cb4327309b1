"""Trial functions get what their signatures ask for."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from executor_runs import outcome_of, task_of, told
from pydantic import BaseModel

from metta_sweep.core.distributions import Choice, Integer, LogUniform, Uniform
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import ObjectiveError
from metta_sweep.executors import LocalExecutor, TrialContext

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

SPACE = SearchSpace.of({"lr": LogUniform(1e-4, 1e-1), "layers": Integer(1, 8)})
BRANCHES = SearchSpace.of(
    {
        "model": Choice(
            {"svm": {"C": Uniform(0.1, 1.0), "gamma": Uniform(0.1, 1.0)}, "forest": {"C": Uniform(1, 2), "depth": Integer(1, 9)}}
        ),
    }
)


class Config(BaseModel):
    """A model of parameters."""

    lr: Annotated[float, LogUniform(1e-4, 1e-1)]
    layers: Annotated[int, Integer(1, 8)]
    dropout: float = 0.1


@dataclasses.dataclass(frozen=True)
class Settings:
    """A dataclass of parameters."""

    lr: float
    layers: int
    dropout: float = 0.1


@dataclasses.dataclass
class Wide:
    """A dataclass that wants more than the space has."""

    lr: float
    momentum: float


class SvmConfig(BaseModel):
    """A model that wants what is absent on a branch."""

    model: str
    gamma: float


def _by_context(trial: TrialContext) -> float:
    return float(trial.params["lr"] * trial.params["layers"])


def _by_trial_name(trial) -> float:  # type: ignore[no-untyped-def]
    return _by_context(trial)


def _by_any_name(t) -> float:  # type: ignore[no-untyped-def]
    return _by_context(t)


def _by_names(lr: float, layers: int) -> float:
    return lr * layers


def _by_names_and_context(lr: float, trial: TrialContext, *, layers: int = 3, factor: float = 1.0) -> float:
    assert isinstance(trial, TrialContext)
    return lr * layers * factor


def _by_model(config: Config) -> float:
    assert isinstance(config, Config)
    return config.lr * config.layers


def _by_model_and_context(config: Config, trial: TrialContext) -> float:
    assert isinstance(trial, TrialContext)
    return _by_model(config)


def _by_dataclass(settings: Settings) -> float:
    return settings.lr * settings.layers


def _by_params(params) -> float:  # type: ignore[no-untyped-def]
    return float(params["lr"] * params["layers"])


def _by_config(config: Any) -> float:
    return _by_params(config)


def _by_dict(everything: dict[str, Any]) -> float:
    return _by_params(everything)


def _by_mapping(everything: Mapping[str, float]) -> float:
    return _by_params(everything)


def _by_rest(lr: float, **rest: Any) -> float:
    return lr * float(rest["layers"])


def _by_optional_context(trial: TrialContext | None = None) -> float:
    assert trial is not None
    return _by_context(trial)


def _beside_the_unresolved(lr: float, layers: int, other: Unknown = None) -> float:
    return lr * layers


FITTING: list[Any] = [
    _by_context,
    _by_trial_name,
    _by_any_name,
    _by_names,
    _by_names_and_context,
    _by_model,
    _by_model_and_context,
    _by_dataclass,
    _by_params,
    _by_config,
    _by_dict,
    _by_mapping,
    _by_rest,
    _by_optional_context,
    _beside_the_unresolved,
    functools.partial(_by_names, layers=9),
    lambda lr, layers: lr * layers,
    lambda **params: params["lr"] * params["layers"],
]


@pytest.mark.parametrize("objective", FITTING)
def test_with_a_search_space(objective: Callable[..., Any]) -> None:
    """Each way of asking for parameters gives them."""
    ended = outcome_of(objective, task_of(lr=0.5, layers=4), space=SPACE)

    assert ended.metrics == {"score": 2.0}, ended.error


@pytest.mark.parametrize("objective", FITTING)
def test_without_a_search_space(objective: Callable[..., Any]) -> None:
    """The same when nothing is known of the parameters before they come."""
    ended = outcome_of(objective, task_of(lr=0.5, layers=4))

    assert ended.metrics == {"score": 2.0}, ended.error


def test_the_model_of_the_space() -> None:
    """A space made of a model gives that model."""
    ended = outcome_of(_by_model, task_of(lr=0.5, layers=4), space=SearchSpace.of(Config))

    assert ended.metrics == {"score": 2.0}


def test_local_classes_under_postponed_annotations() -> None:
    """A model that is local to a function is found through the closure."""

    class Local(BaseModel):
        lr: float

    def train(config: Local) -> float:
        assert Local is not None
        return config.lr

    assert outcome_of(train, task_of(lr=0.5, layers=4), space=SPACE).metrics == {"score": 0.5}


def test_parameters_of_branches_have_defaults() -> None:
    """A parameter that is absent on some branch has the function's default there; one that all branches share needs none."""

    def train(model: str, C: float, gamma: float = 7.0, depth: int = 0) -> float:
        return gamma

    assert outcome_of(train, task_of(model="svm", C=1.0, gamma=0.5), space=BRANCHES).metrics == {"score": 0.5}
    assert outcome_of(train, task_of(model="forest", C=1.0, depth=3), space=BRANCHES).metrics == {"score": 7.0}


def test_changing_params_changes_nothing_else() -> None:
    """A trial function may change its parameters; the trial keeps its own."""
    task = task_of(lr=0.5, layers=[1, 2])

    async def train(trial: TrialContext) -> float:
        trial.params.pop("lr")
        trial.params["layers"].append(3)
        return 1.0

    assert outcome_of(train, task).metrics == {"score": 1.0}
    assert task.trial.params == {"lr": 0.5, "layers": [1, 2]}


def test_a_missing_parameter_is_told_when_the_trial_runs() -> None:
    """Without a search space, the error of the trial names the parameter, what there is, and what was probably meant."""

    def train(learning_rate: float) -> float:
        return learning_rate

    text = told(outcome_of(train, task_of(learning_rat=0.5)))

    assert "ObjectiveError" in text
    assert "'learning_rate' in trial[0]" in text
    assert "found ['learning_rat']" in text
    assert "Did you mean 'learning_rat'?" in text


def test_the_only_bare_parameter_is_no_typo() -> None:
    """Without a search space, a bare parameter that nearly is one of the suggestion is an error, not the context."""
    text = told(outcome_of(lambda momentm: 1.0, task_of(momentum=0.5)))

    assert "Did you mean 'momentum'?" in text


class Method:
    """A user's class."""

    def train(self, trial: TrialContext) -> float:
        """A trial function, once it has its object."""
        return 1.0


async def _a_coroutine(trial: TrialContext) -> float:
    return 1.0


def _a_generator(trial: TrialContext) -> Any:
    yield 1.0


def _positional_only(lr: float, /) -> float:
    return lr


def _variadic(*args: float) -> float:
    return 1.0


MALFORMED: list[tuple[Any, SearchSpace | None, str, str, str]] = [
    (None, SPACE, "cannot be called", "None", "def train(trial: TrialContext)"),
    ("train", SPACE, "cannot be called", "'train'", "def train(trial: TrialContext)"),
    (0.5, SPACE, "cannot be called", "0.5", "def train(trial: TrialContext)"),
    (Method, SPACE, "a class is no trial function", "Method", "Pass an instance"),
    (Method.train, SPACE, "without its object: nothing is there for 'self'", "Method.train", "method of an instance"),
    (_positional_only, SPACE, "'lr' is positional-only", "lr: 'float'", "Take out the '/'"),
    (_variadic, SPACE, "it takes *args", "*args", "Name the parameters"),
    (max, SPACE, "signature cannot be read", "built-in function max", "Wrap it"),
    (lambda lr, layrs: 1.0, SPACE, "'layrs'", "layrs", "Did you mean 'layers'?"),
    (lambda layrs: 1.0, SPACE, "'layrs'", "layrs", "Did you mean 'layers'?"),
    (lambda y: 1.0, SPACE, "'y'", "found 'y'", "Call it trial, or write y: TrialContext"),
    (lambda cfg: cfg["lr"], SPACE, "'cfg'", "found 'cfg'", "params, for a dict of all parameters"),
    (lambda lr, layers, a, b: 1.0, SPACE, "'a'", "found 'a'", "Give it a default"),
    (
        _by_names,
        SearchSpace.of({"lr": Uniform(0, 1)}),
        "'layers'",
        "layers: 'int'",
        "Give it a default, or add it to the search space",
    ),
    (lambda lr, layrs=3: 1.0, SPACE, "'layrs' would always have its default", "layrs=3", "Did you mean 'layers'?"),
    (lambda gamma: 1.0, BRANCHES, "'gamma' is absent on some branches", "gamma", "gamma=None"),
    (
        lambda config, *, trail: 1.0,
        SearchSpace.of({"trial_size": Uniform(0, 1), "trails": Uniform(0, 1)}),
        "'trail'",
        "trail",
        "'trails'",
    ),
]


@pytest.mark.parametrize(("objective", "space", "what", "found", "remedy"), MALFORMED)
def test_malformed_objectives(objective: Any, space: SearchSpace | None, what: str, found: str, remedy: str) -> None:
    """Each says what is wrong, what was found and how to mend it, before anything runs."""
    executor = LocalExecutor()

    with pytest.raises(ObjectiveError) as caught:
        executor.prepare(objective, space)

    text = str(caught.value)
    assert what in text
    assert found in text
    assert remedy in text


@pytest.mark.parametrize("called", [_a_coroutine, _a_generator])
def test_a_function_that_was_called_already(called: Any) -> None:
    """A coroutine or generator object is no function; no warning is left behind."""
    with pytest.raises(ObjectiveError, match=r"was called already.*Leave out the parentheses"):
        LocalExecutor().prepare(called(None), SPACE)


@pytest.mark.parametrize(
    ("annotation", "space", "what"),
    [(Wide, SPACE, "the field 'momentum' of parameter 'it', a Wide"), (SvmConfig, BRANCHES, "the field 'gamma' of parameter 'it'")],
)
def test_models_that_the_space_cannot_fill(annotation: type, space: SearchSpace, what: str) -> None:
    """A required field that is no parameter, or absent on a branch, is found before anything runs."""

    def train(it) -> float:  # type: ignore[no-untyped-def]
        return 1.0

    train.__annotations__["it"] = annotation
    with pytest.raises(ObjectiveError) as caught:
        LocalExecutor().prepare(train, space)

    assert what in str(caught.value)


def test_a_model_that_refuses_its_values() -> None:
    """A validation error of the user's model is the trial's error."""
    assert "ValidationError" in told(outcome_of(_by_model, task_of(lr="fast", layers=4)))


@pytest.mark.parametrize(
    "objective",
    [lambda t: t.seed, lambda ctx: ctx.seed, lambda context: context.seed, lambda _: _.seed, lambda trial: trial.seed],
)
@pytest.mark.parametrize("space", [SPACE, None])
def test_the_context_has_names_of_its_own(objective: Any, space: SearchSpace | None) -> None:
    """A lone parameter that is called as people call the context gets it, with a search space and without."""
    assert outcome_of(objective, task_of(7, lr=0.01, layers=2), space=space).metrics == {"score": 107.0}


def test_another_name_is_no_context_without_a_search_space() -> None:
    """The suggestion may have had it: the trial's error says how to ask for the context."""
    text = told(outcome_of(lambda cfg: cfg["lr"], task_of(momentum=0.5)))

    assert "'cfg'" in text
    assert "write cfg: TrialContext" in text
