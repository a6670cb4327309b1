"""What to try. One optimizer per file; add one by adding its file and its line here."""

from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.queue import SuggestionQueue
from metta_sweep.optimizers.random import RandomOptimizer

__all__ = ["Optimizer", "RandomOptimizer", "SuggestionQueue"]
