"""Killed with -9 and started again: what each system lost, ran again, or left hanging.

Each runs the same sweep of ``x`` and ``y`` from a seeded random sampler, one trial at a time, and is started again by the same
command after each kill. A witness beside it writes each result to disk as soon as the system has told of it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tables import machine, print_table

if TYPE_CHECKING:
    from metta_sweep import SweepExperiment

SECONDS = 0.02
"""Of one trial."""
SYSTEMS = {
    "metta_sweep": ("metta_sweep", "metta_sweep"),
    "optuna-sqlite": ("Optuna, SQLite", "optuna"),
    "optuna-journal": ("Optuna, journal file", "optuna"),
    "ray": ("Ray Tune", "ray.tune"),
}


def value_of(params: dict[str, float]) -> float:
    """What a trial of these parameters gives."""
    return -((params["x"] - 0.3) ** 2) - (params["y"] - 0.7) ** 2


class Witness:
    """Writes what happens outside of the system, to disk before it goes on."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "witness").open("ab", buffering=0)

    def write(self, what: str, params: dict[str, float]) -> None:
        """A trial began (``began``), or its result was told (``told``)."""
        self._file.write(json.dumps([what, params]).encode() + b"\n")
        os.fsync(self._file.fileno())
        print(what, flush=True)


class Trials(NamedTuple):
    """What a system has in the end."""

    complete: list[dict[str, float]]
    """Parameters of the finished trials."""
    hanging: int
    """Trials that are said to be running, though nothing runs."""


# -- the systems -------------------------------------------------------------------------------------------------------------------


async def _trial(x: float, y: float) -> float:
    _witness().write("began", {"x": x, "y": y})
    await asyncio.sleep(SECONDS)
    return value_of({"x": x, "y": y})


def _witness() -> Witness:
    return Witness(Path(sys.argv[3]))


def _sweep(folder: Path) -> SweepExperiment:
    from metta_sweep import SweepExperiment, Uniform

    space = {"x": Uniform(0, 1), "y": Uniform(0, 1)}
    return SweepExperiment(name="killed", objective=_trial, search_space=space, seed=0, slots=1, store=folder / "ours.db")


def run_ours(folder: Path, budget: int) -> None:
    """Run it, or go on with it."""
    told = 0
    for update in _sweep(folder).stream(budget=budget):
        if update.trials > told and update.results is None:
            told = update.trials
            _witness().write("told", _params_of(folder, update.trials - 1))


def _params_of(folder: Path, number: int) -> dict[str, float]:
    from metta_sweep.experiments.codec import decode_trial
    from metta_sweep.store import open_reader

    with open_reader(folder / "ours.db") as reader:
        run = reader.runs()[0].run_id
        return decode_trial(next(reader.trial_rows(run, number, number + 1))).params


def read_ours(folder: Path) -> Trials:
    """What it has."""
    from metta_sweep import TrialState

    trials = list(_sweep(folder).run().trials)
    complete = [trial.params for trial in trials if trial.state is TrialState.COMPLETED]
    return Trials(complete, sum(trial.state is TrialState.RUNNING for trial in trials))


def _study(folder: Path, kind: str) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if kind == "sqlite":
        storage: Any = f"sqlite:///{folder / 'optuna.db'}"
    else:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "optuna.log")))
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(storage=storage, study_name="killed", direction="maximize", sampler=sampler, load_if_exists=True)


def run_optuna(folder: Path, budget: int, kind: str) -> None:
    """Run it, or go on with it: ``n_trials`` are more trials, so those that are complete are taken off."""
    import optuna

    study = _study(folder, kind)
    witness = Witness(folder)

    def objective(trial: Any) -> float:
        params = {name: trial.suggest_float(name, 0.0, 1.0) for name in ("x", "y")}
        witness.write("began", params)
        time.sleep(SECONDS)
        return value_of(params)

    done = len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))
    study.optimize(objective, n_trials=budget - done, callbacks=[lambda _, trial: witness.write("told", trial.params)])


def read_optuna(folder: Path, kind: str) -> Trials:
    """What it has."""
    trials = _study(folder, kind).get_trials()
    complete = [trial.params for trial in trials if trial.state.name == "COMPLETE"]
    return Trials(complete, sum(trial.state.name == "RUNNING" for trial in trials))


def run_ray(folder: Path, budget: int) -> None:
    """Run it, or restore it, as its manual says."""
    tune: Any = importlib.import_module("ray.tune")

    def trainable(config: dict[str, float]) -> None:
        Witness(folder).write("began", config)
        time.sleep(SECONDS)
        tune.report({"value": value_of(config)})

    class Told(tune.Callback):  # type: ignore[misc]  # it is installed by hand
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            Witness(folder).write("told", trial.last_result["config"])

    variants = importlib.import_module("ray.tune.search.basic_variant").BasicVariantGenerator
    place = folder / "ray" / "killed"
    space = {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}
    if tune.Tuner.can_restore(str(place)):
        tuner = tune.Tuner.restore(str(place), trainable, param_space=space, resume_unfinished=True, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(num_samples=budget, search_alg=variants(max_concurrent=1, random_state=0)),
            run_config=tune.RunConfig(name="killed", storage_path=str(folder / "ray"), callbacks=[Told()], verbose=0),
        )
    tuner.fit()


