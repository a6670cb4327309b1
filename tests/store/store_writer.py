"""Appends to a run for ever: one record and one row in each batch, and a checkpoint now and then.

Arguments: the database, the witness file, where to die (``commit.after:3``: at its third passage; or nowhere), bytes per payload.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from store_kit import RUN, checkpoint, start

from metta_sweep.clock import crash_points
from metta_sweep.testing.store_conformance import make_record, make_row


def main(path: str, witness: str, die_at: str, size: str) -> None:
    """Write until killed."""
    point, _, occurrence = die_at.partition(":")
    passages = 0

    def die(name: str) -> None:
        nonlocal passages
        passages += name == point
        if name == point and passages == int(occurrence):
            os.kill(os.getpid(), signal.SIGKILL)

    with crash_points(die), Path(witness).open("ab", buffering=0) as seen:
        store = start(Path(path))
        number = store.end_of(RUN)
        print("ready", number, flush=True)  # noqa: T201
        while True:
            number += 1
            if number % 5 == 0:
                store.put_checkpoint(RUN, checkpoint(f"train[{number % 50}]", f"{number}".encode()))
            store.append(RUN, [make_record(number - 1, payload=b"x" * int(size))], [make_row(number - 1)])
            seen.write(f"{number:>11}\n".encode())
            os.fsync(seen.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
