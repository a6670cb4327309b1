"""What the tests of experiments inside experiments share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import MemoryStore
from metta_sweep.clock import crash_points
from metta_sweep.experiments.codec import decode_trial

ROOT = Path(__file__).resolve().parents[2]


async def bowl(x: float, best: float = 0.0) -> float:
    """A parabola with its maximum, 0, at ``best``."""
    return -((x - best) ** 2)


def kept_runs(store: Any, name: str) -> list[str]:
    """The names of all runs inside the run of that name, iterations in their order."""
    return sorted((str(row.name) for row in store.runs(under=name)), key=_in_order)


def essence_of(result: Any, store: Any) -> dict[str, Any]:
    """What a crash must not change: the values of a pipeline without times, and the trials of all runs inside it."""
    trials: dict[str, Any] = {}
    for row in store.runs(under=result.name):
        ended = [decode_trial(trial) for trial in store.trial_rows(row.run_id)]
        trials[str(row.name)] = [(trial.id, trial.state, trial.params, trial.score) for trial in ended]
    return {"fields": _without_times(dict(result.context)), "trials": trials, "spent": result.spend.trials}


def check_deaths(run: Callable[[MemoryStore], Any], places: int | None) -> None:
    """Run it, died after some record, again in the same store: what there is then must be what there is without a death.

    Args:
        run: runs the experiment in a store, and returns its result.
        places: after how many of its records it is to die, evenly spread; None: after each.
    """
    never, store = DieAt(0), MemoryStore()
    with crash_points(never):
        whole = essence_of(run(store), store)
    assert never.seen > 20
    for occurrence in range(2, never.seen, 1 if places is None else never.seen // places):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            run(store)
        assert essence_of(run(store), store) == whole, occurrence


def finished_by_another_process(code: str, path: Path, *, die_at_trial: int) -> tuple[list[str], list[str], Any]:
    """Run a script that is killed by SIGKILL when so many trials began, and again to its end.

    Returns:
        The ids of the trials that began in the first process, and in the second, and what that told.
    """
    head = f"""
        import json, os, signal
        store = {str(path)!r}
        began = []
        dies = int(os.environ["DIE_AT"])

        def ran(trial_id):
            began.append(trial_id)
            print(trial_id, flush=True)
            if len(began) == dies:
                os.kill(os.getpid(), signal.SIGKILL)

        def told(values):
            print("told " + json.dumps(values), flush=True)
    """
    script = textwrap.dedent(head) + textwrap.dedent(code)
    answers: list[list[str]] = []
    for dies, ends in ((die_at_trial, -signal.SIGKILL), (0, 0)):
        done = subprocess.run(
            [sys.executable, "-c", script],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DIE_AT": str(dies)},
        )
        assert done.returncode == ends, done.stderr
        answers.append(done.stdout.splitlines())
    first, (*again, told) = answers
    return first, again, json.loads(told.removeprefix("told "))


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_times(item) for item in value]
    slots = getattr(type(value), "__dataclass_fields__", None)
    if slots is None:
        return value
    return {name: _without_times(getattr(value, name)) for name in slots if name != "seconds"}


def _in_order(name: str) -> list[Any]:
    """Numbers in brackets by their value."""
    parts = name.replace("]", "[").split("[")
    return [int(part) if number % 2 and part.isdigit() else part for number, part in enumerate(parts)]
