"""The tables, as SQLAlchemy knows them: the same for SQLite and for PostgreSQL. Migrations make them; a test compares the two.

Indexes are few: a row is written for every trial and every stage. Rows of ``records`` lie in the order of their commits, which is
the order of ``seq`` within a run.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, text

__all__ = ["metadata"]

metadata: Final = MetaData()

_key: Final = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _key, primary_key=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("name", Text, unique=True),
    Column("created", Double, nullable=False),
    Column("tags", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("forked_from", Text),
)
"""``epoch`` counts the drivers that a run has had; what has epoch 0 was copied from the run in ``forked_from``. ``tags`` is a JSON
array. The descendants of a run are found by the index of names."""

records = Table(
    "records",
    metadata,
    Column("id", _key, primary_key=True),
    Column("run", BigInteger, ForeignKey("runs.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("time", Double, nullable=False),
    Column("elapsed", Double, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("records_by_seq", "run", "seq"),
    Index("records_of_notes", "run", "seq", sqlite_where=text("kind <> 'events'"), postgresql_where=text("kind <> 'events'")),
)

trials = Table(
    "trials",
    metadata,
    Column("run", BigInteger, ForeignKey("runs.id"), primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text),
    Column("branch", Text),
    Column("state", Text, nullable=False),
    Column("score", Double),
    Column("attempt", Integer, nullable=False),
    Column("seconds", Double),
    Column("seal", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("trials_by_id", "run", "id", sqlite_where=text("id IS NOT NULL"), postgresql_where=text("id IS NOT NULL")),
    sqlite_with_rowid=False,
)
"""Ended trials, for queries. ``id`` is NULL where it is the number, as most are."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", _key, primary_key=True),
    Column("run", BigInteger, ForeignKey("runs.id"), nullable=False),
    Column("address", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("checkpoints_by_address", "run", "address", unique=True),
)

cache = Table(
    "cache",
    metadata,
    Column("id", _key, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("created", Double, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)
"""Outputs of stages that are shared between runs."""
