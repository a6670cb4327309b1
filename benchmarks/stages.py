"""What the pipeline adds to a stage: ten no-op stages, in memory and kept in SQLite, and a map of ten thousand items.

Beside the floors (what the least code by hand costs) and beside Hamilton, pydantic-graph, Burr, LangGraph and DBOS, where
``pip install '.[peers]'`` has installed them. Takes about five minutes; ``--quick`` measures fewer rounds.

Every contender waits for its turn in a process of its own. A ratio is the median over measurements made one right after the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from stage_maps import BODIES, ITEMS, LIMIT, MAPS
from stage_timing import STAGES
from stage_workers import NOT_INSTALLED, PEERS, Bench, Figure, Way, serve
from tables import machine, print_table, verdict

LABELS: Final = {
    "hamilton": "Hamilton",
    "pydantic_graph": "pydantic-graph",
    "burr": "Burr",
    "langgraph": "LangGraph",
    "dbos": "DBOS",
    "anyio": "anyio task group, CapacityLimiter",
    "asyncio": "asyncio.TaskGroup, Semaphore",
    "by hand": f"{LIMIT} tasks of asyncio that take the next item",
}
CHECKED: Final = {
    "hamilton": "the inputs of a run, no outputs",
    "pydantic_graph": "nothing",
    "burr": "that declared keys are written, no types",
    "langgraph": "that keys are known, no types",
}
OURS_IN_MEMORY: Final = {
    "named field": 5.0,
    "named tuple": 5.0,
    "pydantic model": 5.0,
    "in a loop": 5.0,
    "stage context": None,
    "after hook": None,
    "profile": None,
    "timeout": 15.0,
}
FASTER_THAN: Final = {"hamilton": 3.0}
KEPT: Final = 150.0
FASTER_KEPT_THAN: Final = {"burr": 8.0, "dbos": 20.0}
MAPPED: Final = 2.0
STAGE = Way("ours", "named field")
KEPT_STAGE = Way("ours", "kept")
Figures = Mapping[Way, Figure]


def microseconds(figure: Figure, units: int) -> list[float]:
    """The median, the lowest and the highest, per stage or item."""
    return [seconds / units * 1e6 for seconds in (figure.median, figure.low, figure.high)]


def fastest(figures: Figures, peer: str, name: str) -> tuple[str, Figure] | None:
    """The faster of a peer's two spellings, coroutines and ordinary functions."""
    found = [
        (spelling, figures[way])
        for spelling, way in (("functions", Way(peer, name)), ("coroutines", Way(peer, f"{name} async")))
        if way in figures
    ]
    return min(found, key=lambda pair: pair[1].median) if found else None


def ways_of(names: Sequence[str], counterpart: Way) -> list[tuple[Way, Way | None]]:
    """All that peers can do of this, each beside ours."""
    ways = [(peer, way) for peer, own in PEERS.items() for way in own if way.removesuffix(" async") in names]
    return [(Way(peer, way), counterpart) for peer, way in ways]


def in_memory(bench: Bench, rounds: int) -> None:
    """Nothing is kept: what calling, checking and handing on costs."""
    floor = Way("ours", "floor")
    own: list[tuple[Way, Way | None]] = [(Way("ours", kind), floor) for kind in OURS_IN_MEMORY]
    figures = bench.measure([*own, *ways_of(["memory"], STAGE)], rounds)
    if floor not in figures:
        raise SystemExit(f"metta_sweep cannot be measured: {bench.failures.get(floor)}")
    rows: list[list[object]] = [["plain await", *microseconds(figures[floor], STAGES), None, ""]]
    for kind, limit in OURS_IN_MEMORY.items():
        figure = figures.get(Way("ours", kind))
        if figure is None:
            rows.append([kind, None, None, None, None, ""])
            continue
        cost = microseconds(figure, STAGES)
        rows.append([kind, *cost, figure.ratio, "" if limit is None else verdict(cost[0], limit)])
    print_table(
        f"In memory: {STAGES} no-op stages, microseconds per stage (medians of {rounds} rounds; the run itself is included)",
        ["metta_sweep", "us", "from", "to", "x plain await", "target, us"],
        rows,
    )
    rows = []
    for peer in (peer for peer in PEERS if peer in CHECKED):
        best = fastest(figures, peer, "memory")
        if best is None:
            rows.append([LABELS[peer], "", why(bench, peer), None, None, None, None, "", ""])
            continue
        spelling, figure = best
        least = FASTER_THAN.get(peer)
        target = "" if least is None or figure.ratio is None else verdict(figure.ratio, least, at_least=True)
        rows.append(
            [LABELS[peer], bench.version(peer), spelling, *microseconds(figure, STAGES), figure.ratio, target, CHECKED[peer]]
        )
    print_table(
        "The same with the peers, each in the faster of its two spellings, beside a stage of ours with a named field",
        ["", "version", "spelling", "us", "from", "to", "/ ours", "target, ratio", "checks"],
        rows,
    )
    print("  Ours checks the type of every output, strictly. No peer does. Graphs are built once and run many times.")


