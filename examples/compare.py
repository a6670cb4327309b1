"""Is Bayesian optimization better than random search for my problem? Both run 30 times with 25 trials each, and a test decides.

The problem is Branin's function, whose minimum is 0.398. Put your own objective and search space in its place.
Run it with ``python examples/compare.py``; it takes about half a minute.
"""

import math

from metta_sweep import SweepExperiment, Uniform, compare
from metta_sweep.optimizers import BayesianOptimizer, RandomOptimizer

search_space = {"x": Uniform(-5.0, 10.0), "y": Uniform(0.0, 15.0)}


async def branin(x: float, y: float) -> float:
    """Branin's function, which has three minima of the same depth."""
    valley = y - 5.1 * x**2 / (4 * math.pi**2) + 5 * x / math.pi - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


random = SweepExperiment(goal="minimize", search_space=search_space, optimizer=RandomOptimizer())
bayesian = SweepExperiment(goal="minimize", search_space=search_space, optimizer=BayesianOptimizer())

if __name__ == "__main__":
    comparison = compare(
        {"bayesian": bayesian, "random": random}, repeats=30, budget=25, problems={"branin": branin}, name="comparison", seed=0
    )
    print(comparison.summary())
