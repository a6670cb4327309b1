"""Distributions: what one parameter may be, and how likely.

Each turns one uniform float into a value by its inverse cumulative distribution function, so that random, quasi-random and
replayed draws are the same code.
"""

from metta_sweep.core.choices import Choice, Constant, check_parameters
from metta_sweep.core.permutation import Permutation
from metta_sweep.core.ranges import Distribution, Integer, LogInteger, LogUniform, Sampler, Uniform
from metta_sweep.core.variants import Variants

__all__ = [
    "Choice",
    "Constant",
    "Distribution",
    "Integer",
    "LogInteger",
    "LogUniform",
    "Permutation",
    "Sampler",
    "Uniform",
    "Variants",
    "check_parameters",
]
