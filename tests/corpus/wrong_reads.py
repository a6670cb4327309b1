"""What predicates and hooks read, in every way of reading, and what their annotations ask for."""

# ruff: noqa: D102  # stages; the cases say what they show
from __future__ import annotations

import operator
from functools import partial
from typing import Any

from metta_sweep.pipeline import Cache, StageContext

from .cases import Pipeline, wrong
from .parts import Batch, SuggestionOutput, Task, TrainingOutput, Trial, count, suggest


class Watcher:
    """Hooks as methods and as an object."""

    def trails(self, output: Any) -> int:
        return len(output.trails)

    def __call__(self, output: Any) -> int:
        return len(output.trails)


def _suggested(**hooks: Any) -> Any:
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, **hooks)


def _looped(predicate: Any) -> Any:
    return Pipeline(n=int, task=Task).loop_while(predicate).stage("n", count).end_loop()


@wrong("loop", field="k", says="the predicate")
def by_key() -> Any:
    """A field is read by its key."""
    return _looped(lambda ctx: ctx["k"] < 3)


@wrong("loop", field="k", says="the predicate")
def in_an_f_string() -> Any:
    """A field is read within a text."""
    return _looped(lambda ctx: f"{ctx.k}" != "3" and ctx.n < 3)


@wrong("loop", field="ks", says="the predicate")
def in_a_comprehension() -> Any:
    """A field is read by a comprehension."""
    return _looped(lambda ctx: ctx.n < sum(k for k in ctx.ks))


@wrong("loop", field="k", says="the predicate")
def as_a_variable() -> Any:
    """A field is put into a variable first."""

    def predicate(ctx: Any) -> bool:
        k = ctx.k
        return bool(k < 3)

    return _looped(predicate)


@wrong("loop", field="dificulty", says=("the predicate", "did you mean 'difficulty'?"))
def attribute_of_a_model() -> Any:
    """The field is a model, whose own field is misspelt."""
    return _looped(lambda ctx: ctx.n < ctx.task.dificulty)


@wrong("loop", field="size", says="the predicate")
def attribute_of_a_number() -> Any:
    """The field is a number, which has no such attribute."""
    return _looped(lambda ctx: ctx.n.size < 3)


@wrong("loop", field="k", says="the predicate")
def by_an_asynchronous_predicate() -> Any:
    """A coroutine function reads it."""

    async def predicate(ctx: Any) -> bool:
        return bool(ctx.k < 3)

    return _looped(predicate)


@wrong("loop", field="k", says="the predicate")
def by_a_partial() -> Any:
    """A partial of a function reads it."""

    def predicate(limit: int, ctx: Any) -> bool:
        return bool(ctx.k < limit)

    return _looped(partial(predicate, 3))


@wrong("loop", field="k", says="the predicate")
def by_an_attrgetter() -> Any:
    """A getter of the standard library reads it."""
    return _looped(operator.attrgetter("k"))


@wrong("loop", says=("the predicate", "argument"))
def predicate_without_a_parameter() -> Any:
    """A predicate gets the context."""
    return _looped(lambda: True)


@wrong("loop", says=("the predicate", "argument"))
def predicate_with_two_parameters() -> Any:
    """A predicate gets one context, not two fields."""
    return _looped(lambda n, task: n < task.difficulty)


@wrong("choose", says=("the predicate", "argument"))
def predicate_of_a_branch_without_a_parameter() -> Any:
    """So does that of a branch."""
    body = Pipeline().stage("n", count)
    return Pipeline(n=int).branch(lambda: True, body, name="choose")


@wrong("suggest", field="trails", says=("'after'", "did you mean 'trials'?"))
def hook_by_key() -> Any:
    """A field of the output is read by a method of an observer."""
    return _suggested(after=Watcher().trails)


