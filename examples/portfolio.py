"""Which optimizer suits this problem? Four of them compete for 120 trials, and a bandit decides who proposes next.

Each member of the portfolio is a branch of the iteration scheduler: UCB gives trials to those whose proposals did well, and still
tries the others now and then. All members learn from all results. The function is Hartmann's in six dimensions, whose minimum of
-3.32 is hard to find by chance.
Run it with ``python examples/portfolio.py``; it takes about ten seconds.
"""

import math

from metta_sweep import SweepExperiment, Uniform
from metta_sweep.optimizers import EvolutionOptimizer, OptunaOptimizer, PortfolioOptimizer, RandomOptimizer, SobolOptimizer
from metta_sweep.schedulers import IterationScheduler

WEIGHTS = (1.0, 1.2, 3.0, 3.2)
CURVATURES = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
CENTERS = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)

search_space = {f"x{place}": Uniform(0.0, 1.0) for place in range(6)}


async def hartmann(params: dict[str, float]) -> float:
    """Hartmann's function in six dimensions."""
    point = [params[name] for name in search_space]
    total = 0.0
    for weight, curvature, center in zip(WEIGHTS, CURVATURES, CENTERS, strict=True):
        distance = sum(a * (x - c) ** 2 for a, x, c in zip(curvature, point, center, strict=True))
        total -= weight * math.exp(-distance)
    return total


experiment = SweepExperiment(
    name="portfolio",
    objective=hartmann,
    goal="minimize",
    optimizer=PortfolioOptimizer(
        {
            "random": RandomOptimizer(),
            "sobol": SobolOptimizer(),
            "evolution": EvolutionOptimizer(),
            "tpe": OptunaOptimizer(sampler="TPE"),
        },
        search_space=search_space,
    ),
    scheduler=IterationScheduler(c=0.5),
    slots=3,
    seed=0,
)

if __name__ == "__main__":
    results = experiment.run(budget=120)
    print(results.summary())
    print()
    print(f"{'member':10} trials  mean of its trials")
    for name, stats in sorted(results.branches.items(), key=lambda item: -item[1].runs):
        print(f"{name:10} {stats.runs:6}  {-stats.mean:.3f}")
    print(f"best: {results.best_score:.3f}, proposed by {results.best.origin if results.best else None}")
