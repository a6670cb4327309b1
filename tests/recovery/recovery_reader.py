"""Four readers in threads that look at a run again and again until standard input closes. Any error ends it with code 1.

It prints ``looked`` once each of them has, and in the end how many trials they saw end, and how often they looked.
"""

from __future__ import annotations

import sys
import threading

from metta_sweep.store import open_reader

READERS = 4


class Looking:
    """What the readers saw."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.over = threading.Event()
        self.once = threading.Barrier(READERS + 1)
        self.errors: list[str] = []
        self.ended = 0
        self.looks = 0

    def look(self) -> None:
        """Look until it is over."""
        first, seen, events = True, 0, 0
        try:
            while not self.over.is_set():
                with open_reader(self.path) as reader:
                    run = reader.runs()[0].run_id
                    rows, end = sum(1 for _ in reader.trial_rows(run)), reader.end_of(run)
                    sum(1 for _ in reader.records(run, max(0, end - 100)))
                if rows < seen or end < events:
                    raise RuntimeError(f"{seen} trials and {events} events became {rows} and {end}")
                seen, events = rows, end
                self.ended = max(self.ended, seen)
                self.looks += 1
                if first:
                    first = False
                    self.once.wait()
        except Exception as error:  # noqa: BLE001  # told in the end
            self.errors.append(repr(error))
            self.once.abort()


def main(path: str) -> None:
    """Look, say so, and tell in the end."""
    looking = Looking(path)
    threads = [threading.Thread(target=looking.look) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    looking.once.wait()
    print("looked", flush=True)  # noqa: T201  # the parent listens
    sys.stdin.read()
    looking.over.set()
    for thread in threads:
        thread.join()
    if looking.errors:
        sys.exit("\n".join(looking.errors))
    print(looking.ended, looking.looks)  # noqa: T201  # the parent listens


if __name__ == "__main__":
    main(sys.argv[1])
