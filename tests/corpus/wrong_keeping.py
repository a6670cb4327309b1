"""Policies that cannot be kept: what has no JSON form, what cannot be a key, what no process can run."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from .cases import Pipeline, wrong
from .parts import Machine, Task, count, half, load


def make(n: int) -> Machine:
    return Machine()


class Keeper:
    """Its stage depends on something without a JSON form."""

    def __init__(self) -> None:
        self.machine = Machine()

    def stage(self, n: int) -> int:
        return n + len(str(self.machine))


@wrong("make", field="machine", says=("Machine", "JSON", "checkpoint=False"))
def checkpoint_without_a_json_form() -> Any:
    """A machine cannot be written down, and is asked to be."""
    return Pipeline(n=int).stage("make", make).through(machine=Machine, checkpoint=True)


@wrong("make", field="machines", says=("list[Machine]", "JSON"))
def checkpoint_of_a_list_without_a_json_form() -> Any:
    """Nor can a list of machines."""
    return Pipeline(n=int).stage("make", lambda n: []).through(machines=list[Machine], checkpoint=True)


@wrong("loop/make", field="machine", says=("Machine", "checkpoint=False"))
def checkpoint_in_a_loop() -> Any:
    """The stage in the loop is named with it."""
    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 3)
        .stage("make", make)
        .through(machine=Machine, checkpoint=True)
        .stage("n", count)
        .end_loop()
    )


@wrong("count", field="cache", says=("'yes'", "True"))
def cache_as_a_string() -> Any:
    """It is on, off, or a Cache."""
    return Pipeline(n=int).stage("count", count).through(m=int, cache="yes")


@wrong("look", field="machine", says=("Machine", "key"))
def cache_of_what_reads_no_json() -> Any:
    """What the stage reads has no JSON form, so that there is no key."""

    def look(machine: Machine) -> int:
        return 1

    return Pipeline(machine=Machine).stage("look", look).through(m=int, cache=True)


@wrong("keep", field="machine", says=("machine", "key"))
def cache_of_what_its_object_holds() -> Any:
    """What the stage reads of its object has no JSON form."""
    return Pipeline(n=int).stage("keep", Keeper().stage).through(m=int, cache=True)


@wrong("keep", field="machine", says=("machine", "key"))
def cache_of_a_closure() -> Any:
    """What the stage closes over has no JSON form."""
    machine = Machine()

    def keep(n: int) -> int:
        return n + len(str(machine))

    return Pipeline(n=int).stage("keep", keep).through(m=int, cache=True)


@wrong("make", field="machine", says=("Machine", "JSON"))
def cache_of_what_has_no_json_form() -> Any:
    """The output could not be kept."""
    return Pipeline(n=int).stage("make", make).through(machine=Machine, cache=True)


@wrong("load", field="timeout_mode", says=("'fork'", "'process'"))
def unknown_timeout_mode() -> Any:
    """There are two modes."""
    return Pipeline(path=str).stage("load", load).through(rows=list[float], timeout=3, timeout_mode="fork")


@wrong("work", field="timeout_mode", says=("lambda", "import"))
def lambda_in_a_process() -> Any:
    """Another process cannot import a lambda."""
    return Pipeline(n=int).stage("work", lambda n: n).through(m=int, timeout=3, timeout_mode="process")


@wrong("work", field="timeout_mode", says="import")
def local_function_in_a_process() -> Any:
    """Nor a function that is local to another one."""

    def work(n: int) -> int:
        return n

    return Pipeline(n=int).stage("work", work).through(m=int, timeout=3, timeout_mode="process")


@wrong("half", field="timeout_mode", says="async")
def coroutine_in_a_process() -> Any:
    """A coroutine is cancelled where it runs."""
    return Pipeline(n=float).stage("half", half).through(m=float, timeout=3, timeout_mode="process")


@wrong("half", field="total_timeout", says=("'10'", "seconds"))
def total_timeout_as_a_string() -> Any:
    """Seconds are a number."""
    return Pipeline(n=float).stage("half", half).through(m=float, total_timeout="10")


@wrong("task", field="migrate", says=("one argument",))
def migration_of_two_parameters() -> Any:
    """A migration gets what was kept."""

    def task() -> Task:
        return Task(name="a")

    return Pipeline().stage("task", task).through(Task, migrate=lambda old, new: old)


@wrong("half", field="on_code_change", says=("'ignore'", "'warn'"))
def unknown_answer_to_changed_code() -> Any:
    """There are three answers."""
    return Pipeline(n=float).stage("half", half).through(m=float, on_code_change="ignore")