@wrong("suggest", field="trails", says=("'after'", "did you mean 'trials'?"))
def hook_by_an_object() -> Any:
    """A field of the output is read by an object that can be called."""
    return _suggested(after=Watcher())


@wrong("suggest", field="trails", says=("'validate'", "did you mean 'trials'?"))
def hook_by_an_attrgetter() -> Any:
    """A getter of the standard library reads it."""
    return _suggested(validate=operator.attrgetter("trails"))


@wrong("suggest", field="trails", says=("'metrics'",))
def metrics_by_key() -> Any:
    """Metrics are a dict with the fields of the output."""
    return _suggested(metrics=lambda d: len(d["trails"]))


@wrong("suggest", field="after", says=("TrainingOutput", "SuggestionOutput"))
def annotation_of_an_observer() -> Any:
    """The observer is annotated with the output of another stage."""

    def look(output: TrainingOutput) -> None: ...

    return _suggested(after=look)


@wrong("suggest", field="validate", says=("list[Trial]", "SuggestionOutput"))
def annotation_of_a_gate() -> Any:
    """The gate takes the list, and gets the model."""

    def check(trials: list[Trial]) -> bool:
        return len(trials) > 0

    return _suggested(validate=check)


@wrong("count", field="validate", says=("str", "int"))
def annotation_of_a_gate_of_a_bare_value() -> Any:
    """The gate takes a string, and gets a number."""

    def check(n: str) -> bool:
        return n != ""

    return Pipeline(n=int).stage("count", count).through(m=int, validate=check)


@wrong("count", field="on_error", says=("str", "int"))
def replacement_of_another_type() -> Any:
    """The handler says that it returns what the contract never takes."""

    def instead(error: Exception) -> str:
        return "none"

    return Pipeline(n=int).stage("count", count).through(m=int, on_error=instead)


@wrong("count", field="timeout", says=("timeout", ".through("))
def hook_beside_the_function() -> Any:
    """Hooks go into .through(); in .stage() stand constants."""
    return Pipeline(n=int).stage("count", count, timeout=3).through(m=int)


@wrong("count", field="after", says=("after", ".through("))
def observer_beside_the_function() -> Any:
    """The same with an observer."""
    return Pipeline(n=int).stage("count", count, after=print)


@wrong("count", field="retry", says=("Retry", "an int of at least 0"))
def policy_class() -> Any:
    """The class of the policy, not a policy."""
    from metta_sweep.pipeline import Retry

    return Pipeline(n=int).stage("count", count).through(m=int, retry=Retry)


@wrong("suggest", field="seeds", says=("'before'", "did you mean 'seed'?"))
def misspelt_input_of_a_hook() -> Any:
    """The input is called seed."""
    return _suggested(before=lambda d: d.seeds)


@wrong("count", field="size", says=("'before'", "nothing provides"))
def annotation_of_a_before_hook() -> Any:
    """The hook asks for a view with fields that are not there."""

    def look(batch: Batch) -> None: ...

    return Pipeline(n=int, task=Task).stage("count", count).through(m=int, before=look)


@wrong("count", field="k", says=("key", "nothing provides"))
def key_of_a_cache() -> Any:
    """The key of a cache reads a field that is not there."""
    return Pipeline(n=int).stage("count", count).through(m=int, cache=Cache(key=lambda ctx: ctx.k))


@wrong("rate", field="idd", says=("key", "did you mean 'id'?"))
def key_of_an_item() -> Any:
    """The function that names the items reads an attribute that they do not have."""

    async def rate(trial: Trial) -> str:
        return trial.id

    return Pipeline(trials=list[Trial]).map("rate", rate, over="trials", key=lambda trial: trial.idd)


@wrong("count", field="stage", says=("StageContext",))
def constant_for_a_stage_context() -> Any:
    """The parameter gets what the framework knows about the execution, and no constant."""

    def stage(n: int, stage: StageContext) -> int:
        return n

    return Pipeline(n=int).stage("count", stage, stage=3)
