"""What the framework adds to a trial, beside Optuna and a hand-written asyncio loop, all in one run.

Takes about two minutes; ``--quick`` runs fewer trials and repeats, for a first look.

Nobody's garbage collector is tuned: all three run on the interpreter's defaults.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from contenders import (
    FIFO,
    UCB,
    hand_written,
    no_op,
    no_op_sync,
    optuna_ask_tell,
    optuna_durable,
    optuna_optimize,
    ours,
    ours_durable,
    reopening,
    sleep_5_ms,
)
from tables import interleaved, machine, print_table, verdict

FASTER_THAN_OPTUNA = 1.3
GROWTH = 1.4
DURABLE_GROWTH = 1.25
GROWTH_MEGABYTES = 250
WARM_UP = 20


def first_runs() -> None:
    """The first run of each in this process, late imports included. All later figures are of warm contenders."""
    contenders: dict[str, Callable[[], float]] = {
        "hand-written asyncio": partial(hand_written, no_op, WARM_UP, 64),
        "metta_sweep": partial(ours, no_op, WARM_UP, 64),
        "metta_sweep, UCB": partial(ours, no_op, WARM_UP, 64, UCB),
        "metta_sweep, in threads": partial(ours, no_op_sync, WARM_UP, 3),
        "Optuna ask/tell": partial(optuna_ask_tell, no_op, WARM_UP, 64),
        "Optuna optimize": partial(optuna_optimize, WARM_UP, 3),
    }
    rows = [[name, run() * 1e3, run() * 1e3] for name, run in contenders.items()]
    print_table(f"Warming up: {WARM_UP} no-op trials, milliseconds", ["", "first run", "second run"], rows)


def trials(count: int, repeats: int) -> None:
    """No-op coroutines: everything that is measured is overhead."""
    rows = []
    for slots, limit in ((64, 80), (1, 120)):
        contenders: dict[str, Callable[[], float]] = {
            "floor": partial(hand_written, no_op, count, slots),
            "ours": partial(ours, no_op, count, slots),
            "ucb": partial(ours, no_op, count, slots, UCB),
            "ask": partial(optuna_ask_tell, no_op, count, slots),
            "optimize": partial(optuna_optimize, count),
        }
        cost = {name: seconds / count * 1e6 for name, seconds in interleaved(contenders, repeats).items()}
        peer = min(cost["ask"], cost["optimize"])
        label = f"{slots} slots" if slots > 1 else "1 slot"
        for name, how in (("ours", "slots filled as they free"), ("ucb", "UCB over three branches")):
            ratio = peer / cost[name]
            rows.append(
                [
                    f"{label}, {how}",
                    cost["floor"],
                    cost[name],
                    cost["ask"],
                    cost["optimize"],
                    verdict(cost[name], limit),
                    ratio,
                    verdict(ratio, FASTER_THAN_OPTUNA, at_least=True) if slots > 1 else "",
                ]
            )
    print_table(
        f"No-op coroutines, microseconds per trial (medians of {repeats} runs of {count:,} trials)",
        ["", "hand-written", "metta_sweep", "Optuna ask/tell", "Optuna optimize", "target, us", "Optuna / ours", "target, ratio"],
        rows,
    )
    print("  'Optuna / ours' takes the faster of Optuna's two spellings. Optimize runs an ordinary function, one at a time.")


def durable(count: int, repeats: int) -> None:
    """The same on a file: what it costs that a result is told only when it would survive a kill."""
    peers: dict[str, Callable[[], float]] = {
        "sqlite": lambda: optuna_durable("sqlite", 60) / 60 * count,
        "journal": lambda: optuna_durable("journal", 100) / 100 * count,
    }
    rows = []
    for slots, limit in ((64, 150), (1, 160)):
        contenders: dict[str, Callable[[], float]] = {"ours": partial(ours_durable, no_op, count, slots), **peers}
        cost = {name: seconds / count * 1e6 for name, seconds in interleaved(contenders, repeats).items()}
        ratios = cost["sqlite"] / cost["ours"], cost["journal"] / cost["ours"]
        targets = (verdict(ratios[0], 150, at_least=True), verdict(ratios[1], 20, at_least=True)) if slots > 1 else ("", "")
        label = f"{slots} slots" if slots > 1 else "1 slot"
        rows.append(
            [
                label,
                cost["ours"],
                verdict(cost["ours"], limit),
                cost["sqlite"],
                ratios[0],
                targets[0],
                cost["journal"],
                ratios[1],
                targets[1],
            ]
        )
    print_table(
        f"Durable no-op trials, microseconds per trial (medians of {repeats} runs of {count:,}; Optuna: 60 and 100, one at a time)",
        ["", "metta_sweep", "target, us", "Optuna SQLite", "ratio", "target", "Optuna journal", "ratio", "target"],
        rows,
    )


def reopened(count: int) -> None:
    """A finished durable run is folded again when it is opened."""
    rows = [[f"{slots} slots" if slots > 1 else "1 slot", reopening(count, slots)] for slots in (64, 1)]
    limit = 3.0 * count / 100_000
    print_table(
        f"Opening a finished durable run of {count:,} trials again, seconds",
        ["", "seconds", "target"],
        [[*row, verdict(float(row[1]), limit)] for row in rows],  # type: ignore[arg-type]
    )


def growth(small: int, large: int) -> None:
    """The same trial late in a long run, each contender in a process of its own."""
    rows = []
    contenders = {
        "ours": "metta_sweep",
        "ucb": "metta_sweep, UCB over three branches",
        "durable": "metta_sweep, durable",
        "optuna": "Optuna optimize",
    }
    for name, label in contenders.items():
        figures = json.loads(_child(name, small, large))
        ratio = figures["large"] / figures["small"]
        targets = (
            ("", "")
            if name == "optuna"
            else (verdict(ratio, DURABLE_GROWTH if name == "durable" else GROWTH), verdict(figures["megabytes"], GROWTH_MEGABYTES))
        )
        rows.append([label, figures["small"], figures["large"], ratio, targets[0], figures["megabytes"], targets[1]])
    print_table(
        f"Growth: microseconds per no-op trial in runs of {small:,} and {large:,} (64 slots), and peak memory of the process",
        ["", f"{small:,}", f"{large:,}", "ratio", "target, ratio", "peak MB", "target, MB"],
        rows,
    )


def _child(name: str, small: int, large: int) -> str:
    command = [sys.executable, __file__, "--growth", name, str(small), str(large)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure_growth(name: str, small: int, large: int) -> None:
    """In the child: runs of the small size, then one of the large size, then the peak of resident memory."""
    runs: dict[str, Callable[[int], float]] = {
        "ours": lambda count: ours(no_op, count, 64, FIFO),
        "ucb": lambda count: ours(no_op, count, 64, UCB),
        "durable": lambda count: ours_durable(no_op, count, 64),
        "optuna": optuna_optimize,
    }
    run = runs[name]
    run(small)
    first = interleaved({name: lambda: run(small)}, 7)[name]
    last = run(large)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"small": first / small * 1e6, "large": last / large * 1e6, "megabytes": peak / 1e6}))


def sleeps(scale: float, repeats: int) -> None:
    """Trials that wait 5 ms: how well slots are kept busy."""
    rows = []
    for slots, full, limit in ((3, 600, 500), (64, 8_000, 7_000), (1_000, 20_000, 12_000)):
        count = round(full * scale)
        contenders: dict[str, Callable[[], float]] = {
            "floor": partial(hand_written, sleep_5_ms, count, slots),
            "ours": partial(ours, sleep_5_ms, count, slots),
            "ask": partial(optuna_ask_tell, sleep_5_ms, count, slots),
        }
        rate = {name: count / seconds for name, seconds in interleaved(contenders, repeats).items()}
        target = verdict(rate["ours"], limit, at_least=True)
        rows.append(
            [f"{slots:,} slots", slots / 0.005, rate["floor"], rate["ours"], rate["ask"], rate["ours"] / rate["ask"], target]
        )
    print_table(
        f"5 ms sleeps, trials per second (medians of {repeats} runs)",
        ["", "perfect", "hand-written", "metta_sweep", "Optuna ask/tell", "ours / Optuna", "target"],
        rows,
    )


def threads(count: int, repeats: int) -> None:
    """Ordinary functions: this system runs them in threads, so that a slow one holds up nobody."""
    rows = []
    for slots in (1, 3):
        contenders: dict[str, Callable[[], float]] = {
            "ours": partial(ours, no_op_sync, count, slots),
            "optimize": partial(optuna_optimize, count, slots),
        }
        cost: dict[str, Any] = {name: seconds / count * 1e6 for name, seconds in interleaved(contenders, repeats).items()}
        rows.append([f"{slots} slots" if slots > 1 else "1 slot", cost["ours"], cost["optimize"], cost["optimize"] / cost["ours"]])
    print_table(
        f"Ordinary functions that do nothing, microseconds per trial (medians of {repeats} runs of {count:,} trials)",
        ["", "metta_sweep", "Optuna optimize", "Optuna / ours"],
        rows,
    )
    print("  Ours: each in a worker thread. Optuna: one slot in the caller's thread, more in threads of their own.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer trials and repeats")
    parser.add_argument("--growth", nargs=3, metavar=("NAME", "SMALL", "LARGE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.growth:
        measure_growth(arguments.growth[0], int(arguments.growth[1]), int(arguments.growth[2]))
        return
    quick = arguments.quick
    print(machine())
    first_runs()
    trials(1_000 if quick else 3_000, 3 if quick else 7)
    durable(1_000 if quick else 3_000, 3 if quick else 5)
    reopened(10_000 if quick else 100_000)
    growth(1_000, 10_000 if quick else 100_000)
    sleeps(0.25 if quick else 1.0, 1 if quick else 3)
    threads(500 if quick else 2_000, 3 if quick else 5)


if __name__ == "__main__":
    main()
