"""Hooks and policies: misspelt, of the wrong kind, of the wrong arity, or reading what is not there."""

from __future__ import annotations

from typing import Any

from .cases import Pipeline, wrong
from .parts import Machine, SuggestionOutput, Trial, count, handle, load, nothing, suggest, two


def _counted(**keywords: Any) -> Any:
    return Pipeline(n=int).stage("count", count).through(int, **keywords)


@wrong("count", field="afterr", says="did you mean 'after'?")
def misspelt_hook() -> Any:
    """The hook is called after."""
    return _counted(afterr=len)


@wrong("count", field="time_out", says="did you mean 'timeout'?")
def misspelt_policy() -> Any:
    """The policy is called timeout."""
    return _counted(time_out=3)


@wrong("count", field="retries", says="did you mean 'retry'?")
def name_from_elsewhere() -> Any:
    """Other libraries call it retries."""
    return _counted(retries=3)


@wrong("count", field="on_success", says="did you mean 'after'?")
def hook_from_elsewhere() -> Any:
    """Other libraries call it on_success."""
    return _counted(on_success=handle)


@wrong("count", field="timeout", says=("'300'", "positive, finite", "timeout=300"))
def timeout_as_a_string() -> Any:
    """Seconds are a number."""
    return _counted(timeout="300")


@wrong("count", field="timeout", says=("found 0", "positive"))
def timeout_of_nothing() -> Any:
    """No stage ends in no time."""
    return _counted(timeout=0)


@wrong("count", field="timeout", says=("found inf", "finite"))
def timeout_without_end() -> Any:
    """Leave it out for no timeout."""
    return _counted(timeout=float("inf"))


@wrong("count", field="timeout", says=("found True", "timeout=300"))
def timeout_as_a_flag() -> Any:
    """A flag is no number of seconds."""
    return _counted(timeout=True)


@wrong("count", field="retry", says=("found -1", "retry=3"))
def negative_retry() -> Any:
    """No attempt can be taken back."""
    return _counted(retry=-1)


@wrong("count", field="retry", says=("found True", "retry=3"))
def retry_as_a_flag() -> Any:
    """A flag says nothing about how many attempts."""
    return _counted(retry=True)


@wrong("count", field="retry", says=("found 1.5", "retry=3"))
def half_an_attempt() -> Any:
    """Attempts are whole."""
    return _counted(retry=1.5)


@wrong("count", field="checkpoint", says=("'yes'", "True or False"))
def checkpoint_as_a_string() -> Any:
    """It is on or off."""
    return _counted(checkpoint="yes")


@wrong("count", field="profile", says=("found 1", "True or False"))
def profile_as_a_number() -> Any:
    """It is on or off."""
    return _counted(profile=1)


@wrong("count", field="after", says=("found 3", "function of one argument"))
def hook_that_is_no_function() -> Any:
    """A number cannot be called."""
    return _counted(after=3)


@wrong("count", field="after", says=("two(a", "one argument", "after=lambda d"))
def hook_with_two_parameters() -> Any:
    """A hook of a stage gets one thing."""
    return _counted(after=two)


@wrong("count", field="validate", says=("one argument", "validate=lambda d"))
def gate_without_parameter() -> Any:
    """A gate gets the output."""
    return _counted(validate=nothing)


@wrong("count", field="on_error", says=("one argument", "on_error=lambda"))
def handler_without_parameter() -> Any:
    """A handler gets the error."""
    return _counted(on_error=lambda: None)


@wrong("count", field="after", says=("Machine", "Pass an instance", "fields(after=Machine)"))
def class_as_a_hook() -> Any:
    """A class is a type form, hence a field; its instances may be hooks."""
    return _counted(after=Machine)


@wrong("count", field="timeout", says="fields(timeout=float)")
def type_under_the_name_of_a_hook() -> Any:
    """A field that is called like a hook is written with fields()."""
    return _counted(timeout=float)


@wrong("count", field="metrics", says="fields(metrics=dict[str, float])")
def generic_under_the_name_of_a_hook() -> Any:
    """The message shows the type as it was written."""
    return _counted(metrics=dict[str, float])


@wrong("suggest", field="trials", says=("'before'", "use after="))
def before_reads_its_own_output() -> Any:
    """The documentation's mistake: before the stage there are no trials yet."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, before=lambda d: len(d.trials))


@wrong("count", field="m", says=("'before'", "nothing provides"))
def before_reads_what_nobody_provides() -> Any:
    """The input of the stage has no such field."""
    return _counted(before=lambda d: d.m)


@wrong("count", field="rows", says="provided only later")
def before_reads_what_comes_later() -> Any:
    """What a later stage makes is not there yet."""
    return _counted(before=lambda d: d.rows).stage("load", load, path="p").through(rows=list[float])


@wrong("suggest", field="trails", says=("'after'", "did you mean 'trials'?"))
def after_reads_a_misspelt_field() -> Any:
    """The output is a model that calls it trials."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, after=lambda d: d.trails)


@wrong("suggest", field="scores", says="'validate'")
def gate_reads_what_is_not_there() -> Any:
    """The output has no scores."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, validate=lambda d: len(d.scores) > 0)


@wrong("count", field="m", says=("'validate'", "the value itself"))
def gate_reads_the_field_of_a_bare_value() -> Any:
    """With one field the hook gets the value itself."""
    return Pipeline(n=int).stage("count", count).through(m=int, validate=lambda d: d.m > 0)


@wrong("load", field="appendd", says="'after'")
def after_reads_a_method_that_is_not_there() -> Any:
    """A list has no such method."""
    return Pipeline(path=str).stage("load", load).through(rows=list[float], after=lambda d: d.appendd)


@wrong("pair", field="c", says=("'after'", "a: int, b: int"))
def after_reads_a_third_of_two_fields() -> Any:
    """The contract names two fields."""

    def pair(n: int) -> dict[str, int]:
        return {"a": n, "b": n}

    return Pipeline(n=int).stage("pair", pair).through(a=int, b=int, after=lambda d: d.c)


@wrong("silent", field="x", says="'after'")
def after_reads_of_nothing() -> Any:
    """The stage has no output."""
    return Pipeline().stage("silent", nothing).through(None, after=lambda d: d.x)


@wrong("best", field="scor", says="did you mean 'score'?")
def gate_reads_a_misspelt_field_of_one_value() -> Any:
    """The bare value is a model, and its field is misspelt."""

    def best() -> Trial:
        return Trial(id="a", score=1.0)

    return Pipeline().stage("best", best).through(best=Trial, validate=lambda d: d.scor)


@wrong("global hooks", field="after", says=("two arguments", "lambda stage, data"))
def global_hook_of_one_parameter() -> Any:
    """A global hook is told the stage, too."""
    return _counted().with_global_hooks(after=lambda data: None)


@wrong("global hooks", field="befor", says="did you mean 'before'?")
def misspelt_global_hook() -> Any:
    """The hook is called before."""
    return _counted().with_global_hooks(befor=two)


@wrong("global hooks", field="retry", says=("there is no global hook", ".through()"))
def policy_for_all_stages() -> Any:
    """A policy belongs to a stage."""
    return _counted().with_global_hooks(retry=3)


@wrong("global hooks", field="profile", says=("'all'", "True or False"))
def global_profile_as_a_string() -> Any:
    """It is on or off."""
    return _counted().with_global_hooks(profile="all")


@wrong("global hooks", field="before", says=("Machine", "Pass an instance"))
def class_as_a_global_hook() -> Any:
    """A class is no observer."""
    return _counted().with_global_hooks(before=Machine)
