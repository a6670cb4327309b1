"""Processes that are killed with -9: where they die by themselves, how they are run, and what became of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def dies_at(place: str) -> Callable[[str], None]:
    """A plan for ``crash_points``: kills this process at ``commit.after:3``, the third passage of that point; empty: nowhere."""
    point, _, occurrence = place.partition(":")
    passages = 0

    def die(name: str) -> None:
        nonlocal passages
        passages += name == point
        if name == point and passages == int(occurrence):
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def process_of(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A process that runs a script of this folder."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(running: subprocess.Popen[bytes]) -> bool:
    """Wait for its end; whether it was killed. Any other failure shows its errors."""
    _, errors = running.communicate(timeout=60)
    assert running.returncode in {0, -signal.SIGKILL}, errors.decode()
    return running.returncode != 0


def killed_after(running: subprocess.Popen[bytes], lines: int, seconds: float) -> bool:
    """Kill it so many lines of its output, and then so many seconds, from now. Whether it was alive then."""
    assert running.stdout is not None
    for _ in range(lines):
        if not running.stdout.readline():
            break
    time.sleep(seconds)
    running.kill()
    return ended(running)
