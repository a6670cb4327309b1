"""The examples of composed experiments: each one run as a script, and what it prints judged."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def command(name: str, store: str) -> tuple[list[str], dict[str, str]]:
    """How an example is run, kept in that store."""
    pytest.importorskip("sklearn")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "METTA_SWEEP_STORE": store}
    return [sys.executable, str(ROOT / "examples" / f"{name}.py")], environment


def printed(name: str, store: str = "memory") -> str:
    """What an example prints."""
    line, environment = command(name, store)
    return subprocess.run(line, check=True, capture_output=True, text=True, env=environment).stdout


def test_hybrid() -> None:
    """Each candidate was worth less in the median than when it was found, or as much; the best one is chosen."""
    text = printed("hybrid")
    assert re.findall(r"^(explore|model|refine) +(\d+)", text, flags=re.MULTILINE) == [
        ("explore", "30"),
        ("model", "20"),
        ("refine", "40"),
    ]
    rows = re.findall(r"^candidate-\d +\S+ +(\S+) +(\S+) ", text, flags=re.MULTILINE)
    assert len(rows) == 5
    assert all(float(again) <= float(when_found) for when_found, again in rows)
    assert f"which reads {100 * float(rows[0][1]):.1f} % of the images" in text


def test_optimizer_optimizer() -> None:
    """Ten configurations in order of what they reached, the best one first."""
    text = printed("optimizer_optimizer")
    reached = [float(row) for row in re.findall(r"^ +\d+  (?:EI|UCB) .* (\S+)$", text, flags=re.MULTILINE)]
    assert len(reached) == 10
    assert reached == sorted(reached, reverse=True)
    first = re.search(r"^ +\d+  (EI|UCB) +(\S+) +(\d+) ", text, flags=re.MULTILINE)
    assert first is not None
    assert "best: {}, exploration {}, batches of {}".format(*first.groups()) in text


def test_a_curriculum_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Killed with -9 in the middle of a task, the example prints in the end what it prints without that."""
    line, environment = command("curriculum", str(tmp_path / "runs.db"))
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        wait_for_tasks(tmp_path / "runs.db", 3)
        child.send_signal(signal.SIGKILL)
        assert child.communicate()[0] == ""
    whole = printed("curriculum")
    assert printed("curriculum", str(tmp_path / "runs.db")) == whole
    tasks = re.findall(r"^(.*?) +\d+ +4 +(\S+) +(\S+)  (yes|no)$", whole, flags=re.MULTILINE)
    assert [name for name, *_, mastered in tasks if mastered == "yes"] == ["two-digits", "ten-digits", "noisy", "noisier"]
    assert all((float(reached) >= float(needed)) == (mastered == "yes") for _, reached, needed, mastered in tasks)


def wait_for_tasks(path: Path, count: int) -> None:
    """Wait until so many sweeps of tasks have begun."""
    from metta_sweep.errors import StoreError
    from metta_sweep.experiments.stores import reader_of

    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        try:
            with reader_of(path) as store:
                if len(store.runs(under="curriculum")) >= count:  # type: ignore[attr-defined]
                    return
        except StoreError:
            pass  # it is not there yet
        time.sleep(0.01)
    raise AssertionError("the example does not come to its tasks")
