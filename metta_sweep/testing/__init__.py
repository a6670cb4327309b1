"""For people who add a member or test their own sweeps: a virtual clock, and bandit problems whose answers are known."""

from metta_sweep.testing.bandits import deterministic_expander, make_deterministic_runner, naive_best
from metta_sweep.testing.virtual import NothingToWaitFor, VirtualLoop, run_virtual

__all__ = [
    "NothingToWaitFor",
    "VirtualLoop",
    "deterministic_expander",
    "make_deterministic_runner",
    "naive_best",
    "run_virtual",
]
