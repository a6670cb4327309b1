"""A curriculum: an image classifier is tuned for easy tasks first, and each task begins with what the ones before it have found.

Every task is a sweep over a support vector machine. A task that is not mastered gets another round; one that is mastered hands its
trials on. Kill the script in the middle and start it again: it goes on in the sweep that it was in.
Run it with ``python examples/curriculum.py``; it takes about five seconds.
"""

from functools import cache, partial
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from metta_sweep import CurriculumExperiment, LogUniform, SweepExperiment
from metta_sweep.experiments import TaskResults
from metta_sweep.optimizers import BayesianOptimizer

Task = dict[str, Any]

TASKS: list[Task] = [
    {"name": "two digits", "digits": [3, 8], "noise": 0, "accuracy": 0.99},
    {"name": "ten digits", "digits": list(range(10)), "noise": 0, "accuracy": 0.95},
    {"name": "noisy", "digits": list(range(10)), "noise": 4, "accuracy": 0.84},
    {"name": "noisier", "digits": list(range(10)), "noise": 6, "accuracy": 0.73},
]

search_space = {"C": LogUniform(1e-2, 1e3), "gamma": LogUniform(1e-5, 1e1)}


@cache
def images(noise: int) -> tuple[Any, Any]:
    """1,797 images of 8 x 8 pixels between 0 and 1, with noise, and what they show."""
    digits = load_digits()
    random = np.random.default_rng(0)
    return (digits.data + noise * random.normal(size=digits.data.shape)) / 16, digits.target


def accuracy(task: Task, C: float, gamma: float) -> float:  # noqa: N803  # what scikit-learn calls it
    """The share of images that is read right, by a model that has learned from 500 others."""
    pixels, shown = images(task["noise"])
    chosen = np.flatnonzero(np.isin(shown, task["digits"]))
    learned, asked = chosen[:500] if len(chosen) > 1000 else chosen[::2], chosen[-500:] if len(chosen) > 1000 else chosen[1::2]
    return float(SVC(C=C, gamma=gamma).fit(pixels[learned], shown[learned]).score(pixels[asked], shown[asked]))


def make_sweep(task: Task, seed: int | None = None) -> SweepExperiment:
    """The sweep of one task."""
    return SweepExperiment(
        objective=partial(accuracy, task),
        search_space=search_space,
        optimizer=BayesianOptimizer(initial_trials=5),
        slots=2,
        seed=seed,
    )


def mastered(results: TaskResults, task: Task) -> bool:
    """Whether the best model of a task reads enough of its images."""
    return results.best_score is not None and results.best_score >= task["accuracy"]


experiment = CurriculumExperiment(
    name="curriculum", tasks=TASKS, sweep=make_sweep, mastered=mastered, budget_per_task=6, max_rounds=4, transfer=True, seed=1
)

if __name__ == "__main__":
    result = experiment.run()
    print("task         round  trials  accuracy   needed  mastered")
    needed = {task["name"]: task["accuracy"] for task in TASKS}
    for done in result.history:
        told = "yes" if done.mastered else "no"
        print(f"{done.task:12} {done.round:5} {done.trials:7} {done.best_score:9.3f} {needed[done.task]:8.2f}  {told}")
    last = [done for done in result.history if done.task == TASKS[-1]["name"]]
    trials = sum(done.trials for done in last)
    alone = make_sweep(TASKS[-1], seed=1).kept_in("memory").run(budget=trials)
    reached = max(done.best_score for done in last)
    print(f"\nThe last task came to {reached:.3f} in {trials} trials; begun from nothing, in as many, to {alone.best_score:.3f}.")
    print(f"The model: C={result.best_params['C']:.3g}, gamma={result.best_params['gamma']:.3g}")
