"""A curriculum: an image classifier is tuned for easy tasks first, and each task begins with what the ones before it have found.

Every task is a sweep over a support vector machine. A task that is not mastered gets another round; one that is mastered hands its
trials on. The same tasks are done without handing on, to see what that is worth (with another seed it may be less).
Kill the script in the middle and start it again: it goes on in the sweep that it was in.
Run it with ``python examples/curriculum.py``; it takes about ten seconds.
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
    {"name": "two-digits", "digits": [3, 8], "noise": 0, "accuracy": 0.94},
    {"name": "ten-digits", "digits": list(range(10)), "noise": 0, "accuracy": 0.94},
    {"name": "noisy", "digits": list(range(10)), "noise": 4, "accuracy": 0.83},
    {"name": "noisier", "digits": list(range(10)), "noise": 6, "accuracy": 0.71},
]

search_space = {"C": LogUniform(1e-4, 1e4), "gamma": LogUniform(1e-7, 1e2)}


@cache
def images(noise: int) -> tuple[Any, Any]:
    """1,797 images of 8 x 8 pixels between 0 and 1, with noise, and what they show."""
    digits: Any = load_digits()
    random = np.random.default_rng(0)
    return (digits.data + noise * random.normal(size=digits.data.shape)) / 16, digits.target


def accuracy(task: Task, params: dict[str, Any]) -> float:
    """The share of images that is read right, by a model that has learned from as many others."""
    pixels, shown = images(task["noise"])
    chosen = np.flatnonzero(np.isin(shown, task["digits"]))
    count = min(500, len(chosen) // 2)
    learned, asked = chosen[:count], chosen[-count:]
    return float(SVC(**params).fit(pixels[learned], shown[learned]).score(pixels[asked], shown[asked]))


def make_sweep(task: Task) -> SweepExperiment:
    """The sweep of one task."""
    return SweepExperiment(
        objective=partial(accuracy, task),
        search_space=search_space,
        optimizer=BayesianOptimizer(initial_trials=5),
        slots=1,  # one after the other: the same trials in every run
    )


def mastered(results: TaskResults, task: Task) -> bool:
    """Whether the best model of a task reads enough of its images."""
    return results.best_score is not None and results.best_score >= task["accuracy"]


def curriculum(name: str, *, transfer: bool) -> CurriculumExperiment:
    """Rounds of four trials, at most six for a task."""
    return CurriculumExperiment(
        name=name,
        tasks=TASKS,
        sweep=make_sweep,
        mastered=mastered,
        budget_per_task=4,
        max_rounds=6,
        transfer=transfer,
        seed=2,
    )


experiment = curriculum("curriculum", transfer=True)
alone = curriculum("each-task-alone", transfer=False)

if __name__ == "__main__":
    result, without = experiment.run(), alone.run()
    print("task         round  trials  accuracy  needed  mastered")
    needed = {task["name"]: task["accuracy"] for task in TASKS}
    for done in result.history:
        told = "yes" if done.mastered else "no"
        print(f"{done.task:12} {done.round:5} {done.trials:7} {done.best_score:9.3f} {needed[done.task]:7.2f}  {told}")
    best = ", ".join(f"{name} = {value:.3g}" for name, value in result.best_params.items())
    print(f"the model of the last task: {best}")
    print("\ntrials until a task was mastered, or given up")
    for task in needed:
        begun, alike = (sum(done.trials for done in tried.history if done.task == task) for tried in (result, without))
        print(f"{task:12} {begun:3} with what the tasks before it found, {alike:3} from nothing")
