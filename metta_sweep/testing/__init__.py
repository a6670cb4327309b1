"""For people who add a member or test their own sweeps: a virtual clock, conformance suites, bandits of known worth."""

from metta_sweep.testing.bandits import deterministic_expander, make_deterministic_runner, naive_best
from metta_sweep.testing.store_conformance import StoreConformance
from metta_sweep.testing.virtual import NothingToWaitFor, VirtualLoop, run_virtual

__all__ = [
    "NothingToWaitFor",
    "StoreConformance",
    "VirtualLoop",
    "deterministic_expander",
    "make_deterministic_runner",
    "naive_best",
    "run_virtual",
]