def kept(bench: Bench, rounds: int) -> None:
    """Each output is in a file of SQLite before the next stage starts."""
    power, by_hand, looped, mapped = (Way("ours", f"kept{rest}") for rest in (", power", " floor", " in a loop", " in a map"))
    own: list[tuple[Way, Way | None]] = [(way, by_hand) for way in (KEPT_STAGE, looped, mapped, power)]
    peers = [*ways_of(["relaxed"], KEPT_STAGE), *ways_of(["kept"], KEPT_STAGE)]
    figures = bench.measure([*own, *peers], rounds)
    rows: list[list[object]] = []
    for label, way, limit in (
        ("a row and a commit by hand", by_hand, None),
        ("metta_sweep", KEPT_STAGE, KEPT),
        ("metta_sweep, 1,000 in a loop", looped, KEPT),
        ("metta_sweep, 1,000 items of a map", mapped, KEPT),
        ("metta_sweep, durability='power'", power, None),
    ):
        if way not in figures:
            rows.append([label, "", why(bench, "ours"), None, None, None, None, None, ""])
            continue
        cost = microseconds(figures[way], STAGES)
        target = "" if limit is None else f"{verdict(cost[0], limit)} (us)"
        rows.append([label, "yes" if way is power else "no", "coroutines", *cost, figures[way].ratio, None, target])
    for peer in ("burr", "dbos", "langgraph"):
        for name, flushed in (("kept", "yes"), ("relaxed", "no")):
            best = fastest(figures, peer, name)
            label = f"{LABELS[peer]} {bench.version(peer)}"
            if best is None:
                rows.append([label, flushed, why(bench, peer), None, None, None, None, None, ""])
                continue
            spelling, figure = best
            least = FASTER_KEPT_THAN.get(peer)
            target = "" if least is None or figure.ratio is None else verdict(figure.ratio, least, at_least=True)
            rows.append([label, flushed, spelling, *microseconds(figure, STAGES), None, figure.ratio, target])
    print_table(
        f"Kept in SQLite: {STAGES} no-op stages, microseconds per stage (medians of {rounds} rounds)",
        ["", "waits for the disk", "spelling", "us", "from", "to", "x by hand", "/ ours", "target"],
        rows,
    )
    print(
        "  Ours keeps each output with digests of what it read, of its contract and of its code, and looks for it first\n"
        "  in a run that is resumed; these here are new.\n"
        "  Ten stages open and release a run of their own, but for the rows of 1,000.\n"
        "  'no': a commit survives the death of any process and reaches the disk later (write-ahead log, synchronous=NORMAL):\n"
        "  ours by default, the peers when told so by hand. 'yes': a commit waits for the disk: the peers as delivered.\n"
        "  The targets were set for our default beside the peers as delivered.\n"
        "  Burr adds the state after each action, in one application that goes round, and looks nothing up. DBOS records\n"
        "  a workflow per ten steps, and each step; LangGraph a thread per ten nodes, and its state after each (durability='sync')."
    )


def mapped(bench: Bench, rounds: int) -> None:
    """Many items, few at a time."""
    ways: list[tuple[Way, Way | None]] = []
    for name in BODIES:
        anyio = Way("anyio", f"map {name}")
        ways += [(Way(peer, f"map {name}"), anyio) for peer in MAPS if peer != "anyio"]
    figures = bench.measure(ways, rounds)
    rows: list[list[object]] = []
    for name in BODIES:
        for peer in MAPS:
            way = Way(peer, f"map {name}")
            label = "metta_sweep" if peer == "ours" else LABELS[peer]
            if way not in figures:
                rows.append([name, label, None, None, None, None, bench.failures.get(way, "not measured")])
                continue
            figure = figures[way]
            target = verdict(figure.ratio, MAPPED) if peer == "ours" and figure.ratio is not None else ""
            rows.append([name, label, *microseconds(figure, ITEMS), figure.ratio, target])
    print_table(
        f"A map of {ITEMS:,} items, {LIMIT} at a time, microseconds per item (medians of {rounds} rounds)",
        ["item", "", "us", "from", "to", "/ anyio's", "target, ratio"],
        rows,
    )


def why(bench: Bench, peer: str) -> str:
    """Why a peer has no figures."""
    reason = next((reason for way, reason in bench.failures.items() if way.peer == peer), "not measured")
    return "not installed: pip install '.[peers]'" if reason == NOT_INSTALLED else reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="three rounds and not seven")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        serve(arguments.peer)
        return
    rounds = 3 if arguments.quick else 7
    print(machine())
    with Bench() as bench:
        in_memory(bench, rounds)
        kept(bench, rounds)
        mapped(bench, rounds)
        failures = {way: reason for way, reason in bench.failures.items() if reason != NOT_INSTALLED}
    for way, reason in failures.items():
        print(f"  failed: {way.peer}, {way.name}: {reason}")
    print(f"\nAt the end: {machine()}")
    if any(way.peer == "ours" for way in failures):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
