"""Ten no-op stages in a row, in memory, as each of the peers does them with the least overhead that its documentation shows.

All pass one number on. Where a peer has two spellings, coroutines and ordinary functions, both are here.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
from pathlib import Path
from typing import Any, Final, TypedDict

from stage_timing import STAGES, Contender, awaited, called, expect

__all__ = [
    "IN_MEMORY",
    "NEEDS",
    "burr_coroutine",
    "burr_ring",
    "burr_stage",
    "langgraph_chain",
    "langgraph_coroutine",
    "langgraph_stage",
    "load",
]


def load(module: str) -> Any:
    return importlib.import_module(module)


def _hamilton_module(prefix: str) -> Any:
    """Hamilton takes a chain from the names of functions and of their parameters."""
    names = ["count", *(f"s{number}" for number in range(STAGES))]
    lines = [f"{prefix}def {name}({before}: int) -> int:\n    return {before}\n" for before, name in itertools.pairwise(names)]
    return load("hamilton.ad_hoc_utils").module_from_source("\n".join(lines))


def hamilton(runs: int, _: Path) -> float:
    """Hamilton's driver over ordinary functions."""
    driver = load("hamilton.driver").Builder().with_modules(_hamilton_module("")).build()
    expect(driver.execute(["s9"], inputs={"count": 1})["s9"])
    return called(lambda: driver.execute(["s9"], inputs={"count": 1}), runs)


def hamilton_async(runs: int, _: Path) -> float:
    """Hamilton's driver for coroutines."""

    async def main() -> float:
        driver = await load("hamilton.async_driver").Builder().with_modules(_hamilton_module("async ")).build()
        expect((await driver.execute(["s9"], inputs={"count": 1}))["s9"])
        return await awaited(lambda: driver.execute(["s9"], inputs={"count": 1}), runs)

    return asyncio.run(main())


def pydantic_graph(runs: int, _: Path) -> float:
    """pydantic-graph's builder, its spans for tracing switched off."""
    builder = load("pydantic_graph").GraphBuilder(input_type=int, output_type=int, auto_instrument=False)

    def step(number: int) -> Any:
        async def stage(ctx: Any) -> int:
            return ctx.inputs  # type: ignore[no-any-return]

        return builder.step(stage, node_id=f"s{number}")

    nodes = [builder.start_node, *map(step, range(STAGES)), builder.end_node]
    builder.add(*(builder.edge_from(source).to(target) for source, target in itertools.pairwise(nodes)))
    graph = builder.build()

    async def main() -> float:
        expect(await graph.run(inputs=1))
        return await awaited(lambda: graph.run(inputs=1), runs)

    return asyncio.run(main())


def burr_ring(stage: Any) -> Any:
    """Ten actions in a ring: one application runs round and round, which costs less than a new one for each run."""
    core = load("burr.core")
    decorated = core.action(reads=["count"], writes=["count"])(stage)
    names = [f"s{number}" for number in range(STAGES)]
    return (
        core.ApplicationBuilder()
        .with_actions(**dict.fromkeys(names, decorated))
        .with_transitions(*zip(names, [*names[1:], names[0]], strict=True))
        .with_state(count=1)
        .with_entrypoint("s0")
    )


def burr_stage(state: Any) -> Any:
    return state.update(count=state["count"])


async def burr_coroutine(state: Any) -> Any:
    return state.update(count=state["count"])


def burr(runs: int, _: Path) -> float:
    """Burr over ordinary functions."""
    app = burr_ring(burr_stage).build()
    expect(app.run(halt_after=["s9"])[2]["count"])
    return called(lambda: app.run(halt_after=["s9"]), runs)


def burr_async(runs: int, _: Path) -> float:
    """Burr over coroutines."""

    async def main() -> float:
        app = await burr_ring(burr_coroutine).abuild()
        expect((await app.arun(halt_after=["s9"]))[2]["count"])
        return await awaited(lambda: app.arun(halt_after=["s9"]), runs)

    return asyncio.run(main())


class Counted(TypedDict):
    """The state of the graphs of LangGraph, which checks no types of it."""

    count: int


def langgraph_chain(stage: Any, saver: Any = None) -> Any:
    graph: Any = load("langgraph.graph")
    builder = graph.StateGraph(Counted)
    names = [f"s{number}" for number in range(STAGES)]
    for before, name in zip([graph.START, *names], names, strict=False):
        builder.add_node(name, stage)
        builder.add_edge(before, name)
    builder.add_edge(names[-1], graph.END)
    return builder.compile(checkpointer=saver)


def langgraph_stage(state: Counted) -> Counted:
    return {"count": state["count"]}


async def langgraph_coroutine(state: Counted) -> Counted:
    return {"count": state["count"]}


def langgraph(runs: int, _: Path) -> float:
    """LangGraph over ordinary functions."""
    app = langgraph_chain(langgraph_stage)
    expect(app.invoke({"count": 1})["count"])
    return called(lambda: app.invoke({"count": 1}), runs)


def langgraph_async(runs: int, _: Path) -> float:
    """LangGraph over coroutines."""
    app = langgraph_chain(langgraph_coroutine)

    async def main() -> float:
        expect((await app.ainvoke({"count": 1}))["count"])
        return await awaited(lambda: app.ainvoke({"count": 1}), runs)

    return asyncio.run(main())


IN_MEMORY: Final[dict[str, dict[str, Contender]]] = {
    "hamilton": {"memory": hamilton, "memory async": hamilton_async},
    "pydantic_graph": {"memory async": pydantic_graph},
    "burr": {"memory": burr, "memory async": burr_async},
    "langgraph": {"memory": langgraph, "memory async": langgraph_async},
}

NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "hamilton": ("hamilton.async_driver",),
    "pydantic_graph": ("pydantic_graph",),
    "burr": ("burr.core", "aiosqlite"),
    "langgraph": ("langgraph.graph", "langgraph.checkpoint.sqlite", "aiosqlite"),
    "dbos": ("dbos",),
}
"""The modules that each peer is made of here."""
