"""A state model: every stage takes the state and returns the state, or nothing, or a wider state."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metta_sweep.pipeline import Pipeline


@dataclass(frozen=True)
class State:
    """The state of an experiment."""

    budget: int
    best: float = 0.0


@dataclass(frozen=True)
class Report:
    """What is told at the end."""

    text: str


async def explore(state: State, width: int = 4) -> State:
    """One phase."""
    return replace(state, budget=state.budget - width)


def exploit(state: State) -> State:
    """The other."""
    return replace(state, best=state.best + 1)


def log(state: State) -> None:
    """Changes nothing."""


def report(state: State) -> Report:
    """Ends in another model."""
    return Report(f"{state.best}")


phases: Pipeline[State] = Pipeline(State).stage("explore", explore, width=2).stage("log", log).stage("exploit", exploit)
fluent: Pipeline[State] = (
    Pipeline(State)
    .loop_while(lambda state: state.budget > 0, max_iterations=10)
    .stage("explore", explore)
    .stage("exploit", exploit)
    .end_loop()
    .stage("log", log)
)
reported: Pipeline[State, Report] = phases.stage("report", report)


def extended(pipeline: Pipeline[State]) -> Pipeline[State]:
    """A function that adds a stage."""
    return pipeline.stage("again", explore)


PIPELINES: list[Pipeline] = [phases, fluent, reported, extended(phases), extended(fluent)]
