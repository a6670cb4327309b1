"""What cannot be compared is refused before anything runs, and the message says how to mend it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from comparison_kit import SPACE, comparison, identity, side, template, two

from metta_sweep import Choice, Experiment, MemoryStore, MetaExperiment, Pipeline, SweepExperiment, Uniform, compare
from metta_sweep.errors import (
    BudgetError,
    FailureRateExceeded,
    GoalError,
    InvalidInput,
    InvalidName,
    MissingExtra,
    ObjectiveError,
    OptimizerError,
    UnknownOption,
)
from metta_sweep.experiments import ComparisonExperiment
from metta_sweep.experiments.comparison import frames
from metta_sweep.optimizers import PortfolioOptimizer, RandomOptimizer, SobolOptimizer


async def both(x: float) -> dict[str, float]:
    """Two metrics."""
    return {"gain": x, "loss": x}


SEEDED = PortfolioOptimizer({"one": RandomOptimizer(seed=1), "two": SobolOptimizer()})
SEVERAL = {"gain": "maximize", "loss": "minimize"}
REFUSED: list[tuple[dict[str, Any], type[InvalidInput], str]] = [
    ({"experiments": [side(), side()]}, InvalidInput, r"a list is no mapping.*'random': SweepExperiment"),
    ({"budget": 0}, BudgetError, r"compare\(budget=\): runs of no trials have no score; found 0"),
    ({"slots": 0}, BudgetError, r"compare\(slots=\): the number of slots must be"),
    ({"score": "spend.seconds"}, GoalError, r"whether more of it is better is not known; found 'spend.seconds'.*goal='minimize'"),
    ({"experiments": {"a": side()}}, InvalidInput, r"one experiment has nothing to be compared with.*two experiments"),
    ({"experiments": {"a": side(), "b": 3}}, InvalidInput, r"\{'b': \.\.\.\}\): an int is no experiment"),
    ({"experiments": {"a": side(), "b c": side()}}, InvalidName, r"the name 'b c' holds ' '"),
    ({"experiments": {"a": side(), "b:c": side()}}, InvalidInput, r"the name 'b:c' holds ':'"),
    ({"experiments": {"a": side(), "b": dict}}, InvalidInput, r"it made a dict, and no experiment"),
    ({"experiments": {"a": side(), "b": template()}}, ObjectiveError, r"the experiment has no objective.*give problems="),
    ({"experiments": {"a": side(), "b": side(RandomOptimizer(seed=3))}}, OptimizerError, r"RandomOptimizer has a seed.*found 3"),
    ({"experiments": {"a": side(), "b": side(SEEDED)}}, OptimizerError, r"a seed of its own, so that all repeats would draw the"),
    ({"experiments": {"a": side(), "b": side(goal="minimize")}}, GoalError, r"some maximize and some minimize"),
    (
        {"experiments": {name: side(objective=both, goal=SEVERAL) for name in "ab"}},
        GoalError,
        r"several objectives.*result.hypervolume",
    ),
    (
        {"experiments": {name: side(goal="minimize") for name in "ab"}, "score": len},
        GoalError,
        r"whether more of it is better is not known.*goal='minimize'",
    ),
    ({"repeats": 0}, BudgetError, r"compare\(repeats=\).*repeats=30"),
    ({"budget": "much"}, BudgetError, r"a str is no budget"),
    ({"budget": -1}, BudgetError, r"budget"),
    ({"score": 3}, InvalidInput, r"an int is no score"),
    ({"score": "best score"}, InvalidInput, r"no name of an attribute"),
    ({"goal": "up"}, GoalError, r"it names no direction"),
    ({"goal": "minimize"}, GoalError, r"the experiments maximize their best score.*SweepExperiment\(goal='minimize'"),
    ({"slots": 0}, BudgetError, r"the number of slots"),
    ({"problems": {}}, InvalidInput, r"with one at least"),
    ({"problems": {"one": identity}}, InvalidInput, r"an objective of its own, and problems are given"),
    ({"experiments": {"a": template(), "b": template()}, "problems": {"one": 3}}, ObjectiveError, r"an int is no problem"),
    (
        {"experiments": {"a": template(), "b": template()}, "problems": {"one": (identity, {"x": Uniform(0.0, 2.0)})}},
        InvalidInput,
        r"another search space than the problem",
    ),
    (
        {"experiments": {"a": SweepExperiment(), "b": SweepExperiment()}, "problems": {"one": identity}},
        OptimizerError,
        r"RandomOptimizer has nothing to search",
    ),
    ({"experiments": {"a": template(), "b": Experiment()}, "problems": {"one": identity}}, InvalidInput, r"Experiment is no sweep"),
    (
        {"experiments": {"a": template(), "b": template()}, "problems": {"one": (lambda y: y, SPACE)}},
        ObjectiveError,
        r"nothing is there for its parameter 'y'",
    ),
]


@pytest.mark.parametrize(("options", "kind", "message"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_cannot_be_compared_is_refused(options: dict[str, Any], kind: type[InvalidInput], message: str) -> None:
    """Each has its message, and nothing was written."""
    store = MemoryStore()
    with pytest.raises(kind, match=message):
        compare(**{"experiments": two(), "repeats": 6, "budget": 2, "store": store, **options})
    assert list(store.runs()) == []


def test_options_of_other_systems_are_answered() -> None:
    """An unknown option is answered with what was meant."""
    with pytest.raises(UnknownOption, match="Did you mean 'slots'"):
        compare(two(), n_jobs=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownOption, match="options are given by name"):
        ComparisonExperiment(two())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_too_few_repeats_are_said_to_be_too_few(caplog: pytest.LogCaptureFixture) -> None:
    """With fewer than six pairs nothing can be significant: a warning says how many repeats are needed, and the summary, too."""
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        found = comparison(repeats=2)
    assert "6 repeats are the least for 2 sides on 1 problem" in caplog.text
    assert "2 pairs cannot tell a from b, 6 at least are needed" in found.summary()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        comparison({"a": template(), "b": template()}, problems={"one": identity, "two": identity}, repeats=3)
    assert caplog.text == ""


def test_unknown_sides_are_refused() -> None:
    """A name that is none of a side is answered with the one that was meant."""
    found = comparison({"random": side(), "other": side()})
    with pytest.raises(InvalidInput, match="Did you mean 'random'"):
        found.between("randm", "other")
    with pytest.raises(InvalidInput, match="one side, twice"):
        found.between("random", "random")


def test_a_score_that_results_do_not_have_is_told() -> None:
    """An attribute that no result has ends the comparison with what was asked for."""
    with pytest.raises(FailureRateExceeded, match=r"a SweepResult has no 'best_scor'"):
        comparison(score="best_scor")


def test_a_score_that_pipelines_do_not_have_is_answered_with_their_outputs() -> None:
    """A pipeline has no best score by itself: what it gives is named."""

    class Fits(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("fit", lambda: 1.0).through(gain=float)

    with pytest.raises(FailureRateExceeded, match=r"an ExperimentResult has no 'best_score'.*its outputs 'gain'.*score='gain'"):
        comparison({"a": Fits, "b": Fits}, budget=None)


@pytest.mark.parametrize("base", [side(seed=5), side(RandomOptimizer(seed=5))])
def test_seeds_of_what_runs_inside_a_side_are_refused(base: SweepExperiment) -> None:
    """The base of a meta-experiment would be run with the same chance in each repeat."""
    meta = MetaExperiment(base=base, search_space={"slots": Choice([1])}, base_budget=2, slots=1)
    with pytest.raises(OptimizerError, match=r"the base SweepExperiment has a seed of its own.*found 5"):
        comparison({"a": meta, "b": side()})


def test_frames_need_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without polars and pandas, frames name what to install."""
    monkeypatch.setattr(frames, "_installed", lambda library: None)
    with pytest.raises(MissingExtra, match=r"to_frame\(\) needs polars or pandas"):
        comparison().to_frame()
