"""Stage functions at the top of a module, where another process finds them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from metta_sweep.pipeline import Context, StageContext


class Refused(OSError):
    """An error of this module's own."""


class Mute(Exception):
    """Fails to say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("broken")


def mute() -> int:
    """Raises it."""
    raise Mute


class Stubborn:
    """Cannot be pickled, and has a method."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def work(self) -> int:
        """A stage."""
        return 1


class Doubling:
    """Can be pickled, and has a method."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def work(self, n: int) -> int:
        """A stage."""
        return n * self.factor

    def __call__(self, n: int) -> int:
        """A stage."""
        return n * self.factor


def pid() -> int:
    """Where it runs."""
    return os.getpid()


def add(n: int, more: int = 1) -> int:
    """Plain work."""
    return n + more


async def add_async(n: int) -> int:
    """Plain work, asynchronous."""
    return n + 1


def keys(context: Context) -> list[str]:
    """Reads the whole context."""
    return sorted(context)


def asks(n: int, context: StageContext) -> dict[str, Any]:
    """What a stage may ask about itself."""
    context.check_cancelled()
    try:
        context.end_timeout()
        refusal = ""
    except RuntimeError as error:
        refusal = str(error)
    return {
        "address": context.address,
        "attempt": context.attempt,
        "seed": context.seed,
        "draw": context.rng.random(),
        "key": context.idempotency_key,
        "left": context.remaining(),
        "refusal": refusal,
    }


def sleeps(n: int = 0) -> int:
    """Takes longer than anybody waits."""
    time.sleep(60)
    return n


def sleeps_beside(path: str) -> int:
    """Leaves its process id, starts a child, and takes longer than anybody waits."""
    import subprocess

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(path).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
    time.sleep(60)
    return 1


def sleeps_once(path: str) -> int:
    """Takes too long the first time only."""
    mark = Path(path)
    if not mark.exists():
        mark.write_text("", encoding="utf-8")
        time.sleep(60)
    return 7


def refuses() -> int:
    """Fails with an error of this module's own."""
    raise Refused("not today")


def exits() -> int:
    """Ends itself in the usual way."""
    sys.exit(3)


def dies() -> int:
    """Ends its process at once."""
    os._exit(4)


def is_killed() -> int:
    """Is ended by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def gives_a_lock() -> Any:
    """What cannot cross."""
    return threading.Lock()


class Misread:
    """Can be pickled, and not be read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ()


def _refuse() -> None:
    raise ValueError("unreadable")


def gives_a_misread() -> Any:
    """What crosses and cannot be read."""
    return Misread()


def anything() -> Any:
    """Says nothing of what it returns."""
    return 7
