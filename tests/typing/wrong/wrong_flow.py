"""Mistakes in loops, branches, maps and nested pipelines."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class State(BaseModel):
    """What flows."""

    step: int = 0
    loss: float = 1.0


class Other(BaseModel):
    """Something else."""

    text: str


class Items(BaseModel):
    """What a map goes over."""

    trials: list[float]


def advance(state: State) -> State:
    """One step."""
    return State(step=state.step + 1, loss=state.loss / 2)


def leave(state: State) -> Other:
    """State to Other."""
    return Other(text=str(state.step))


def turn(other: Other) -> Other:
    """Other to Other."""
    return other


def order(items: Items) -> Items:
    """Items to Items."""
    return items


def train(trial: float) -> float:
    """One item."""
    return trial


def is_done(other: Other) -> bool:
    """A predicate of another model."""
    return bool(other.text)


steps = Pipeline(State).stage("advance", advance)
leaving = Pipeline(State).stage("leave", leave)
turning = Pipeline(Other).stage("turn", turn)


def body_ends_in_another_model() -> object:
    """The body of `.loop()` ends in another model."""
    return Pipeline(State).loop(leaving, while_=lambda state: state.step < 3)  # E: mypy pyright build


def body_takes_another_model() -> object:
    """The body of `.loop()` takes another model."""
    return Pipeline(State).loop(turning, while_=lambda state: state.step < 3)  # E: mypy pyright build


def block_predicate_reads_absent_field() -> object:
    """The predicate of `.loop()` reads a field that the state has not."""
    return Pipeline(State).loop(steps, while_=lambda state: state.stp < 3)  # E: mypy pyright build


def block_predicate_takes_another_model() -> object:
    """The predicate of `.loop()` is a function of another model."""
    return Pipeline(State).loop(steps, while_=is_done)  # E: mypy pyright build


def block_predicate_compares_wrong_types() -> object:
    """The predicate of `.loop()` compares a number with a text."""
    return Pipeline(State).loop(steps, while_=lambda state: state.step < "3")  # E: mypy pyright


def block_predicate_is_missing() -> object:
    """`.loop()` has no predicate."""
    return Pipeline(State).loop(steps)  # E: mypy pyright build


def limit_is_text() -> object:
    """`max_iterations` is a text."""
    return Pipeline(State).loop(steps, while_=lambda state: state.step < 3, max_iterations="9")  # E: mypy pyright build


def fluent_predicate_reads_absent_field() -> object:
    """The predicate of `.loop_while()` reads a field that the state has not."""
    return Pipeline(State).loop_while(lambda state: state.stp < 3).stage("advance", advance).end_loop()  # E: mypy pyright build


def fluent_body_takes_another_model() -> object:
    """A stage between `.loop_while()` and `.end_loop()` takes another model."""
    return Pipeline(State).loop_while(lambda state: state.step < 3).stage("turn", turn).end_loop()  # E: mypy pyright build


def branch_predicate_reads_absent_field() -> object:
    """The predicate of `.branch()` reads a field that the model has not."""
    return Pipeline(State).branch(lambda state: state.stp < 3, steps)  # E: mypy pyright build


def then_takes_another_model() -> object:
    """The block `then` takes another model."""
    return Pipeline(State).branch(lambda state: state.step < 3, turning)  # E: mypy pyright build


def otherwise_takes_another_model() -> object:
    """The block `otherwise` takes another model."""
    return Pipeline(State).branch(lambda state: state.step < 3, leaving, turning)  # E: mypy pyright build


def one_block_ends_in_another_model() -> object:
    """A stage takes what only one block of the branch before it ends in."""
    return Pipeline(State).branch(lambda state: state.step < 3, leaving, steps).stage("turn", turn)  # E: mypy pyright build


def only_one_block_provides() -> object:
    """A stage takes what a branch without `otherwise` may not provide."""
    return Pipeline(State).branch(lambda state: state.step < 3, leaving).stage("turn", turn)  # E: mypy pyright build


def block_is_a_function() -> object:
    """A block of a branch is a function."""
    return Pipeline(State).branch(lambda state: state.step < 3, advance)  # E: mypy pyright build


def nested_pipeline_takes_another_model() -> object:
    """A pipeline as a stage takes another model."""
    return Pipeline(State).stage("turning", turning)  # E: mypy pyright build


def stage_after_nested_pipeline_takes_another_model() -> object:
    """A stage after a nested pipeline takes another model than that ends in."""
    return Pipeline(State).stage("leaving", leaving).stage("order", order)  # E: mypy pyright build


def failed_items_are_misspelt() -> object:
    """`on_item_error` of a map is misspelt."""
    return Pipeline(Items).map("train", train, over="trials", on_item_error="colect")  # E: mypy pyright build


def map_is_over_nothing() -> object:
    """A map without `over`."""
    return Pipeline(Items).map("train", train)  # E: mypy pyright build


def map_is_over_no_field() -> object:
    """A map over a field that nothing provides."""
    return Pipeline(Items).map("train", train, over="trails")  # E: build


def items_have_another_type() -> object:
    """The function of a map takes another type than the items have."""
    return Pipeline(Items).map("turn", turn, over="trials")  # E: build


def replaced_stage_is_misspelt() -> object:
    """`.override()` names no stage."""
    return steps.override("advanec", advance)  # E: build


def replacement_gives_another_model() -> object:
    """`.override()` puts in a function that takes and returns something else."""
    return leaving.override("leave", train)  # E: build
