"""A process that ends at any step of keeping a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import asyncio, os, sys, tempfile
from pathlib import Path
import metta_sweep.pipeline.keeping.artifact as artifact
from metta_sweep.pipeline import Artifact, Pipeline
from metta_sweep.store import SqliteStore

here, last = Path(sys.argv[1]), int(sys.argv[2])
steps = 0

def step():
    global steps
    steps += 1
    if steps == last:
        os._exit(77)

def stepping(owner, name):
    before = getattr(owner, name)
    def inner(*args, **options):
        step()
        found = before(*args, **options)
        step()
        return found
    setattr(owner, name, inner)

def train() -> Artifact:
    with (here / "ran").open("a") as log:
        log.write("train ")
    (here / "weights").write_bytes(b"w" * 3_000_000)
    return Artifact(here / "weights")

def size(model: Artifact) -> int:
    with (here / "ran").open("a") as log:
        log.write("size ")
    return len(model.read_bytes())

for owner, name in ((os, "fsync"), (tempfile, "mkstemp"), (Path, "replace"), (Path, "mkdir"), (artifact, "_sync_folder"),
                    (artifact, "_digest_of"), (SqliteStore, "put_checkpoint")):
    stepping(owner, name)
read = artifact._chunks
artifact._chunks = lambda path: (step() or chunk for chunk in read(path))
plan = Pipeline().stage("train", train).through(model=Artifact).stage("size", size).through(n=int).build()
result = asyncio.run(plan.run(name="kept", store=SqliteStore(here / "store.db")))
print(result.n, result.model.path.parent.parent.name)
"""


def run_until(folder: Path, last: int) -> subprocess.CompletedProcess[str]:
    """Run the child, which ends at one of its steps; 0: never."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(last)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_process_killed_at_any_step_of_keeping_a_file_loses_nothing(tmp_path: Path) -> None:
    """The next run has the whole file, silently; what was recorded does not run again."""
    last = 0
    for last in range(1, 100):
        folder = tmp_path / str(last)
        folder.mkdir()
        killed = run_until(folder, last)
        if killed.returncode == 0:
            break
        assert killed.returncode == 77, killed.stderr
        resumed = run_until(folder, 0)
        assert (resumed.returncode, resumed.stdout, resumed.stderr) == (0, "3000000 store.db.artifacts\n", ""), last
        ran = (folder / "ran").read_text().split()
        assert set(ran) == {"train", "size"}
        assert ran.count("train") <= 2
        assert ran.index("size") > 0
    assert last > 20
