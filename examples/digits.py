"""Which model reads handwritten digits best? Three kinds compete, and the scheduler decides which gets the next trial.

Each trial is the cross-validated accuracy of one scikit-learn model on the digits images that come with the library.
Run it with ``make demo``, or ``python examples/digits.py``; it takes less than a minute on two cores.
"""

from functools import cache
from typing import Any

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metta_sweep import Choice, Integer, LogUniform, SweepExperiment, TrialContext
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import IterationScheduler

search_space = {
    "model": Choice(
        {
            "logistic": {"C": LogUniform(1e-4, 1e2)},
            "svm": {"C": LogUniform(1e-2, 1e3), "gamma": LogUniform(1e-6, 1e-1)},
            "forest": {"n_estimators": Integer(10, 200), "max_depth": Integer(2, 20)},
        }
    )
}


@cache
def digits() -> Any:
    """1,797 images of 8 x 8 pixels and what they show, read once."""
    return load_digits()


def build(params: dict[str, Any]) -> Any:
    """The scikit-learn model that the parameters describe."""
    if params["model"] == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(C=params["C"], tol=1e-3, max_iter=1000))
    if params["model"] == "svm":
        return make_pipeline(StandardScaler(), SVC(C=params["C"], gamma=params["gamma"]))
    return RandomForestClassifier(n_estimators=params["n_estimators"], max_depth=params["max_depth"], random_state=0)


def train(trial: TrialContext) -> float:
    """Mean accuracy over three folds."""
    images = digits()
    return float(cross_val_score(build(trial.params), images.data, images.target, cv=3).mean())


experiment = SweepExperiment(
    name="digits",
    objective=train,
    search_space=search_space,
    optimizer=RandomOptimizer(),
    scheduler=IterationScheduler(branch_by="model"),
    slots=3,
    seed=0,
)

if __name__ == "__main__":
    print("60 trials of three kinds of models on the digits images, three at a time ...")
    results = experiment.run(budget=60)  # or Budget(trials=60, seconds=120)
    print(results.summary())
    print()
    print(results.best_params, results.best_score, results.stop_reason, results.branches["svm"].mean)
