"""Stages of a pipeline: which there are, and copies of experiments in which they call something else, or are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from metta_sweep.errors import BuildError, InvalidInput
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.parts.override import stages_of

__all__ = ["stage_paths", "with_stages"]


def stage_paths(experiment: Experiment) -> tuple[str, ...]:
    """The stages of its pipeline at any depth, by their addresses without indices. Empty where it has none to be changed."""
    try:
        pipeline: object = experiment.pipeline()
    except InvalidInput:
        return ()
    return stages_of(pipeline._state) if isinstance(pipeline, Pipeline) else ()  # noqa: SLF001  # it has no other place for them


def with_stages(experiment: Experiment, stages: Mapping[str, Any]) -> Experiment:
    """The experiment, whose own pipeline now calls other functions or pipelines; a stage whose value is None is left out.

    Functions that are methods of its class, and methods of the experiment that it was copied from, become its own methods.

    Raises:
        BuildError: what stands there does not fit, or a stage that was left out is needed.
    """
    # an attribute of the instance stands before the method of its class
    vars(experiment)["pipeline"] = partial(_altered, experiment, experiment.pipeline, stages)
    try:
        experiment.build()
    except BuildError as error:
        for path, value in stages.items():
            error.add_note(f"with pipeline.{path} {'left out' if value is None else f'= {value!r}'}")
        raise
    return experiment


def _altered(experiment: Experiment, pipeline: Callable[[], Pipeline], stages: Mapping[str, Any]) -> Pipeline:
    made = pipeline()
    for path, value in stages.items():
        made = made.override(path, _own(experiment, value))
    return made


def _own(experiment: Experiment, value: Any) -> Any:
    if isinstance(value, MethodType) and isinstance(value.__self__, type(experiment)):
        return getattr(experiment, value.__name__, value)
    if isinstance(value, FunctionType):
        name = value.__name__
        return getattr(experiment, name) if getattr(type(experiment), name, None) is value else value
    return value
