"""Bayesian optimization in batches: ten configurations at once, then a model of all results proposes the next ten.

Each trial trains a small neural network on the digits images that come with scikit-learn. Another optimizer is one line:
``AxOptimizer(search_space, acquisition="EI")`` proposes with Ax (``pip install 'metta_sweep[ax]'``).
Run it with ``python examples/batches.py``; it takes about ten seconds on two cores.
"""

from functools import cache
from typing import Any

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from metta_sweep import Choice, Integer, LogUniform, SweepExperiment
from metta_sweep.optimizers import BayesianOptimizer
from metta_sweep.schedulers import SynchronousBatchScheduler


@cache
def digits() -> Any:
    """Images to train on and to test on, and what they show; read once."""
    threadpool_limits(1)  # ten networks at a time: each on one core, or they get in each other's way
    data: Any = load_digits()
    return train_test_split(data.data / 16.0, data.target, train_size=600, test_size=600, random_state=0)


def train(learning_rate: float, batch_size: int, hidden_size: int) -> float:
    """Accuracy on images that the network has not seen, after three passes over the others."""
    images, unseen, labels, unseen_labels = digits()
    settings: dict[str, Any] = {"learning_rate_init": learning_rate, "batch_size": batch_size, "random_state": 0}
    network = MLPClassifier((hidden_size,), **settings)
    for _ in range(3):
        network.partial_fit(images, labels, classes=range(10))
    return float(network.score(unseen, unseen_labels))


experiment = SweepExperiment(
    name="bayesian_sweep",
    objective=train,
    optimizer=BayesianOptimizer(
        search_space={
            "learning_rate": LogUniform(1e-4, 1e-1),
            "batch_size": Choice([32, 64, 128, 256]),
            "hidden_size": Integer(64, 512),
        },
        acquisition="EI",  # expected improvement
    ),
    scheduler=SynchronousBatchScheduler(batch_size=10),
    seed=0,
)

if __name__ == "__main__":
    results = experiment.run(budget=30)
    print(results.summary())
    print()
    for start in range(0, 30, 10):
        scores = [trial.score for trial in results.trials[start : start + 10] if trial.score is not None]
        print(f"batch {start // 10 + 1}: best {max(scores):.3f}, mean {sum(scores) / len(scores):.3f}")
