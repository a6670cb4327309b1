"""Comparing experiments: run against each other in pairs, with a test, intervals and frames."""

from metta_sweep.experiments.comparison.comparing import compare
from metta_sweep.experiments.comparison.experiment import ComparisonExperiment
from metta_sweep.experiments.comparison.pairs import Pair
from metta_sweep.experiments.comparison.result import ComparedRun, Comparison, SideScores

__all__ = ["ComparedRun", "Comparison", "ComparisonExperiment", "Pair", "SideScores", "compare"]
