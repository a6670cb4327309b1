"""From a chain to named fields: what is no model is a field, and from then on anything may be read by its name."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, fields


class Config(BaseModel):
    """What flows in."""

    lr: float
    name: str


class Report(BaseModel):
    """What flows out."""

    text: str


def losses(config: Config) -> list[float]:
    """A field called like the stage."""
    return [config.lr]


def raw(config: Config) -> dict[str, str]:
    """What a contract makes a model of."""
    return {"text": config.name}


def best(losses: list[float], name: str) -> float:
    """Reads a field of a stage and a field of the declared model."""
    return min(losses, default=len(name))


def report(config: Config, best: float) -> Report:
    """The declared model and a field."""
    return Report(text=f"{config.name} {best}")


def publish(report: Report) -> None:
    """Takes the model."""


by_name: Pipeline = Pipeline(Config).stage("losses", losses).stage("best", best).stage("report", report).stage("publish", publish)
by_contract = Pipeline(Config).stage("losses", losses).through(losses=list[float], retry=3).stage("best", best)
by_field_set = Pipeline(Config).stage("losses", losses).through(fields(losses=list[float]), timeout=3).stage("best", best)
by_type = Pipeline(Config).stage("losses", losses).through(list[float]).stage("best", best).stage("report", report)
made_a_model: Pipeline[Config, Report] = Pipeline(Config).stage("raw", raw).through(Report).stage("publish", publish)

PIPELINES: list[Pipeline] = [by_name, by_contract, by_field_set, by_type, made_a_model]