def read_ray(folder: Path) -> Trials:
    """What it has."""
    tune: Any = importlib.import_module("ray.tune")

    results = tune.ExperimentAnalysis(str(folder / "ray" / "killed"))
    trials = results.trials or []
    complete = [trial.config for trial in trials if trial.status == "TERMINATED"]
    return Trials(complete, sum(trial.status == "RUNNING" for trial in trials))


RUN: dict[str, Callable[[Path, int], None]] = {
    "metta_sweep": run_ours,
    "optuna-sqlite": lambda folder, budget: run_optuna(folder, budget, "sqlite"),
    "optuna-journal": lambda folder, budget: run_optuna(folder, budget, "journal"),
    "ray": run_ray,
}
READ: dict[str, Callable[[Path], Trials]] = {
    "metta_sweep": read_ours,
    "optuna-sqlite": lambda folder: read_optuna(folder, "sqlite"),
    "optuna-journal": lambda folder: read_optuna(folder, "journal"),
    "ray": read_ray,
}


# -- the matrix --------------------------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of one sweep."""

    kills: int
    lost: int
    """Results that were told and are not kept."""
    again: int
    """Configurations that were finished and told, and were begun again."""
    twice: int
    """Configurations that are among the finished ones more than once."""
    hanging: int
    budget_off: int
    same: bool
    """Whether the finished trials are those of a run that nobody killed."""
    failed: int
    """Starts that ended with an error."""


def killed_sweep(system: str, budget: int, kills: int, seed: int, undisturbed: list[dict[str, float]]) -> Outcome:
    """One sweep, killed so many times while trials run, then left alone."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deaths = failed = 0
        for _ in range(kills):
            died, error = _start(
                system, folder, budget, 1 + moments.randrange(2 * budget // (kills + 1)), moments.random() * SECONDS
            )
            deaths += died
            failed += error
        failed += _start(system, folder, budget, None, 0.0)[1]
        found = _read(system, folder)
        lines = [json.loads(line) for line in (folder / "witness").read_bytes().splitlines() if line.endswith(b"]")]
    finished = Counter(map(_key, found.complete))
    told: set[tuple[float | None, float | None]] = set()
    again = 0
    for what, params in lines:
        again += what == "began" and _key(params) in told
        if what == "told":
            told.add(_key(params))
    same = [_key(params) for params in found.complete] == [_key(params) for params in undisturbed]
    twice = sum(count - 1 for count in finished.values())
    return Outcome(deaths, len(told - set(finished)), again, twice, found.hanging, abs(len(found.complete) - budget), same, failed)


def _key(params: dict[str, float]) -> tuple[float | None, float | None]:
    return params.get("x"), params.get("y")


def _start(system: str, folder: Path, budget: int, lines: int | None, seconds: float) -> tuple[bool, bool]:
    """Start it; kill it so long after so many lines of its output. Whether it was killed, and whether it ended with an error."""
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, "--run", system, str(folder), str(budget)],
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    if process.stdout is None:
        raise RuntimeError("there is a pipe")
    for _ in range(lines or 0):
        process.stdout.readline()
    if lines is not None:
        time.sleep(seconds)
        # with all that it started: a cluster's workers die with their machine
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    failed = process.returncode not in {0, -signal.SIGKILL}
    if failed:
        print(f"{system}: {(folder / 'stderr').read_text(encoding='utf-8').splitlines()[-1:]}", file=sys.stderr)
    return process.returncode == -signal.SIGKILL, failed


def _read(system: str, folder: Path) -> Trials:
    done = subprocess.run([sys.executable, __file__, "--read", system, str(folder)], check=True, capture_output=True, text=True)
    return Trials(*json.loads(done.stdout.splitlines()[-1]))


def undisturbed_run(system: str, budget: int) -> list[dict[str, float]]:
    """The finished trials of a run that nobody kills."""
    with tempfile.TemporaryDirectory() as name:
        _start(system, Path(name), budget, None, 0.0)
        return _read(system, Path(name)).complete


def matrix(systems: Sequence[str], budget: int, kills: int, sweeps: int) -> None:
    rows: list[list[object]] = []
    for system in systems:
        label, module = SYSTEMS[system]
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            rows.append([label, *["not installed", *[None] * 8]])
            continue
        undisturbed = undisturbed_run(system, budget)
        found = [killed_sweep(system, budget, kills, seed, undisturbed) for seed in range(sweeps)]
        total = [sum(column) for column in zip(*found, strict=True)]
        rows.append([label, f"{sweeps} x {budget}", *total[:6], f"{total[6]} of {sweeps}", total[7]])
    print_table(
        f"Sweeps of {budget} trials, each killed up to {kills} times while it ran, and started again",
        ["", "sweeps", "kills", "lost", "run again", "counted twice", "hanging", "off budget", "same trials", "errors"],
        rows,
    )
    print("  Lost: told, and not there in the end. Run again: told, and begun again later. Counted twice: finished more than")
    print("  once with the same parameters. Hanging: said to be running when nothing runs. Same trials: as those of a run of")
    print("  the same seed that nobody killed.")


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "--run":
        RUN[sys.argv[2]](Path(sys.argv[3]), int(sys.argv[4]))
        return
    if len(sys.argv) > 2 and sys.argv[1] == "--read":
        print(json.dumps(READ[sys.argv[2]](Path(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer kills")
    parser.add_argument("--only", choices=list(SYSTEMS), action="append", help="these systems only")
    arguments = parser.parse_args()
    print(machine())
    matrix(arguments.only or list(SYSTEMS), 24, 3, 3 if arguments.quick else 15)


if __name__ == "__main__":
    main()
