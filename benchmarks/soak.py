"""A long durable run: whether memory, files and speed stay as they are, how readers bear on it, and the time to open it again.

Takes about three minutes; ``--quick`` runs a tenth of the trials, ``--trials`` as many as you like.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tables import machine, print_table, verdict

from metta_sweep import Choice, Integer, LogUniform, SweepExperiment, Uniform
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler
from metta_sweep.store import open_reader

SLOPE, LOG_MEGABYTES, BYTES_PER_TRIAL, LAST_TENTH, REOPEN_SECONDS, BESIDE_READERS = 1.0, 64, 1536, 0.9, 3.0, 0.8
SAMPLES = 200


class Sample(NamedTuple):
    """The process at one moment."""

    trials: int
    seconds: float
    """Of processor time, which others who use the machine bear less upon."""
    kilobytes: float


class Soak(NamedTuple):
    """What a run was like."""

    seconds: float
    samples: list[Sample]
    log: int
    """Bytes of the write-ahead log at its longest."""
    database: int
    """Bytes of the database in the end."""

    def slope(self) -> float:
        """KB per 1,000 trials in the second half, by least squares."""
        points = [(sample.trials / 1000, sample.kilobytes) for sample in self.samples[len(self.samples) // 2 :]]
        x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
        return float(sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points))

    def last_over_first(self) -> float:
        """Trials per second of processor time in the last tenth over those in the first."""
        tenth = len(self.samples) // 10
        first, last = self.samples[: tenth + 1], self.samples[-tenth - 1 :]
        return (first[-1].seconds - first[0].seconds) / (last[-1].seconds - last[0].seconds)


def resident() -> float:
    """Kilobytes of memory that this process has."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def sweep(path: Path, objective: Callable[..., Any], *, ucb: bool = False, slots: int = 64) -> SweepExperiment:
    """The sweep of the other benchmarks, kept in a file."""
    search_space: dict[str, Any] = {"rate": LogUniform(1e-4, 1e-1), "batch": Integer(16, 256), "momentum": Uniform(0.0, 1.0)}
    if ucb:
        search_space["model"] = Choice(["a", "b", "c"])
    return SweepExperiment(
        name="soak",
        objective=objective,
        search_space=search_space,
        optimizer=RandomOptimizer(),
        scheduler=IterationScheduler(branch_by="model", prune_floor=0.0) if ucb else FIFOScheduler(),
        slots=slots,
        seed=0,
        store=path,
    )


class Probe:
    """A trial that does nothing, and looks at the process now and then."""

    def __init__(self, log: Path, every: int) -> None:
        self.log = log
        self.every = every
        self.done = 0
        self.longest = 0
        self.samples: list[Sample] = []

    async def trial(self, params: dict[str, Any]) -> float:
        """Gives a parameter back."""
        self.done += 1
        if self.done % 100 == 0:
            self.longest = max(self.longest, os.stat(self.log).st_size)  # noqa: PTH116  # cheaper than Path
            if self.done % self.every == 0:
                self.samples.append(Sample(self.done, time.process_time(), resident()))
        return params["momentum"]  # type: ignore[no-any-return]

    async def sleeper(self, params: dict[str, Any]) -> float:
        """The same after 5 ms."""
        await asyncio.sleep(0.005)
        return params["momentum"]  # type: ignore[no-any-return]


