"""A script of a user, for the tests of signals: it says which trials run, and waits until it is told to stop."""

import asyncio
import os
import sys
import time

from metta_sweep import Experiment, Pipeline, SweepExperiment, TrialContext, Uniform


def told(line: str) -> None:
    """One line for the test, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def polite(trial: TrialContext) -> float:
    """Ends when it is asked to."""
    told(f"running {trial.id}")
    while not trial.should_stop and "HURRY" not in os.environ:  # noqa: ASYNC110  # as users write it
        await asyncio.sleep(0.002)
    return float(trial.params["x"])


async def stubborn(trial: TrialContext) -> float:
    """Ends only when it is cancelled."""
    told(f"running {trial.id}")
    if "HURRY" not in os.environ:
        await asyncio.sleep(600)
    return float(trial.params["x"])


async def swallows(trial: TrialContext) -> float:
    """Cannot be cancelled."""
    told(f"running {trial.id}")
    while "HURRY" not in os.environ:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue
    return float(trial.params["x"])


async def blocking(trial: TrialContext) -> float:
    """Holds the event loop, so that nothing can end it."""
    told(f"running {trial.id}")
    if "HURRY" not in os.environ:
        time.sleep(600)  # noqa: ASYNC251  # that is the fault
    return float(trial.params["x"])


def in_thread(trial: TrialContext) -> float:
    """A thread that nothing can end."""
    told(f"running {trial.id}")
    if "HURRY" not in os.environ:
        time.sleep(600)
    return float(trial.params["x"])


async def quick(trial: TrialContext) -> float:
    """Ends soon, by itself; sometimes in several steps."""
    if trial.number < 3:
        told(f"running {trial.id}")
    for _ in range(trial.number % 4):
        await asyncio.sleep(0.004)
    return float(trial.params["x"])


def sweep_of(name: str, grace: float = 60.0) -> SweepExperiment:
    """A sweep of one of the functions above, with two slots."""
    return SweepExperiment(
        name=name, objective=globals()[name], search_space={"x": Uniform(0, 1)}, seed=0, slots=2, grace=grace, store="kept.db"
    )


async def waits() -> int:
    """A stage that takes long."""
    told("running stage")
    if "HURRY" not in os.environ:
        await asyncio.sleep(600)
    return 1


class Waiting(Experiment):
    """A pipeline of one stage."""

    def pipeline(self) -> Pipeline:
        """It only waits."""
        return Pipeline().stage("waits", waits)


if __name__ == "__main__":
    which, name = sys.argv[1:3]
    if which == "run":
        results = sweep_of(name, grace=0.05 if name in ("in_thread", "swallows") else 60.0).run(budget=6)
        told(f"stopped {results.stop_reason}, {len(results.trials)} trials")
    elif which == "stream":
        for update in sweep_of(name).stream(budget=6):
            if update.results is not None:
                told(f"stopped {update.results.stop_reason}")
    else:
        Waiting(name="waiting", store="kept.db").run()
        told("stopped")
