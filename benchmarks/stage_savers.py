"""Ten no-op stages in a row, each kept in a file of SQLite, by the savers that the peers bring along.

As delivered they wait for the disk at each commit. ``relaxed`` tells them by hand not to, which is our own store's default.
"""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from stage_peers import (
    burr_coroutine,
    burr_ring,
    burr_stage,
    langgraph_chain,
    langgraph_coroutine,
    langgraph_stage,
    load,
)
from stage_timing import RELAXED, STAGES, Contender, awaited, called, expect, fresh

__all__ = ["IN_SQLITE"]


def _relax(connection: sqlite3.Connection, relaxed: bool) -> None:
    for pragma in RELAXED if relaxed else ():
        connection.execute(pragma)


def burr_sqlite(runs: int, folder: Path, *, relaxed: bool = False) -> float:
    """Burr with its SQLite persister, which saves the state after each action."""
    with closing(sqlite3.connect(fresh(folder))) as connection:
        _relax(connection, relaxed)
        persister = load("burr.core.persistence").SQLitePersister("", connection=connection)
        persister.initialize()
        app = burr_ring(burr_stage).with_identifiers(app_id="run").with_state_persister(persister).build()
        expect(app.run(halt_after=["s9"])[2]["count"])
        return called(lambda: app.run(halt_after=["s9"]), runs)


def burr_sqlite_async(runs: int, folder: Path, *, relaxed: bool = False) -> float:
    """The same over coroutines, with its persister for them."""

    async def main() -> float:
        module = load("burr.integrations.persisters.b_aiosqlite")
        async with load("aiosqlite").connect(fresh(folder)) as connection:
            for pragma in RELAXED if relaxed else ():
                await connection.execute(pragma)
            persister = module.AsyncSQLitePersister(connection)
            await persister.initialize()
            builder = burr_ring(burr_coroutine).with_identifiers(app_id="run").with_state_persister(persister)
            app = await builder.abuild()
            expect((await app.arun(halt_after=["s9"]))[2]["count"])
            return await awaited(lambda: app.arun(halt_after=["s9"]), runs)

    return asyncio.run(main())


def _thread() -> dict[str, Any]:
    return {"configurable": {"thread_id": uuid.uuid4().hex}}


def langgraph_sqlite(runs: int, folder: Path, *, relaxed: bool = False) -> float:
    """LangGraph with its SQLite saver; ``durability="sync"``: a step is saved before the next one starts, as ours is."""
    with closing(sqlite3.connect(fresh(folder), check_same_thread=False)) as connection:
        _relax(connection, relaxed)
        app = langgraph_chain(langgraph_stage, load("langgraph.checkpoint.sqlite").SqliteSaver(connection))
        expect(app.invoke({"count": 1}, _thread(), durability="sync")["count"])
        return called(lambda: app.invoke({"count": 1}, _thread(), durability="sync"), runs)


def langgraph_sqlite_async(runs: int, folder: Path, *, relaxed: bool = False) -> float:
    """The same over coroutines, with its saver for them."""

    async def main() -> float:
        saver = load("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver
        async with load("aiosqlite").connect(fresh(folder)) as connection:
            for pragma in RELAXED if relaxed else ():
                await connection.execute(pragma)
            app = langgraph_chain(langgraph_coroutine, saver(connection))
            expect((await app.ainvoke({"count": 1}, _thread(), durability="sync"))["count"])
            return await awaited(lambda: app.ainvoke({"count": 1}, _thread(), durability="sync"), runs)

    return asyncio.run(main())


@contextmanager
def _dbos(folder: Path, *, relaxed: bool) -> Iterator[Any]:
    """DBOS, launched on a fresh file of SQLite and ended again; neither is timed."""
    sqlalchemy = load("sqlalchemy")
    dbos = load("dbos")
    url = f"sqlite:///{fresh(folder)}"

    def relax(connection: Any, _: object) -> None:
        for pragma in RELAXED:
            connection.execute(pragma)

    if relaxed:
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    try:
        dbos.DBOS(config={"name": "stages", "system_database_url": url, "log_level": "ERROR", "enable_otlp": False})
        yield dbos.DBOS
    finally:
        dbos.DBOS.destroy(destroy_registry=True)
        if relaxed:
            sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


def dbos_sqlite(runs: int, folder: Path, *, relaxed: bool = False) -> float:
    """DBOS over ordinary functions: a workflow of ten steps, each recorded."""
    with _dbos(folder, relaxed=relaxed) as dbos:

        @dbos.step()  # type: ignore[untyped-decorator]
        def stage(count: int) -> int:
            return count

        @dbos.workflow()  # type: ignore[untyped-decorator]
        def chain(count: int) -> int:
            for _ in range(STAGES):
                count = stage(count)
            return count

        dbos.launch()
        expect(chain(1))
        return called(lambda: chain(1), runs)


def dbos_sqlite_async(runs: int, folder: Path, *, relaxed: bool = False) -> float:
    """DBOS over coroutines."""
    with _dbos(folder, relaxed=relaxed) as dbos:

        @dbos.step()  # type: ignore[untyped-decorator]
        async def stage(count: int) -> int:
            return count

        @dbos.workflow()  # type: ignore[untyped-decorator]
        async def chain(count: int) -> int:
            for _ in range(STAGES):
                count = await stage(count)
            return count

        async def main() -> float:
            dbos.launch()
            expect(await chain(1))
            return await awaited(lambda: chain(1), runs)

        return asyncio.run(main())


IN_SQLITE: Final[dict[str, dict[str, Contender]]] = {
    peer: {
        "kept": functions,
        "kept async": coroutines,
        "relaxed": partial(functions, relaxed=True),
        "relaxed async": partial(coroutines, relaxed=True),
    }
    for peer, functions, coroutines in (
        ("burr", burr_sqlite, burr_sqlite_async),
        ("langgraph", langgraph_sqlite, langgraph_sqlite_async),
        ("dbos", dbos_sqlite, dbos_sqlite_async),
    )
}
