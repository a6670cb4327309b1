"""Orders of items and named objects on the command line."""

from __future__ import annotations

from cli_kit import Cli

from metta_sweep.cli.text import params_text

SWEEP = """
from metta_sweep import Permutation, SweepExperiment, Uniform, Variants
from metta_sweep.optimizers import EvolutionOptimizer, RandomOptimizer


def score(order: list[str], by: str) -> float:
    return float(order.index("divide")) + (by == "random")


def made(**settings: float) -> SweepExperiment:
    return SweepExperiment(
        name="taught",
        objective=score,
        search_space={
            "order": Permutation(["add", "multiply", "divide"]),
            "by": Variants(random=RandomOptimizer(), evolution=EvolutionOptimizer(**settings)),
        },
        optimizer=EvolutionOptimizer(population_size=4),
        seed=0,
        slots=1,
        store="kept.db",
    )


experiment = made()
other = made(crossover=0.1)
"""


def test_parameters_that_are_lists_stand_in_one_line() -> None:
    """As Python writes them."""
    assert params_text({"order": ["b", "a"], "x": 0.123456}) == "order=['b', 'a'], x=0.1235"


def test_a_run_of_orders_is_run_shown_and_goes_on(cli: Cli) -> None:
    """Every trial tells its order; a space of twelve points is used up; other settings of an object are another definition."""
    cli.file("taught.py", SWEEP)
    assert cli("run", "taught.py:experiment", "--budget", "5").code == 0
    shown = cli("show", "taught", "--store", "kept.db")
    assert "order=['" in shown.out
    assert "by='" in shown.out
    told = cli("show", "taught", "trial[0]", "--store", "kept.db").out
    assert "order=['" in told
    other = cli("run", "taught.py:other", "--budget", "20")
    assert other.code == 1
    assert "search_space.by.objects.evolution.crossover: kept 0.5, given 0.1" in other.err
    assert "optimizer_exhausted" in cli("run", "taught.py:experiment", "--budget", "20").out
    assert '"order":["' in cli("trace", "taught", "--store", "kept.db", "--json").out
