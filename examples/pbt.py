"""Population based training: 20 networks learn side by side; those that do badly go on from the weights of better ones.

Each member trains a small network on the digits images that come with scikit-learn, for 50 generations of 500 images. What it finds
is no best setting but a schedule: which learning rate, momentum and weight decay to use at which epoch. The last lines train one
network by that schedule alone. Run it with ``python examples/pbt.py``; it takes less than 20 seconds on two cores.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from metta_sweep import LogUniform, SweepExperiment, TrialContext, Uniform
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import PBTScheduler

search_space = {
    "learning_rate": LogUniform(1e-4, 1e0),
    "momentum": Uniform(0.0, 0.99),
    "weight_decay": LogUniform(1e-6, 1e-2),
}
EPOCHS = 50
HIDDEN = 32


@cache
def digits() -> Any:
    """1,200 images to train on, 597 to test on."""
    data: Any = load_digits()
    images, labels = data.data / 16.0, np.eye(10)[data.target]
    return images[:1200], labels[:1200], images[1200:], labels[1200:]


class Network:
    """One hidden layer, trained by gradient descent with momentum. Its state is four arrays, twice: values and speeds."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        values = [rng.normal(0, 0.1, (64, HIDDEN)), np.zeros(HIDDEN), rng.normal(0, 0.1, (HIDDEN, 10)), np.zeros(10)]
        self.state = values + [np.zeros_like(value) for value in values]

    def save(self, path: Path) -> None:
        """Keep the state: arrays, and nothing that would have to be unpickled."""
        np.savez(path, *self.state)

    def load(self, path: Path) -> None:
        """Take the state up."""
        with np.load(path) as kept:
            self.state = [kept[f"arr_{number}"] for number in range(8)]

    def train(self, epoch: int, params: dict[str, Any]) -> float:
        """One epoch of 500 images, with the parameters of that epoch; the loss on unseen images after it."""
        images, labels, unseen, unseen_labels = digits()
        values, speeds = self.state[:4], self.state[4:]
        order = np.random.default_rng(epoch).permutation(len(images))
        for start in range(0, 500, 100):
            batch = order[start : start + 100]
            slopes = self._slopes(images[batch], labels[batch], values)
            for number, slope in enumerate(slopes):
                speeds[number] *= params["momentum"]
                speeds[number] -= params["learning_rate"] * (slope + params["weight_decay"] * values[number])
                values[number] += speeds[number]
        _, chances = self._forward(unseen, values)
        right = chances[np.arange(len(unseen)), unseen_labels.argmax(axis=1)]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    def _forward(self, images: Any, values: Any) -> tuple[Any, Any]:
        hidden = np.tanh(images @ values[0] + values[1])
        scores = hidden @ values[2] + values[3]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def _slopes(self, images: Any, labels: Any, values: Any) -> list[Any]:
        hidden, chances = self._forward(images, values)
        error = (chances - labels) / len(images)
        back = error @ values[2].T * (1 - hidden**2)
        return [images.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def train(trial: TrialContext) -> Iterator[dict[str, float]]:
    """A member: goes on from the weights in its directory, its own or those that it copied; one loss per epoch."""
    network = Network()
    kept = trial.checkpoint_dir / "network.npz"
    if trial.resume_step:
        network.load(kept)
    for epoch in range(trial.resume_step + 1, EPOCHS + 1):
        loss = network.train(epoch, trial.params)
        network.save(kept)
        yield {"step": epoch, "loss": loss}


experiment = SweepExperiment(
    name="pbt_sweep",
    objective=train,
    goal={"loss": "minimize"},
    optimizer=RandomOptimizer(search_space),
    scheduler=PBTScheduler(
        population_size=20,
        num_generations=50,
        exploit_method="truncation",  # the worst quarter copies one of the best quarter
        explore_method="perturb",  # and changes what it copied: x 1.2, x 0.8 or drawn anew
    ),
    slots=4,  # the members take turns
    seed=0,
)

if __name__ == "__main__":
    print(f"20 networks, {EPOCHS} generations ...")
    with threadpool_limits(1):  # a slot for each core: products of matrices as small as these are slower in several threads
        results = experiment.run()
    print(results.summary())
    schedule = PBTScheduler.schedule(results)
    print("\nThe schedule of the best one, followed back through those that it copied:\n")
    print("from epoch   learning rate   momentum   weight decay")
    for after, params in schedule.points:
        print(f"{after + 1:10}   {params['learning_rate']:13.4f}   {params['momentum']:8.2f}   {params['weight_decay']:12.1e}")
    alone = Network()
    losses = [alone.train(epoch, schedule.at(epoch)) for epoch in range(1, EPOCHS + 1)]
    print(f"\nBy this schedule alone, without a population: {losses[-1]:.4f} (in the population {results.best_score:.4f})")
