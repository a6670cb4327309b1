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
def list_(*, store: _Store = None, json: _Json = False) -> int:
    """List the runs that are kept."""
    from metta_sweep.cli.listing import list_runs

    return list_runs(store, json=json)


@app.command
def show(
    name: Annotated[str, Parameter(help="The name or id of a run.")],
    address: Annotated[str | None, Parameter(help="A trial such as 'trial[5]', or a stage such as 'sweep[17]/pick'.")] = None,
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
    name: Annotated[str, Parameter(help="The name or id of a run.")],
    /,
    *,
    kind: Annotated[list[str] | None, Parameter(help="Only events of this kind; may be given several times.", negative=())] = None,
    trial: Annotated[str | None, Parameter(help="Only events of the trial with this id.")] = None,
    last: Annotated[int | None, Parameter(help="Only so many, the last ones.")] = None,
    store: _Store = None,
    json: _Json = False,
) -> int:
    """Show what happened in a run, one line per event, with its reason. With --json, one object per line."""
    from metta_sweep.cli.tracing import trace_run

    return trace_run(name, store, kinds=kind or (), trial=trial, last=last, json=json)


@app.command
def doctor(*, store: _Store = None, json: _Json = False) -> int:
    """Check versions, SQLite, the store, its locks, and whether it can be written."""
    from metta_sweep.cli.doctor import examine

    return examine(store, json=json)
