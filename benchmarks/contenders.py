"""The same work done three ways: by a hand-written asyncio loop (the floor), by Optuna, and by this system.

Each function runs ``count`` trials of three parameters and returns the seconds that it took, set-up included.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from metta_sweep import Choice, Integer, LogUniform, SweepExperiment, Uniform
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler
from metta_sweep.store import SqliteStore

__all__ = [
    "FIFO",
    "UCB",
    "hand_written",
    "no_op",
    "no_op_sync",
    "optuna_ask_tell",
    "optuna_durable",
    "optuna_optimize",
    "ours",
    "ours_durable",
    "reopening",
    "sleep_5_ms",
]

Objective = Callable[[dict[str, Any]], Coroutine[Any, Any, float]]


async def no_op(params: dict[str, Any]) -> float:
    """A trial that costs nothing."""
    return params["momentum"]  # type: ignore[no-any-return]


async def sleep_5_ms(params: dict[str, Any]) -> float:
    """A trial that waits for something else."""
    await asyncio.sleep(0.005)
    return params["momentum"]  # type: ignore[no-any-return]


def no_op_sync(params: dict[str, Any]) -> float:
    """The same as an ordinary function: this system runs it in a thread."""
    return params["momentum"]  # type: ignore[no-any-return]


def hand_written(objective: Objective, count: int, slots: int) -> float:
    """Draw, run each trial as a task that could be cancelled, keep the results: what anybody would write first."""
    rng = random.Random(0)
    numbers = iter(range(count))
    results: list[tuple[dict[str, Any], float]] = []

    async def worker() -> None:
        for _ in numbers:
            params = {"rate": 10 ** rng.uniform(-4, -1), "batch": rng.randint(16, 256), "momentum": rng.random()}
            results.append((params, await asyncio.create_task(objective(params))))

    async def main() -> None:
        await asyncio.gather(*(worker() for _ in range(slots)))

    started = time.perf_counter()
    asyncio.run(main())
    seconds = time.perf_counter() - started
    _check(len(results), count)
    return seconds


def _study(storage: Any = None) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), storage=storage)


def _suggest(trial: Any) -> dict[str, Any]:
    return {
        "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        "batch": trial.suggest_int("batch", 16, 256),
        "momentum": trial.suggest_float("momentum", 0.0, 1.0),
    }


def optuna_ask_tell(objective: Objective, count: int, slots: int) -> float:
    """Optuna as a loop of coroutines uses it: in memory, ``slots`` workers that ask and tell."""
    numbers = iter(range(count))
    started = time.perf_counter()
    study = _study()

    async def worker() -> None:
        for _ in numbers:
            trial = study.ask()
            study.tell(trial, await objective(_suggest(trial)))

    async def main() -> None:
        await asyncio.gather(*(worker() for _ in range(slots)))

    asyncio.run(main())
    seconds = time.perf_counter() - started
    _check(len(study.get_trials(deepcopy=False)), count)
    return seconds


def optuna_optimize(count: int, slots: int = 1) -> float:
    """Optuna's own loop over an ordinary function, in memory; ``slots`` threads."""
    started = time.perf_counter()
    study = _study()
    study.optimize(lambda trial: no_op_sync(_suggest(trial)), n_trials=count, n_jobs=slots)
    seconds = time.perf_counter() - started
    _check(len(study.get_trials(deepcopy=False)), count)
    return seconds


def optuna_durable(kind: str, count: int) -> float:
    """Optuna's own loop on a file: ``sqlite``, or ``journal`` for its journal file."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        study = _study(_storage(kind, folder))
        study.optimize(lambda trial: no_op_sync(_suggest(trial)), n_trials=count)
        seconds = time.perf_counter() - started
        _check(len(study.get_trials(deepcopy=False)), count)
    return seconds


def _storage(kind: str, folder: str) -> Any:
    if kind == "sqlite":
        return f"sqlite:///{folder}/study.db"
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(f"{folder}/study.log"))


def ours_durable(objective: Callable[[dict[str, Any]], Any], count: int, slots: int) -> float:
    """This system on a file of SQLite; opening it is not counted, as in ``optuna_durable`` making the study is little."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(f"{folder}/runs.db")
        try:
            with redirect_stderr(StringIO()):  # where a run is kept is said once per run
                return ours(objective, count, slots, store=store)
        finally:
            store.close()


def reopening(count: int, slots: int) -> float:
    """The seconds that it takes to open a finished durable run of ``count`` trials again."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(f"{folder}/runs.db")
        try:
            with redirect_stderr(StringIO()):
                ours(no_op, count, slots, store=store, name="kept")
                return ours(no_op, count, slots, store=store, name="kept")
        finally:
            store.close()


def FIFO() -> FIFOScheduler:  # noqa: N802 (named for what it makes)
    """Fills slots as they free."""
    return FIFOScheduler()


def UCB() -> IterationScheduler:  # noqa: N802
    """Chooses between three branches before each trial; nothing is pruned, so that all of them stay in play."""
    return IterationScheduler(branch_by="model", prune_floor=0.0)


def ours(
    objective: Callable[[dict[str, Any]], Any],
    count: int,
    slots: int,
    scheduler: Callable[[], Any] = FIFO,
    *,
    store: Any = "memory",
    name: str | None = None,
) -> float:
    """This system: pick, dispatch, score, fan_out, everything journalled, in memory unless said otherwise."""
    search_space: dict[str, Any] = {"rate": LogUniform(1e-4, 1e-1), "batch": Integer(16, 256), "momentum": Uniform(0.0, 1.0)}
    if scheduler is UCB:
        search_space = {**search_space, "model": Choice(["a", "b", "c"])}
    started = time.perf_counter()
    results = SweepExperiment(
        objective=objective,
        search_space=search_space,
        optimizer=RandomOptimizer(),
        scheduler=scheduler(),
        slots=slots,
        seed=0,
        store=store,
        name=name,
    ).run(budget=count)
    seconds = time.perf_counter() - started
    _check(len(results.trials), count)
    return seconds


def _check(done: int, count: int) -> None:
    if done != count:
        raise RuntimeError(f"{done} trials were run, {count} were to be run: the figures would be worth nothing")
