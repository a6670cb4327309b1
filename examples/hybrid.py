"""A hybrid search: explore at random, model what was found, refine a population, and validate the best with several seeds.

Each evaluation trains a small network on its own random choice of images, so that a score is partly luck, and the best of many
scores mostly is. The last phase evaluates the best candidates again: what they are worth stands in its medians.
Run it with ``python examples/hybrid.py``; it takes about five seconds.
"""

from functools import cache
from typing import Any

from sklearn.datasets import load_digits
from sklearn.svm import SVC

from metta_sweep import HybridExperiment, LogUniform, TrialContext

search_space = {"C": LogUniform(1e-2, 1e3), "gamma": LogUniform(1e-5, 1e1)}


@cache
def digits() -> Any:
    """1,797 images of 8 x 8 pixels and what they show, read once."""
    return load_digits()


def accuracy(params: dict[str, Any], trial: TrialContext) -> float:
    """The share of 200 images that is read right, by a model that has learned from 100 others; drawn anew in each trial."""
    drawn = trial.rng.sample(range(len(digits().target)), 300)
    pixels, shown = digits().data[drawn] / 16, digits().target[drawn]
    return float(SVC(**params).fit(pixels[:100], shown[:100]).score(pixels[100:], shown[100:]))


experiment = HybridExperiment(
    name="hybrid",
    objective=accuracy,
    search_space=search_space,
    explore=30,
    model=20,
    refine=(10, 4),
    validate=15,
    candidates=5,
    max_time_per_trial=60,
    slots=1,  # one after the other: the same trials in every run
    seed=0,
)

if __name__ == "__main__":
    result = experiment.run()
    phases = {"explore": result.exploration_results, "model": result.modeled_results, "refine": result.final_results}
    print("phase    trials  best   mean")
    for phase, trials in phases.items():
        scores = [trial.score for trial in trials]
        print(f"{phase:8} {len(trials):6}  {max(scores):.3f}  {sum(scores) / len(scores):.3f}")
    print("\ncandidate    found by     when found  median again  mean and its error  C        gamma")
    for name, found in result.validation_scores.items():
        print(
            f"{name:12} {found.found_by:12} {found.found_score:10.3f} {found.median:13.3f}"
            f"   {f'{found.mean:.3f} +- {found.sem:.3f}':18}  {found.params['C']:<8.3g} {found.params['gamma']:.3g}"
        )
    chosen = ", ".join(f"{name} = {value:.3g}" for name, value in result.best_params.items())
    print(f"\nchosen: {chosen}, which reads {100 * result.best_score:.1f} % of the images in the median")
