"""What a process prints last when Ctrl-C ended a kept pipeline."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import signal
from metta_sweep.experiments.signals import run_blocking

async def main():
    import asyncio
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(60)

run_blocking(main, graceful=False, kept_as="digits", resume="python digits.py")
"""


def heeds_ctrl_c() -> None:
    """What runs in the background of a shell ignores Ctrl-C, and its children inherit that: not this one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_command_that_goes_on_is_announced() -> None:
    """The last line is the command alone, for who copies it; the one before says what it is for."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=50, check=False, preexec_fn=heeds_ctrl_c
    )
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-2:] == ["Interrupted. To go on, run:", "python digits.py"]
