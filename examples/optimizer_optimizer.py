"""Optimizing the optimizer: which Bayesian optimizer finds a good classifier in fifteen trials?

Each round suggests a configuration of the optimizer (what its next point maximizes, how much it explores, how many trials run side
by side before it learns), runs three sweeps with it, and learns from the median of their best scores.
Run it with ``python examples/optimizer_optimizer.py``; it takes about 15 seconds.
"""

from functools import cache
from typing import Any

from sklearn.datasets import load_digits
from sklearn.svm import SVC

from metta_sweep import LogUniform, OptimizerOptimizer

search_space = {"C": LogUniform(1e-4, 1e4), "gamma": LogUniform(1e-7, 1e2)}


@cache
def digits() -> Any:
    """1,797 images of 8 x 8 pixels and what they show, read once."""
    return load_digits()


def accuracy(params: dict[str, Any]) -> float:
    """The share of 500 images that is read right, by a model that has learned from 100 others."""
    pixels, shown = digits().data / 16, digits().target
    return float(SVC(**params).fit(pixels[:100], shown[:100]).score(pixels[100:600], shown[100:600]))


experiment = OptimizerOptimizer(
    name="optimizer-optimizer", objective=accuracy, search_space=search_space, rounds=10, budget=15, repeats=3, seed=0
)

if __name__ == "__main__":
    result = experiment.run()
    print("round  acquisition  exploration  batch size  median of the best accuracies")
    for tried in sorted(result.history, key=lambda tried: -tried.performance):
        config = tried.config
        told = f"{config['acquisition_fn']:11}  {config['exploration_rate']:11.3f}  {config['batch_size']:10}"
        print(f"{tried.round:5}  {told}  {tried.performance:.3f}")
    best = result.best_config
    print(f"\nbest: {best['acquisition_fn']}, exploration {best['exploration_rate']:.3f}, batches of {best['batch_size']}")
