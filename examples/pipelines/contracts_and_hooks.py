"""Contracts and hooks: a model says what a stage makes; hooks watch it, judge it, retry it, replace it, keep it and cache it.

The evaluation is cached: the second run, under another name, does not do it again.
Run it with ``python examples/pipelines/contracts_and_hooks.py``; it takes no time.
"""

import logging
import sys

from pydantic import BaseModel

from metta_sweep import Experiment, MemoryStore, Pipeline

logger = logging.getLogger("example")
connections: list[str] = []
evaluations: list[str] = []
"""What was done, to be counted at the end."""


class Trial(BaseModel):
    """One configuration that is to be tried."""

    name: str
    learning_rate: float


class SuggestionOutput(BaseModel):
    """What the first stage makes; its fields are what the next stages may read."""

    trials: list[Trial]


class TrainingOutput(BaseModel):
    """The score of each trial, and of those that could not be trained none."""

    scores: dict[str, float]
    lost: list[str] = []


class EvalOutput(BaseModel):
    """What is known in the end."""

    best: str
    score: float


class MyExperiment(Experiment):
    """Suggest, train, evaluate."""

    async def generate_suggestions(self, n: int) -> SuggestionOutput:
        """Learning rates, each half of the one before."""
        return SuggestionOutput(trials=[Trial(name=f"trial-{i}", learning_rate=0.1 / 2**i) for i in range(n)])

    async def train_models(self, trials: list[Trial]) -> TrainingOutput:
        """A cluster that cannot be reached the first two times."""
        connections.append("train")
        if len(connections) <= 2:
            raise ConnectionError("no answer from the cluster")
        return TrainingOutput(scores={trial.name: round(1.0 - abs(trial.learning_rate - 0.025) * 10, 3) for trial in trials})

    def handle_failure(self, error: Exception) -> TrainingOutput:
        """What counts when training failed for good. None instead would let the error stand."""
        logger.error("training failed: %s", error)
        return TrainingOutput(scores={}, lost=["all of them"])

    @staticmethod
    def evaluate_results(scores: dict[str, float]) -> EvalOutput:
        """The best of them. It reads nothing of the experiment, so that its output may be cached."""
        best = max(scores, key=lambda name: scores[name])
        evaluations.append(best)
        return EvalOutput(best=best, score=scores[best])

    def pipeline(self) -> Pipeline:
        """Three stages, each with its contract and its hooks."""
        return (
            Pipeline(n=int)
            # Stage 1: generate suggestions
            .stage("suggest", self.generate_suggestions)
            .through(
                SuggestionOutput,  # the contract
                after=lambda d: logger.info("generated %d trials", len(d.trials)),
                validate=lambda d: len(d.trials) > 0,
                checkpoint=True,
                timeout=300,
            )
            # Stage 2: train models
            .stage("train", self.train_models)
            .through(
                TrainingOutput,
                retry=3,  # up to three more attempts
                on_error=self.handle_failure,
            )
            # Stage 3: evaluate results
            .stage("evaluate", self.evaluate_results)
            .through(
                EvalOutput,
                cache=True,  # not again for the same scores, in whatever run
            )
        )


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)-7s %(message)s")
    logging.getLogger("metta_sweep").setLevel(logging.WARNING)
    print(MyExperiment().build().describe(), "\n")
    store = MemoryStore()
    for name in ("first", "second"):
        result = MyExperiment(name=name, store=store).run(n=4)
        print(f"{name} run: {result.best} scores {result.score:.2f}")
    print(f"{len(connections)} attempts to train, {len(evaluations)} evaluation")
