"""``run`` and ``resume``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from metta_sweep.cli.exits import BAD_STOP, DONE, INTERRUPTED, UsageError, exit_now
from metta_sweep.cli.kept import check_place, place_of
from metta_sweep.cli.run_inputs import parse_inputs
from metta_sweep.cli.target import Target, find_experiment
from metta_sweep.cli.text import as_json, plain, shown_json
from metta_sweep.core.budget import Budget
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.signals import Signals
from metta_sweep.experiments.stores import STORE_VARIABLE
from metta_sweep.experiments.stream import drive
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.store.places import file_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["RunOptions", "resume_command", "resume_experiment", "run_experiment"]


class RunOptions(NamedTuple):
    """What the command line says about a run."""

    budget: Budget | None = None
    more: int | None = None
    fresh: bool = False
    store: str | None = None
    json: bool = False
    log: str | None = None
    inputs: tuple[str, ...] = ()
    """``NAME=VALUE`` each."""


def resume_experiment(target: str, options: RunOptions) -> int:
    """Go on with a run that is kept. Raises ``UsageError`` when there is none."""
    found = _find(target, options)
    name = found.experiment.name
    if name is None:
        raise UsageError(target, "the experiment has no name, so it has no run to go on with", remedy="Give it name=...")
    place = _searched(found.experiment)
    # opening a store makes its files: not where there is none
    if (isinstance(place, Path) and not place.is_file()) or found.experiment.opened_store().find_run(name) is None:
        raise UsageError(
            target,
            f"no run {name!r} is kept in {place}",
            remedy=f"Start it with: {_program()} run {found.spelled}, or name its store with --store",
        )
    return _run(found, options)


def run_experiment(target: str, options: RunOptions) -> int:
    """Run an experiment to its end, show it meanwhile, and print its result."""
    if options.more is not None and options.more < 1:
        raise UsageError("--more", "it must be at least 1", found=options.more, expected="a whole number, 1 or more")
    if options.more is not None and options.budget is not None:
        raise UsageError("--more", "--budget and --more exclude each other", remedy="Give one of them")
    return _run(_find(target, options), options)


def resume_command(spelled: str, store: str | None, *, own: bool = False, inputs: Sequence[str] = ()) -> str:
    """The command that goes on with a run: with the store that was given, or that is used where the experiment has no ``own``."""
    place = store if store is not None or own else os.environ.get(STORE_VARIABLE)
    given = "".join(f" --input {shlex.quote(text)}" for text in inputs)
    return f"{_program()} resume {shlex.quote(spelled)}{given}" + (f" --store {shlex.quote(place)}" if place else "")


def _find(target: str, options: RunOptions) -> Target:
    if options.store is not None:
        check_place(options.store)
    found = find_experiment(target)
    if isinstance(found.experiment, SweepExperiment) and found.experiment.objective is None:
        raise UsageError(
            type(found.experiment).__name__,
            f"the sweep has no objective, so there is nothing to run in {found.spelled}",
            remedy="Give it objective=train, or define the method objective in a subclass",
        )
    if options.store is None:
        if found.experiment.given_store is None:
            check_place(None)
        return found
    return found._replace(experiment=found.experiment.kept_in(options.store))


def _searched(experiment: Experiment) -> object:
    """Where a run of the experiment is looked for: the path of the file, or what else its store is."""
    given = experiment.given_store
    if given is None:
        given = place_of(None)
    if isinstance(given, str | os.PathLike):
        return given if given == "memory" else file_of(given, "store")
    return getattr(given, "path", given)


def _run(target: Target, options: RunOptions) -> int:
    from rich.console import Console

    from metta_sweep.cli.logs import logs_shown

    console = Console(stderr=True, highlight=False)
    experiment = target.experiment
    command = resume_command(target.spelled, options.store, own=experiment.given_store is not None, inputs=options.inputs)
    graceful = isinstance(experiment, SweepExperiment)

    def say(line: str) -> None:
        console.print(plain(line), markup=False, soft_wrap=True)

    with Signals(resume=command, say=say, graceful=graceful, at_exit=False, afterwards=exit_now) as signals:
        try:
            with logs_shown(console, options.log):
                result = signals.run(lambda: _drive(experiment, options, console))
            code = _tell(result, options)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except SystemExit as left:
            if not signals.cancelled:
                raise
            code = left.code if isinstance(left.code, int) else INTERRUPTED
        for line in dict.fromkeys(signals.last_lines()):
            sys.stdout.flush()
            say(line)
    return code


async def _drive(experiment: Experiment, options: RunOptions, console: Console) -> Any:
    from metta_sweep.cli.display import shown

    if not isinstance(experiment, SweepExperiment):
        if options.more is not None:
            raise UsageError("--more", "the experiment is no sweep, so it has no trials to count", remedy="Leave --more out")
        inputs = parse_inputs(options.inputs, experiment.build().inputs)
        return await experiment.arun(inputs=inputs, budget=options.budget, fresh=options.fresh)
    if options.inputs:
        raise UsageError("--input", "the experiment is a sweep, which takes no inputs", remedy="Leave --input out")
    plan = experiment.build()
    async with experiment.open(options.budget, more=options.more, fresh=options.fresh) as run, shown(run, console):
        results = await drive(run, plan)
    from metta_sweep.experiments.comparison import ComparisonExperiment

    return experiment.comparison_of(results) if isinstance(experiment, ComparisonExperiment) else results


def _tell(result: Any, options: RunOptions) -> int:
    from metta_sweep.experiments.comparison import Comparison

    if not isinstance(result, SweepResult | Comparison):
        print(as_json(_plain_output(result)) if options.json else plain(str(result)))  # noqa: T201
        return DONE
    print(shown_json(result.to_json()) if options.json else plain(result.summary()))  # noqa: T201
    return BAD_STOP if result.stop_reason is not None and result.stop_reason.is_bad else DONE


def _plain_output(result: Any) -> Any:
    from pydantic_core import to_jsonable_python

    context = getattr(result, "context", None)
    return to_jsonable_python(dict(context) if context is not None else result, serialize_unknown=True)


def _program() -> str:
    """How this program was started, so that it can be started so again."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(sys.orig_argv[0])} -m metta_sweep"
    found = shutil.which(started.name)
    return started.name if found is not None and Path(found).resolve() == started.resolve() else shlex.quote(sys.argv[0])
