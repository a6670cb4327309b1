"""Early stopping: most configurations are trained for 10 epochs, the better third for 30, the best third of these for 90 and more.

Each trial trains a linear classifier on the digits images that come with scikit-learn, epoch by epoch. ASHA pauses it at 10, 30 and
90 epochs and lets it go on when it is among the best third so far: it finds its weights in its own directory, where it left them.
Run it with ``python examples/asha.py``; it takes about ten seconds on two cores.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from metta_sweep import LogUniform, SweepExperiment, TrialContext, Uniform
from metta_sweep.optimizers import OptunaOptimizer
from metta_sweep.schedulers import ASHAScheduler

search_space = {
    "learning_rate": LogUniform(1e-3, 1e1),
    "weight_decay": LogUniform(1e-6, 1e-1),
    "momentum": Uniform(0.0, 0.95),
}


@cache
def digits() -> Any:
    """1,200 images to train on, 597 to test on."""
    data: Any = load_digits()
    images, labels = data.data / 16.0, np.eye(10)[data.target]
    return images[:1200], labels[:1200], images[1200:], labels[1200:]


def train(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Softmax regression by gradient descent with momentum; one accuracy per epoch."""
    images, labels, unseen, unseen_labels = digits()
    rate, decay, momentum = (trial.params[name] for name in search_space)
    kept = trial.checkpoint_dir / "weights.npy"
    weights, speed = np.load(kept) if trial.resume_step else np.zeros((2, 64, 10))
    for epoch in range(trial.resume_step + 1, 101):
        for start in range(0, len(images), 100):
            batch, target = images[start : start + 100], labels[start : start + 100]
            scores = np.exp(batch @ weights - (batch @ weights).max(axis=1, keepdims=True))
            gradient = batch.T @ (scores / scores.sum(axis=1, keepdims=True) - target) / len(batch) + decay * weights
            speed = momentum * speed - rate * gradient
            weights = weights + speed
        np.save(kept, np.stack([weights, speed]))
        yield {"step": epoch, "accuracy": float(((unseen @ weights).argmax(axis=1) == unseen_labels.argmax(axis=1)).mean())}


experiment = SweepExperiment(
    name="asha_sweep",
    objective=train,
    goal={"accuracy": "maximize"},
    optimizer=OptunaOptimizer(search_space, sampler="TPE"),
    scheduler=ASHAScheduler(
        max_epochs=100,
        reduction_factor=3,  # keep the top third at each rung
        grace_period=10,  # epochs before a trial may be stopped
    ),
    seed=0,
)

if __name__ == "__main__":
    results = experiment.run(budget=40)
    print(results.summary())
    epochs = [trial.last_report.step for trial in results.trials if trial.last_report is not None]
    print()
    for step, count in sorted(Counter(epochs).items()):
        print(f"{count:3} trials ended after {step} epochs")
    print(f"{sum(epochs):,} epochs in all; trained in full, the same trials take {100 * len(results.trials):,}")
