"""What a meta-experiment refuses when it is made, and what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from meta_kit import SPACE, base, meta, worth

from metta_sweep import (
    Budget,
    Choice,
    Experiment,
    Integer,
    MetaExperiment,
    Optimizer,
    Pipeline,
    Suggestion,
    SweepExperiment,
    SweepResult,
    TrialContext,
    Uniform,
    Variants,
)
from metta_sweep.errors import (
    BuildError,
    InvalidInput,
    ObjectiveError,
    OptimizerError,
    SchedulerError,
    SearchSpaceError,
    UnknownOption,
)
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import ASHAScheduler, IterationScheduler, PBTScheduler

C = {"scheduler.c": Uniform(0.0, 4.0)}


async def square(trial: TrialContext) -> dict[str, float]:
    """Two metrics."""
    return {"a": trial.params["x"], "b": 1.0}


class Whole(Experiment):
    """A pipeline of two stages."""

    def pipeline(self) -> Pipeline:
        """The stages."""
        return Pipeline(size=int).stage("load", self.load).through(data=list[int]).stage("train", self.train).through(model=float)

    async def load(self, size: int) -> list[int]:
        """So many."""
        return [size]

    async def train(self, data: list[int]) -> float:
        """Their number."""
        return float(len(data))


async def text(data: list[int]) -> str:
    """Another contract."""
    return "model"


async def two(data: list[int], depth: int) -> float:
    """Reads what is not there."""
    return 2.0


class Forgetful(Optimizer):
    """Was given one thing, and holds another."""

    def __init__(self, step: float = 1.0) -> None:
        self.step = step

    def suggest(self, n: int) -> list[Suggestion]:
        """One point."""
        return [Suggestion(params={"x": 0.5, "arm": "a"})]


def forgetful() -> SweepExperiment:
    """A sweep whose optimizer was changed by hand."""
    optimizer = Forgetful()
    optimizer.step = 3.0
    return base(optimizer=optimizer)


def whole(**settings: Any) -> MetaExperiment:
    """A meta-experiment of the pipeline."""
    given: dict[str, Any] = {"base": Whole(), "score": "model", "search_space": {"size": Integer(1, 3)}, **settings}
    return MetaExperiment(**given)


def needs_power(power: float, shape: str) -> SweepExperiment:
    """A factory that needs two things."""
    return base()


CASES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    # the base
    "no base": (
        lambda: MetaExperiment(search_space=C),
        InvalidInput,
        r"MetaExperiment\(base=\): there is no experiment to make copies of",
    ),
    "a number": (
        lambda: meta(base=3),
        InvalidInput,
        r"MetaExperiment\(base=\): an int is no experiment; found 3; expected an experiment, a",
    ),
    "a pipeline": (
        lambda: meta(base=Pipeline()),
        InvalidInput,
        r"a Pipeline is no experiment.*Put it into an experiment: class Mine",
    ),
    "another class": (
        lambda: meta(base=RandomOptimizer),
        InvalidInput,
        r"RandomOptimizer is no experiment.*base=SweepExperiment\(",
    ),
    "a trial function": (
        lambda: meta(base=lambda: 3.0),
        InvalidInput,
        r"<lambda>\(\) returned no experiment; found 3\.0; expected an instance of SweepExperiment.*Return the experiment itself",
    ),
    "by position": (lambda: MetaExperiment(base()), UnknownOption, r"Write MetaExperiment\(base=SweepExperiment\(\.\.\.\)\)"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    "a factory that needs more": (
        lambda: meta(base=needs_power, search_space={"power": Uniform(0, 1)}),
        InvalidInput,
        r"MetaExperiment\(base=\): needs_power\(\) needs 'shape', which is not searched; found 'power'; .*'shape'.*partial",
    ),
    "a class without a search space": (
        lambda: meta(base=SweepExperiment, objective=worth, search_space={"slots": Integer(1, 2)}),
        InvalidInput,
        r"SweepExperiment has nothing to search by itself.*partial\(SweepExperiment, search_space=",
    ),
    # the objective
    "two objectives": (
        lambda: meta(objective=worth, search_space=C),
        ObjectiveError,
        "SweepExperiment has a trial function of its own",
    ),
    "an objective for a pipeline": (
        lambda: whole(objective=worth),
        ObjectiveError,
        "Whole is no sweep, and takes no trial function",
    ),
    # paths
    "a plain name": (lambda: meta(search_space={"c": Uniform(0, 1)}), SearchSpaceError, r"Did you mean 'scheduler\.c'\?"),
    "a misspelt setting": (
        lambda: meta(search_space={"scheduler.prune_flor": Uniform(0, 1)}),
        SearchSpaceError,
        r"leads to nothing in IterationScheduler \(at 'scheduler'\).*Did you mean 'scheduler\.prune_floor'\?",
    ),
    "a misspelt option": (lambda: meta(search_space={"slotz": Integer(1, 2)}), SearchSpaceError, r"Did you mean 'slots'\?"),
    "within a number": (
        lambda: meta(search_space={"slots.more": Integer(1, 2)}),
        SearchSpaceError,
        r"leads to nothing in int \(at 'slots'\).*expected one of no paths: it has no settings",
    ),
    "a hyperparameter of the base": (
        lambda: meta(search_space={"learning_rate": Uniform(0, 1)}),
        SearchSpaceError,
        "what SweepExperiment itself searches is its own search_space",
    ),
    "the name": (lambda: meta(search_space={"name": Choice(["a"])}), SearchSpaceError, "the path 'name' leads to nothing"),
    "a cap that is none": (
        lambda: meta(search_space={"budget.epochs": Integer(1, 2)}),
        SearchSpaceError,
        r"expected one of budget\.trials",
    ),
    "a stage that is none": (
        lambda: whole(search_space={"size": Integer(1, 3), "pipeline.trian": Variants(two=two)}),
        SearchSpaceError,
        r"leads to nothing in the pipeline of Whole; .*one of pipeline\.load, pipeline\.train\. Did you mean",
    ),
    "a path that leads somewhere in one variant only": (
        lambda: meta(search_space={"scheduler": Variants(a=IterationScheduler(), b=ASHAScheduler()), **C}),
        SearchSpaceError,
        r"leads to nothing in ASHAScheduler \(at 'scheduler'\)",
    ),
    # ranges
    "too low": (
        lambda: meta(search_space={"scheduler.c": Uniform(-1.0, 4.0)}),
        SearchSpaceError,
        r"-1\.0 cannot be set there: IterationScheduler\(c=\): the number is too small.*found Uniform.*Narrow the range",
    ),
    "too high": (
        lambda: meta(search_space={"scheduler.c": Choice([1.0, "high"])}),
        SearchSpaceError,
        r"'high' cannot be set there: IterationScheduler\(c=\)",
    ),
    "names for objects": (
        lambda: meta(search_space={"optimizer": Choice(["random", "tpe"])}),
        SearchSpaceError,
        r"'random' cannot be set there: .*it has no suggest\(\) method.*write Variants\(name=object, \.\.\.\)",
    ),
    "a variant that is no optimizer": (
        lambda: meta(search_space={"optimizer": Variants(good=RandomOptimizer(), bad=IterationScheduler())}),
        SearchSpaceError,
        r"'bad' cannot be set there: .*It is a scheduler",
    ),
    "a budget that is none": (
        lambda: meta(search_space={"budget.trials": Uniform(1, 5)}),
        SearchSpaceError,
        r"1\.0 cannot be set there: Budget",
    ),
    "a list is no range": (
        lambda: meta(search_space={"scheduler.c": [0.1, 0.2]}),
        SearchSpaceError,
        r"Write Choice\(\[0\.1, 0\.2\]\)",
    ),
    "nothing to search": (lambda: meta(search_space={}), SearchSpaceError, "it has no parameters"),
    "what was changed by hand": (
        lambda: meta(base=forgetful(), search_space={"optimizer.step": Uniform(0, 1)}),
        InvalidInput,
        r"Forgetful: it has been changed since it was made, and a copy would not have that: step.*Forgetful\(step=",
    ),
    # stages
    "another contract": (
        lambda: whole(search_space={"size": Integer(1, 3), "pipeline.train": Variants(right=Whole.train, wrong=text)}),
        SearchSpaceError,
        r"'wrong' cannot be set there: .*the stage function returns str, which its contract never takes; expected float",
    ),
    "a stage that reads what is not there": (
        lambda: whole(search_space={"size": Integer(1, 3), "pipeline.train": Variants(wrong=two)}),
        SearchSpaceError,
        "parameter 'depth' needs the field 'depth', which nothing provides",
    ),
    "a stage that is needed": (
        lambda: whole(search_space={"size": Integer(1, 3), "pipeline.load": Variants(yes=Whole.load, no=None)}),
        SearchSpaceError,
        r"'no' cannot be set there: .*train: parameter 'data' needs the field 'data', which nothing provides",
    ),
    "an input that is needed": (
        lambda: whole(search_space={"seed": Integer(1, 3)}),
        InvalidInput,
        r"MetaExperiment\(search_space=\): the pipeline of Whole needs the input 'size', .*search_space=\{'size': ",
    ),
    # scores
    "a misspelt score": (
        lambda: meta(search_space=C, score="best_scor"),
        ObjectiveError,
        r"the results of SweepExperiment have no 'best_scor'.*Did you mean 'best_score'\?",
    ),
    "no field": (
        lambda: whole(score="best_score"),
        ObjectiveError,
        "the results of Whole have no 'best_score'; found 'best_score'; expected one of size, data, model, output, spend, seconds",
    ),
    "a score that is none": (
        lambda: meta(search_space=C, score=3),
        ObjectiveError,
        r"MetaExperiment\(score=\): it is no score; found 3",
    ),
    "several objectives": (
        lambda: meta(
            base=base(objective=square, scheduler=None, goal={"a": "maximize", "b": "minimize"}),
            search_space={"slots": Integer(1, 2)},
        ),
        InvalidInput,
        r"no single best trial; found \['a', 'b'\].*Write score=lambda result: result\.hypervolume",
    ),
    "steps of a pipeline": (
        lambda: whole(optimizer=PBTScheduler(), base_budget=3),
        InvalidInput,
        r"MetaExperiment\(scheduler=\): a step of a trial is a copy that goes on with more trials, and Whole is no sweep",
    ),
    # options
    "an unknown option": (lambda: meta(search_space=C, base_budgett=3), UnknownOption, "Did you mean 'base_budget'"),
    "the budget of the whole": (lambda: meta(search_space=C, budget=3), UnknownOption, r"Did you mean run\(budget=100\)"),
    "a budget of copies": (lambda: meta(search_space=C, base_budget=1.5), InvalidInput, r"a float is no budget"),
    "paired with what": (lambda: meta(search_space=C, paired="yes"), InvalidInput, r"MetaExperiment\(paired=\): a str is neither"),
    "two schedulers": (
        lambda: meta(search_space=C, optimizer=PBTScheduler(), scheduler=ASHAScheduler()),
        SchedulerError,
        "PBTScheduler stands in place of the optimizer",
    ),
    "no optimizer": (lambda: meta(search_space=C, optimizer=3), OptimizerError, r"it has no suggest\(\) method"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_refused_when_it_is_made(case: str) -> None:
    """With what was found, what is there, and how to mend it."""
    make, error, message = CASES[case]
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        make()


def test_build_errors_keep_their_faults() -> None:
    """The error of the variant is the cause of the refusal, with all its faults."""
    with pytest.raises(SearchSpaceError) as caught:
        whole(search_space={"size": Integer(1, 3), "pipeline.train": Variants(wrong=text)})
    assert isinstance(caught.value.__cause__, BuildError)
    assert [fault.stage for fault in caught.value.__cause__.faults] == ["train"]
    assert caught.value.__cause__.__notes__ == [f"with pipeline.train = {text!r}"]


def test_values_that_fit_only_together_are_not_refused() -> None:
    """What cannot be set by itself, but can beside other values that are drawn, is left to the trials."""
    sweep = partial(SweepExperiment, objective=worth, search_space=SPACE)
    space = {"scheduler.max_epochs": Integer(2, 5), "scheduler.grace_period": Integer(1, 2)}
    made = meta(base=sweep(scheduler=ASHAScheduler(max_epochs=100, grace_period=10)), search_space=space)
    assert made.search_space.names == ("scheduler.max_epochs", "scheduler.grace_period")


def test_settings_cannot_be_changed_afterwards() -> None:
    """As those of any experiment."""
    made = meta(search_space=C, base_budget=Budget(trials=3))
    with pytest.raises(AttributeError, match=r"MetaExperiment\.paired cannot be set to True"):
        made.paired = True


def test_functions_that_make_experiments_are_not_called_with_the_ends() -> None:
    """Nobody knows what they cost: once, in the middle, to see what they make."""
    asked: list[float] = []

    def make(power: float) -> SweepExperiment:
        asked.append(power)
        return base()

    meta(base=make, search_space={"power": Uniform(0.0, 2.0), "slots": Integer(1, 3)})
    assert asked == [1.0]


def scored(result: SweepResult) -> float:
    """A score."""
    return float(len(result.trials))


def test_it_shows_what_it_is() -> None:
    """The definition names the base, what makes it, and the score."""
    definition = meta(base=partial(base, seed=3), search_space={"slots": Integer(1, 2)}, score=scored)._blueprint().definition
    assert definition["base"]["made_by"] == {"function": "base", "arguments": [], "keywords": {"seed": 3}}
    assert (definition["base"]["class"], definition["score"]) == ("SweepExperiment", "scored")
