"""R7: memory and files are bounded, whatever the number of trials, and readers are in nobody's way."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from metta_sweep import SweepExperiment, Uniform
from metta_sweep.store import open_reader

READER = Path(__file__).with_name("recovery_reader.py")
ROOT = Path(__file__).resolve().parents[2]
LOG_LIMIT = 64 << 20
TRIALS, WARM, EVERY = 20_000, 8_000, 1_000


class Probe:
    """A trial that does nothing but, now and then, to see how much memory is in use."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.done = 0
        self.longest = 0
        self.points: list[tuple[float, float]] = []

    async def trial(self, x: float) -> float:
        """The parameter."""
        self.done += 1
        if self.done % 100 == 0:
            self.longest = max(self.longest, self.log.stat().st_size)
        if self.done >= WARM and self.done % EVERY == 0:
            gc.collect()
            self.points.append((self.done / 1000, tracemalloc.get_traced_memory()[0] / 1024))
        return x

    def slope(self) -> float:
        """KB per 1,000 trials, by least squares."""
        x, y = (sum(values) / len(self.points) for values in zip(*self.points, strict=True))
        return float(sum((a - x) * (b - y) for a, b in self.points) / sum((a - x) ** 2 for a, _ in self.points))


def sweep(path: Path, objective: Any, slots: int) -> SweepExperiment:
    """A kept sweep of one parameter."""
    return SweepExperiment(name="soak", objective=objective, search_space={"x": Uniform(0, 1)}, slots=slots, seed=0, store=path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_and_log_stay_as_they_are(tmp_path: Path) -> None:
    """R7: after a warm-up, 12,000 more trials take less than 1 KB of memory per 1,000, and the log stays below 64 MB."""
    path = tmp_path / "soak.db"
    probe = Probe(Path(f"{path}-wal"))
    tracemalloc.start()
    try:
        results = sweep(path, probe.trial, 64).run(budget=TRIALS)
    finally:
        tracemalloc.stop()
    assert len(results.trials) == TRIALS
    assert probe.slope() < 1.0, probe.points
    assert 0 < probe.longest < LOG_LIMIT
    del results
    gc.collect()
    assert path.stat().st_size < 1536 * TRIALS


def test_readers_see_no_lock_and_hold_nobody_up(tmp_path: Path) -> None:
    """R7: eight readers look again and again while a sweep runs: no error, counts that only grow, and it ends with its budget."""
    path = tmp_path / "read.db"

    async def objective(x: float) -> float:
        await asyncio.sleep(0.001)
        return x

    sweep(path, objective, 8).run(budget=1)
    readers = [_reader(path) for _ in range(2)]
    try:
        for process in readers:
            assert process.stdout is not None
            assert process.stdout.readline()
        results = sweep(path, objective, 8).run(budget=500)
    finally:
        said = [process.communicate("", timeout=30) for process in readers]
    assert len(results.trials) == 500
    assert [process.returncode for process in readers] == [0, 0], said
    for out, _ in said:
        ended, looks = map(int, out.split()[-2:])
        assert 1 <= ended <= 500
        assert looks >= 8
    with open_reader(path) as reader:
        assert len(list(reader.trial_rows(reader.runs()[0].run_id))) == 500


def _reader(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(READER), str(path)],
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
