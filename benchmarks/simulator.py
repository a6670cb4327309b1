"""How many epoch reports the simulated executor brings through a whole sweep per second, on one core, and whether two runs agree.

500 slots; each trial's epochs take another time, so that no two reports come at once; everything is kept in a memory store. Three
schedulers judge: at the rungs of successive halving only (10, 30 and 90 epochs, as ``Scheduler.next_judged`` tells), at every
report, and ``ASHAScheduler`` itself, which pauses most trials. Each run is made twice: the journals must be equal, byte for byte.

Run it with ``python benchmarks/simulator.py [--quick]``.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
from collections.abc import Mapping
from time import process_time
from typing import Any

from tables import machine, print_table, verdict

from metta_sweep import MemoryStore, SweepExperiment, Uniform
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.executors import PowerLaw, SimulatedExecutor, simulated
from metta_sweep.schedulers import ASHAScheduler, Scheduler

SLOTS = 500
EPOCHS = 100
RUNGS = (10, 30, 90)
TARGET = 1_000_000 / 120.0


class JudgesAll(Scheduler):
    """Looks at every report and lets all go on."""

    needs_reports = True

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """On it goes, unless the loss is absurd."""
        return Verdict.STOP if report.value("loss") > 1e9 else Verdict.CONTINUE


class JudgesRungs(JudgesAll):
    """The same, at three steps."""

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The next rung."""
        return next((rung for rung in RUNGS if rung > step), None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the reports")
    quick = parser.parse_args().quick
    trials = 500 if quick else 10_000
    print(machine())
    rows = []
    for name, scheduler, count in (
        ("judged at rungs", JudgesRungs(), trials),
        ("judged at every report", JudgesAll(), trials),
        ("ASHAScheduler()", ASHAScheduler(), 4 * trials),
    ):
        first, second = _run(scheduler, count), _run(scheduler, count)
        same = "the same twice" if first.digest == second.digest else "NOT THE SAME"
        rate = max(first.rate, second.rate)
        print(f"  {name}: {first.reports:,} reports at {first.rate:,.0f} and {second.rate:,.0f} per second, {same}", flush=True)
        rows.append((name, first.reports, first.days, rate, 1e6 / rate, verdict(rate, TARGET, at_least=True), first.digest, same))
    header = ("reports", "made", "simulated days", "per second", "us each", "target", "journal", "digest")
    print_table(f"{SLOTS} slots, one core, memory store", header, rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"\n  peak memory, with the journals of a run: {peak:,.0f} MB")


class _Figures:
    """What one run took."""

    def __init__(self, seconds: float, reports: int, days: float, digest: str) -> None:
        self.rate = reports / seconds
        self.reports = reports
        self.days = days
        self.digest = digest


def _run(scheduler: Scheduler, trials: int) -> _Figures:
    store = MemoryStore()
    experiment = SweepExperiment(
        objective=simulated(PowerLaw(limit=_limit, noise=0.02), epochs=EPOCHS),
        search_space={"x": Uniform(0.0, 1.0)},
        scheduler=scheduler,
        executor=SimulatedExecutor(slots=SLOTS, seconds=_seconds),
        slots=SLOTS,
        goal="minimize",
        metric="loss",
        seed=1,
        store=store,
    )
    start = process_time()
    result = experiment.run(trials)
    seconds = process_time() - start
    reports, digest = 0, hashlib.sha256()
    for record in store.records(result.run_id, kind="events"):
        digest.update(record.payload)
        reports += record.payload.count(b'["report",')
    return _Figures(seconds, reports, result.spend.seconds / 86_400, digest.hexdigest()[:12])


def _limit(params: Mapping[str, Any]) -> float:
    return float(params["x"]) ** 2


def _seconds(params: Mapping[str, Any], step: int) -> float:
    """A minute, give or take a half, for each epoch of a trial."""
    return 30.0 + 60.0 * float(params["x"])


if __name__ == "__main__":
    main()
