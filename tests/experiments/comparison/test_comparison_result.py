"""What a comparison gives back: the answer in words, frames to plot, JSON."""

from __future__ import annotations

import json
import sys

import pytest
from comparison_kit import comparison, failing, identity, side, template

from metta_sweep import SweepExperiment, Uniform
from metta_sweep.experiments import Comparison
from metta_sweep.optimizers import GridOptimizer

COLUMNS = ["problem", "repeat", "side", "score", "trials", "leaf_trials", "seconds", "cost", "seed", "run", "stop_reason", "error"]
PROBLEMS = {"small": (identity, {"x": Uniform(0.0, 1.0)}), "large": (identity, {"x": Uniform(0.0, 1000.0)})}


def grid_wins() -> Comparison:
    """A grid that holds the best point, against random search."""
    return comparison({"random": side(), "grid": side(GridOptimizer(resolution=2))}, repeats=8)


def test_the_answer_is_in_words() -> None:
    """The summary says who is better, by how much, how sure that is, and how it was found out."""
    text = " ".join(grid_wins().summary().split())
    assert "grid is better than random: median best score 1 against 0." in text
    assert "better in 8 of 8 pairs, p = 0.0078" in text
    assert "paired by repeat: Wilcoxon's signed-rank test, two-sided, exact" in text
    assert "10,000 bootstrap resamples" in text
    assert "all runs of grid have the same score: nothing in them is random" in text
    assert "they did not take the same number of trials: random 3, grid 2" in text


def test_no_difference_is_said_as_such() -> None:
    """Nothing is called better where nothing was found."""
    text = comparison(repeats=8).summary()
    assert "no difference was found between a and b: median best score" in text
    assert "is better than" not in text


def test_the_summary_tells_of_failed_runs() -> None:
    """Runs without a score are counted, and the last of them says why."""
    text = comparison({"sound": side(), "failing": side(objective=failing)}).summary()
    assert "6 of 6 runs of failing have no score, and count as worse than any" in text
    assert "no trial completed, 3 of 3 failed; the last one that failed: ArithmeticError: no score at" in text
    assert "median best score 0.8" in text
    assert "against none" in text
    assert "nan" not in text
    assert "median difference inf [inf, inf]" in text


def test_several_problems_are_told_apart() -> None:
    """Each problem has its own difference; the test ranks within each of them."""
    sides = {"random": SweepExperiment(slots=1), "grid": SweepExperiment(optimizer=GridOptimizer(resolution=2), slots=1)}
    found = comparison(sides, repeats=5, problems=PROBLEMS)
    pair = found.between("grid", "random")
    assert (pair.pairs, pair.better) == (10, "grid")
    assert pair.by_problem["small"].difference < 1 < pair.by_problem["large"].difference
    assert {problem: one.pairs for problem, one in pair.by_problem.items()} == {"small": 5, "large": 5}
    text = found.summary()
    assert "random and grid, 5 repeats on 2 problems, 20 runs" in text
    assert "    small: median difference" in text
    assert "    large: median difference" in text
    assert "paired by problem and repeat" in text


def test_three_sides_have_three_answers() -> None:
    """Every two sides are told apart, and the correction is named."""
    text = comparison({"a": side(), "b": side(), "grid": side(GridOptimizer(resolution=2))}, repeats=9).summary()
    assert text.count("is better than") == 2
    assert "grid is better than a" in text
    assert "p-values corrected for 3 comparisons (Holm)" in text


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_frames_are_ready_to_plot(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row for each run; and one for each trial of each run, with the best score so far."""
    pytest.importorskip(library)
    if library == "pandas":
        monkeypatch.setitem(sys.modules, "polars", None)
    found = comparison({"sound": side(), "failing": side(objective=failing)})
    frame = found.to_frame()
    assert type(frame).__module__.split(".")[0] == library
    assert list(frame.columns) == COLUMNS
    assert frame.shape == (12, 12)
    assert list(frame["seed"]) == [run.seed for run in found.runs]
    curves = found.curves_frame()
    assert list(curves.columns) == ["problem", "repeat", "side", "trial", "best"]
    assert curves.shape == (36, 5)
    first = [
        best
        for side_, repeat, best in zip(curves["side"], curves["repeat"], curves["best"], strict=True)
        if side_ == "sound" and not repeat
    ]
    assert first == sorted(first)
    assert first[-1] == found.runs[0].score


def test_all_of_it_is_json() -> None:
    """to_json() has runs, sides and pairs; what is infinite is null."""
    found = comparison({"sound": side(), "failing": side(objective=failing)})
    told = json.loads(found.to_json())
    assert told == found.to_dict()
    assert told["winner"] == "sound"
    assert told["pairs"][0]["difference"] is None
    assert told["sides"]["sound"]["median"] == found.scores["sound"].median
    assert told["sides"]["failing"]["mean"] is None
    assert len(told["runs"]) == 12
    assert told["direction"] == "maximize"


def test_it_shows_what_it_is() -> None:
    """Its repr names the sides and the winner; the sweep of its runs is there."""
    found = grid_wins()
    assert repr(found) == "<Comparison of random and grid: 16 runs, grid wins>"
    assert repr(comparison(repeats=7)) == "<Comparison of a and b: 14 runs, no winner>"
    assert found.results is not None
    assert set(found.results.branches) == {"random", "grid"}


def test_templates_share_a_problem() -> None:
    """Without problems of their own names, runs belong to the problem called 'problem'."""
    assert comparison({"a": template(), "b": template()}, problems={"one": identity}).problems == ("one",)
    assert comparison().problems == ("problem",)
