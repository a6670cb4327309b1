"""A real training loop with early stopping: scikit-learn's linear classifier learns the digits, epoch by epoch.

Every epoch is one pass of ``SGDClassifier.partial_fit`` over 1,200 images; its accuracy on 597 others is reported. ASHA pauses a
trial at 1, 3 and 9 epochs, and lets it go on when it is among the best third there. A trial keeps its coefficients in its own
directory, as plain arrays: paused, or killed with its process, it goes on from there (kill this script and start it again).
Run it with ``python examples/digits_training.py``; it takes less than 20 seconds on two cores.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from metta_sweep import Choice, LogUniform, SweepExperiment, TrialContext
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import ASHAScheduler

EPOCHS = 27
search_space = {
    "alpha": LogUniform(1e-6, 1e-1),
    "eta0": LogUniform(1e-4, 1e0),
    "penalty": Choice(["l2", "l1", "elasticnet"]),
    "loss": Choice(["hinge", "log_loss", "modified_huber"]),
}


@cache
def digits() -> Any:
    """1,200 images to train on, 597 to test on."""
    data: Any = load_digits()
    return data.data[:1200] / 16.0, data.target[:1200], data.data[1200:] / 16.0, data.target[1200:]


def save(model: Any, path: Path) -> None:
    """What the model has learned, as arrays."""
    np.savez(path, coef=model.coef_, intercept=model.intercept_, t=model.t_)


def load(model: Any, path: Path) -> None:
    """Take it up: an epoch makes the model ready, and its arrays are replaced by those that were kept."""
    images, labels, _, _ = digits()
    model.partial_fit(images[:10], labels[:10], classes=np.arange(10))
    with np.load(path) as kept:
        model.coef_[:], model.intercept_[:], model.t_ = kept["coef"], kept["intercept"], float(kept["t"])


def train(trial: TrialContext) -> Iterator[dict[str, float]]:
    """One accuracy per epoch."""
    images, labels, unseen, unseen_labels = digits()
    model = SGDClassifier(learning_rate="constant", random_state=trial.seed, **trial.params)
    kept = trial.checkpoint_dir / "model.npz"
    if trial.resume_step:
        load(model, kept)
    for epoch in range(trial.resume_step + 1, EPOCHS + 1):
        order = np.random.default_rng(trial.seed + epoch).permutation(len(images))
        model.partial_fit(images[order], labels[order], classes=np.arange(10))
        save(model, kept)
        yield {"step": epoch, "accuracy": float(model.score(unseen, unseen_labels))}


experiment = SweepExperiment(
    name="digits_training",
    objective=train,
    goal={"accuracy": "maximize"},
    optimizer=RandomOptimizer(search_space),
    scheduler=ASHAScheduler(max_epochs=EPOCHS, reduction_factor=3, grace_period=1),
    slots=4,
    seed=0,
)

if __name__ == "__main__":
    print(f"40 configurations; the best are trained for {EPOCHS} epochs ...")
    results = experiment.run(budget=40)
    print(results.summary())
    reached = Counter(trial.last_report.step for trial in results.trials if trial.last_report is not None)
    print("\nepochs   trials that went so far and no further")
    for epoch, count in sorted(reached.items()):
        print(f"{epoch:6}   {count}")
    spent = sum(event.kind == "report" for event in results.trace)
    print(f"\n{spent} epochs in all, where training every configuration to its end takes {len(results.trials) * EPOCHS}")
