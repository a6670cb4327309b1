"""A comparison on the command line: it is run to its end, and the answer is printed."""

from __future__ import annotations

import json

from cli_kit import Cli

DUEL = """
from metta_sweep import SweepExperiment, Uniform
from metta_sweep.experiments import ComparisonExperiment
from metta_sweep.optimizers import GridOptimizer


async def objective(x: float) -> float:
    return x


space = {"x": Uniform(0.0, 1.0)}
sides = {
    "grid": SweepExperiment(objective=objective, search_space=space, optimizer=GridOptimizer(resolution=2), slots=1),
    "random": SweepExperiment(objective=objective, search_space=space, slots=1),
}
duel = ComparisonExperiment(experiments=sides, repeats=6, budget=2, name="duel", seed=0)
"""


def test_a_comparison_is_run_and_answered(cli: Cli) -> None:
    """All pairs are run, whatever the default budget of a sweep is; words or JSON are on the standard output."""
    cli.file("duel.py", DUEL)
    said = cli("run", "duel.py:duel")
    assert said.code == 0
    assert "grid is better than random: median best score 1 against" in said.out
    told = json.loads(cli("run", "duel.py:duel", "--json").out)
    assert (told["winner"], len(told["runs"])) == ("grid", 12)
    assert "trial[problem:5:random]>random" in cli("tree", "duel").out


def test_further_runs_are_further_repeats(cli: Cli) -> None:
    """``--more`` is refused with what to write in the file."""
    cli.file("duel.py", DUEL)
    said = cli("run", "duel.py:duel", "--more", "3")
    assert said.code == 1
    assert "repeats=16" in said.err
