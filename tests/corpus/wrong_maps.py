"""Maps: what they run over, what an item is, and where the results go."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import ref

from .cases import Pipeline, wrong
from .parts import Scored, Task, Trial, count, nothing


async def score(trial: Trial) -> float:
    return trial.score or 0.0


async def rate(trial: Scored, weight: float = 1.0) -> float:
    return trial.score * weight


def scaled(trial: Trial, scale: float) -> float:
    return (trial.score or 0.0) * scale


def total(scores: list[float]) -> float:
    return sum(scores)


def _mapped(fn: Any = score, *, trials: Any = list[Trial], **options: Any) -> Any:
    return Pipeline(trials=trials).map("rate", fn, **{"over": "trials", "into": "scores", **options})


@wrong("rate", field="trials", says=("needs Trial, but the items are Task", "trials[*].id: is not provided"))
def wrong_element() -> Any:
    """The elements are tasks, the function takes trials."""
    return _mapped(trials=list[Task])


@wrong("rate", field="trials", says="trials[*].score: provides float | None, needs float")
def field_of_an_element() -> Any:
    """A field of the elements may be None."""
    return _mapped(rate)


@wrong("rate", field="trials", says=("trials[*]", "needs Trial"))
def optional_elements() -> Any:
    """Some elements may be None."""
    return _mapped(trials=list[Trial | None])


@wrong("rate", field="trails", says="did you mean 'trials'?")
def misspelt_field() -> Any:
    """The field is called trials."""
    return _mapped(over="trails")


@wrong("rate", field="rows", says="nothing provides")
def over_nothing() -> Any:
    """Nobody provides the field."""
    return _mapped(over="rows")


@wrong("rate", field="trials", says="may not have run")
def over_what_may_not_be_there() -> Any:
    """Only the body of a loop provides the field."""

    def suggest(n: int) -> list[Trial]:
        return [Trial(id=str(n))]

    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).stage("trials", suggest).end_loop()
    return loop.map("rate", score, over="trials", into="scores")


@wrong("rate", field="later", says="provided only later")
def over_what_comes_later() -> Any:
    """A later stage provides the field."""
    return _mapped(over="later").stage("make", list).through(later=list[Trial])


@wrong("rate", field="trials", says=("int", "list"))
def over_a_number() -> Any:
    """A number has no elements."""
    return _mapped(trials=int)


@wrong("rate", field="trials", says="dict")
def over_a_dict() -> Any:
    """The elements of a dict are its keys, which is hardly meant."""
    return _mapped(trials=dict[str, Trial])


@wrong("rate", field="trials", says="list[Trial] | None")
def over_an_optional_list() -> Any:
    """There may be no list."""
    return _mapped(trials=list[Trial] | None)


@wrong("rate", field="limit", says=("found 0", "at least 1"))
def limit_of_nothing() -> Any:
    """Nothing would ever run."""
    return _mapped(limit=0)


@wrong("rate", field="limit", says=("found '8'", "at least 1"))
def limit_as_a_string() -> Any:
    """A limit is a number."""
    return _mapped(limit="8")


@wrong("rate", field="on_item_error", says=("'ignore'", "'fail'", "'collect'"))
def errors_that_are_ignored() -> Any:
    """Errors are raised or collected."""
    return _mapped(on_item_error="ignore")


@wrong("rate", says=("not valid", "identifier"))
def result_that_is_no_identifier() -> Any:
    """A field has a name that can be read as an attribute."""
    return _mapped(into="not valid")


@wrong("rate", says=("parameter", "item"))
def function_without_a_parameter() -> Any:
    """The function does not take the item."""
    return _mapped(nothing)


@wrong("rate", field="scale", says="nothing provides")
def second_parameter() -> Any:
    """What a function takes beside the item must be there."""
    return _mapped(scaled)


@wrong("rate", field="weigth", says="did you mean 'weight'?")
def misspelt_constant() -> Any:
    """The parameter is called weight."""
    return _mapped(rate, trials=list[Scored], weigth=2.0)


@wrong("rate", field="weight", says=("'2'", "takes float"))
def constant_of_another_type() -> Any:
    """A string for a number."""
    return _mapped(rate, trials=list[Scored], weight="2")


@wrong("rate", field="scl", says=("ref('scl')", "nothing provides"))
def constant_that_is_a_reference_to_nothing() -> Any:
    """The referenced field is not there."""
    return _mapped(scaled, scale=ref("scl"))


@wrong("total", field="scores", says=("list[str]", "needs list[float]"))
def result_of_another_type() -> Any:
    """The field is a list of what the function gives."""

    def name(trial: Trial) -> str:
        return trial.id

    return _mapped(name).stage("total", total)


@wrong("total", field="scores", says=("ItemFailure", "needs list[float]"))
def result_with_failures() -> Any:
    """Where failures are collected, they are among the results."""
    return _mapped(on_item_error="collect").stage("total", total)


@wrong("rate", says=("returns float", "expected str"))
def contract_of_an_item() -> Any:
    """The contract describes one item, which is a float."""
    return _mapped().through(str)


@wrong("rate", field="timeout", says=("'1'", "timeout=300"))
def hook_of_an_item() -> Any:
    """Hooks of items are checked like any."""
    return _mapped().through(float, timeout="1")


@wrong("rate", says=("cannot be called", "found 3"))
def number_for_a_function() -> Any:
    """Nothing could be called."""
    return _mapped(3)


@wrong("rate/score", field="weights", says="'rate'")
def body_without_its_input() -> Any:
    """A pipeline as a body sees what it declares, and nothing else."""

    def weigh(trial: Trial, weights: list[float]) -> float:
        return sum(weights)

    body = Pipeline(trial=Trial).stage("score", weigh).through(score=float)
    return Pipeline(trials=list[Trial], weights=list[float]).map("rate", body, over="trials", into="scores")


@wrong("rate", field="trials", says=("needs Trial, but the items are Task", "trials[*].id: is not provided"))
def body_with_another_item() -> Any:
    """The first input of the body is the item."""
    body = Pipeline(trial=Trial).stage("score", score).through(score=float)
    return Pipeline(trials=list[Task]).map("rate", body, over="trials", into="scores")


@wrong("rate", says=("input", "item"))
def body_without_an_item() -> Any:
    """A body that declares no input gets no item."""
    body = Pipeline().stage("score", lambda: 1.0).through(score=float)
    return Pipeline(trials=list[Trial]).map("rate", body, over="trials", into="scores")


@wrong("rate", says=("'rate' is taken", "Rename"))
def two_of_one_name() -> Any:
    """Maps have names, too."""
    return _mapped().map("rate", score, over="trials", into="again")
