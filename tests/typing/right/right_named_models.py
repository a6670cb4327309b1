"""Named fields beside models: where a pipeline is dynamic, it stays dynamic after ``.through(Model)``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class Config(BaseModel):
    """What a training needs."""

    lr: float
    epochs: int


class Suggestions(BaseModel):
    """What is proposed."""

    trials: list[float]


class Experiment:
    """Stages as methods."""

    scale = 2.0

    async def suggest(self, lr: float, epochs: int) -> Suggestions:
        """Reads the fields of the declared model by their names."""
        return Suggestions(trials=[lr * self.scale] * epochs)

    def train(self, trials: list[float], n_trials: int) -> dict[str, float]:
        """Reads a field of the model that flows there, and a constant."""
        return {str(n): trial for n, trial in enumerate(trials[:n_trials])}

    def rate(self, config: Config, results: dict[str, float], suggestions: Suggestions) -> float:
        """Two views and a field."""
        return config.lr + sum(results.values()) + len(suggestions.trials)

    def pipeline(self) -> Pipeline:
        """Models as contracts, read by name."""
        return (
            Pipeline(lr=float, epochs=int)
            .stage("suggest", self.suggest)
            .through(Suggestions, after=lambda d: repr(len(d.trials)), checkpoint=True)
            .stage("train", self.train, n_trials=50)
            .through(results=dict[str, float])
            .stage("rate", self.rate)
        )

    def of_any_type(self) -> Pipeline:
        """``Pipeline[Any](Model)`` declares the fields of a model and reads them by name."""
        return Pipeline[Any](Config).stage("suggest", self.suggest).stage("train", self.train, n_trials=3)


PIPELINES: list[Pipeline] = [Experiment().pipeline(), Experiment().of_any_type()]
