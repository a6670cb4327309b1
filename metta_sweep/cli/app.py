"""The commands and their options."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import App, Parameter

from metta_sweep import __version__

__all__ = ["app"]

_Target = Annotated[str, Parameter(help="FILE[:NAME]: a file of Python, and the variable in it that holds the experiment.")]
_Store = Annotated[
    str | None,
    Parameter(help="Where runs are kept: a path or sqlite:///dir/file.db. By default METTA_SWEEP_STORE, else ./metta_sweep.db."),
]
_Json = Annotated[bool, Parameter(help="Print JSON.", negative=())]
_Inputs = Annotated[
    list[str] | None,
    Parameter(name="--input", help="NAME=VALUE, an input of a pipeline, as JSON or text; may be given several times.", negative=()),
]
_Name = Annotated[str, Parameter(help="The name or id of a run; or of one within it, such as 'meta/trial[3]>inner'.")]
_Address = Annotated[
    str | None,
    Parameter(
        help="A trial such as 'trial[5]', a stage such as 'sweep[17]/pick', or an experiment inside it such as 'trial[3]>inner', "
        "alone or followed by what is in that: 'trial[3]>inner/trial[5]'."
    ),
]
_Every = Annotated[bool, Parameter(name="--all", help="Those that lie within others, too.", negative=())]
_Log = Annotated[str | None, Parameter(help="Show logs from this level on: debug, info, warning (the default) or error.")]

app: Final = App(
    name="metta-sweep",
    help="Run experiments, go on with them, and look at what happened.",
    version=__version__,
    help_epilogue="Exit codes: 0 done, 1 error, 2 wrong use, 3 stopped for a bad reason (interrupted, failure_rate, "
    "executor_exhausted), 130 and 143 cancelled by Ctrl-C or SIGTERM.\n",
)


@app.command
def run(
    target: _Target,
    /,
    *,
    budget: Annotated[str | None, Parameter(help="Trials, or trials=60,seconds=120,cost=5; totals over all resumes.")] = None,
    more: Annotated[int | None, Parameter(help="So many more trials than there are.")] = None,
    fresh: Annotated[bool, Parameter(help="Start over; the kept run stays as NAME@1.", negative=())] = False,
    inputs: _Inputs = None,
    store: _Store = None,
    json: _Json = False,
    log: _Log = None,
) -> int:
    """Run an experiment. A named one goes on where it was."""
    from metta_sweep.cli.budgets import parse_budget
    from metta_sweep.cli.running import RunOptions, run_experiment

    caps = None if budget is None else parse_budget(budget)
    return run_experiment(target, RunOptions(caps, more, fresh, store, json, log, tuple(inputs or ())))


@app.command
def resume(target: _Target, /, *, inputs: _Inputs = None, store: _Store = None, json: _Json = False, log: _Log = None) -> int:
    """Go on with a kept run, with the budget that it was given."""
    from metta_sweep.cli.running import RunOptions, resume_experiment

    return resume_experiment(target, RunOptions(store=store, json=json, log=log, inputs=tuple(inputs or ())))


@app.command(name="list")
def list_(*, every: _Every = False, store: _Store = None, json: _Json = False) -> int:
    """List the runs that are kept: those that lie in no other one."""
    from metta_sweep.cli.listing import list_runs

    return list_runs(store, every=every, json=json)


@app.command
def tree(
    name: _Name,
    address: Annotated[str | None, Parameter(help="An experiment within it, such as 'trial[3]>inner'.")] = None,
    /,
    *,
    depth: Annotated[int | None, Parameter(help="So many levels below it.")] = None,
    every: Annotated[bool, Parameter(name="--all", help="All that run in one; otherwise the first 20.", negative=())] = False,
    store: _Store = None,
    json: _Json = False,
) -> int:
    """Show a run and the experiments inside it: state, trials, best score and spend of each. With --json, all of them."""
    from metta_sweep.cli.tree import TreeOptions, show_tree

    return show_tree(name, address, store, TreeOptions(depth, every, json))


@app.command
def show(
    name: _Name,
    address: _Address = None,
    /,
    *,
    store: _Store = None,
    json: _Json = False,
) -> int:
    """Show a run (branches, best trial, stop reason, spend, failed trials) or one of its trials."""
    from metta_sweep.cli.showing import show_run

    return show_run(name, address, store, json=json)


@app.command
def trace(
    name: _Name,
    address: _Address = None,
    /,
    *,
    kind: Annotated[list[str] | None, Parameter(help="Only events of this kind; may be given several times.", negative=())] = None,
    trial: Annotated[str | None, Parameter(help="Only events of the trial with this id.")] = None,
    last: Annotated[int | None, Parameter(help="Only so many, the last ones.")] = None,
    store: _Store = None,
    json: _Json = False,
) -> int:
    """Show what happened in a run, one line per event, with its reason. With --json, one object per line."""
    from metta_sweep.cli.tracing import TraceOptions, trace_run

    return trace_run(name, address, store, TraceOptions(tuple(kind or ()), trial, last, json))


@app.command
def doctor(*, store: _Store = None, json: _Json = False) -> int:
    """Check versions, SQLite, the store, its locks, and whether it can be written."""
    from metta_sweep.cli.doctor import examine

    return examine(store, json=json)