def soak(path: Path, trials: int, *, ucb: bool = False, slots: int = 64) -> Soak:
    """Run so many trials that do nothing, and look at the process from within them."""
    probe = Probe(Path(f"{path}-wal"), max(1, trials // SAMPLES))
    started = time.perf_counter()
    sweep(path, probe.trial, ucb=ucb, slots=slots).run(budget=trials)
    seconds = time.perf_counter() - started
    gc.collect()
    return Soak(seconds, probe.samples, probe.longest, path.stat().st_size)


def reopened(path: Path, trials: int, *, ucb: bool = False) -> float:
    """Seconds until a run that is complete says so."""
    probe = Probe(path, trials)
    started = time.perf_counter()
    results = sweep(path, probe.trial, ucb=ucb).run(budget=trials)
    seconds = time.perf_counter() - started
    if len(results.trials) != trials or probe.done:
        raise RuntimeError(f"{len(results.trials)} of {trials} trials are there, {probe.done} were run again")
    return seconds


def in_child(*arguments: object) -> dict[str, Any]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return answer


def child(what: str, path: str, trials: int, ucb: bool) -> None:
    if what == "reopen":
        print(json.dumps({"seconds": reopened(Path(path), trials, ucb=ucb)}))
        return
    if what == "read":
        read_until_killed(Path(path))
        return
    found = soak(Path(path), trials, ucb=ucb)
    figures = found._asdict() | {"slope": found.slope(), "last": found.last_over_first()}
    del figures["samples"]
    print(json.dumps(figures | {"megabytes": found.samples[-1].kilobytes / 1024}))


def read_until_killed(path: Path) -> None:
    """What somebody does who looks at a run again and again; prints a line per look."""
    while True:
        with open_reader(path) as reader:
            run = reader.find_run("soak")
            if run is not None:
                end = reader.end_of(run.run_id)
                shown = sum(1 for _ in reader.records(run.run_id, max(0, end - 200)))
                shown += sum(1 for _ in reader.trial_rows(run.run_id, 0, 200))
                print(shown, flush=True)
        time.sleep(1.0)


def long_run(trials: int) -> None:
    rows = []
    for ucb in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "soak.db"
            found = in_child("soak", path, trials, int(ucb))
            again = in_child("reopen", path, trials, int(ucb))["seconds"]
        per_trial = found["database"] / trials
        megabytes = found["log"] / 1e6
        limit = REOPEN_SECONDS * max(1.0, trials / 100_000)
        rows += [
            [name, "UCB over three branches" if ucb else "slots filled as they free", figure, target]
            for name, figure, target in (
                ("microseconds per trial", found["seconds"] / trials * 1e6, verdict(found["seconds"] / trials * 1e6, 150)),
                ("memory in the end, MB", found["megabytes"], ""),
                ("memory after warm-up, KB per 1,000 trials", found["slope"], verdict(found["slope"], SLOPE)),
                ("write-ahead log at its longest, MB", megabytes, verdict(megabytes, LOG_MEGABYTES)),
                ("database, bytes per trial", per_trial, verdict(per_trial, BYTES_PER_TRIAL)),
                ("rate of the last tenth over the first", found["last"], verdict(found["last"], LAST_TENTH, at_least=True)),
                ("opening it again, seconds", again, verdict(again, limit)),
            )
        ]
    print_table(f"{trials:,} durable trials that do nothing, 64 slots", ["", "", "", "target"], rows)


def readers(trials: int, count: int, repeats: int) -> None:
    rates: dict[bool, list[float]] = {False: [], True: []}
    looks = errors = 0
    for _ in range(repeats):
        for watched in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "soak.db"
                probe = Probe(path, 1)
                sweep(path, probe.sleeper, slots=8).run(budget=1)
                watching = [_reader(path) for _ in range(count if watched else 0)]
                try:
                    started = time.perf_counter()
                    sweep(path, probe.sleeper, slots=8).run(budget=trials + 1)
                    rates[watched].append(trials / (time.perf_counter() - started))
                finally:
                    for process in watching:
                        process.kill()
                        out, err = process.communicate()
                        looks += out.count(b"\n")
                        errors += err.count(b"Error")
    alone, beside = median(rates[False]), median(rates[True])
    print_table(
        f"{count} readers that look at a run once a second each, while {trials:,} trials of 5 ms run on 8 slots",
        ["alone, trials/s", "beside readers", "ratio", "target", "looks", "errors"],
        [[alone, beside, beside / alone, verdict(beside / alone, BESIDE_READERS, at_least=True), looks, errors]],
    )


def _reader(path: Path) -> subprocess.Popen[bytes]:
    """A reader that has looked once."""
    command = [sys.executable, __file__, "--child", "read", str(path), "0", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if process.stdout is not None:
        process.stdout.readline()
    return process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials")
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, path, trials, ucb = arguments.child
        child(what, path, int(trials), bool(int(ucb)))
        return
    trials = arguments.trials // 10 if arguments.quick else arguments.trials
    print(machine())
    long_run(trials)
    readers(3_000 if arguments.quick else 10_000, 8, 1 if arguments.quick else 3)


if __name__ == "__main__":
    main()
