"""Runs, their journal, the projection of their trials, and checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SET = sa.text("id IS NOT NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_table("meta", sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
    op.create_table(
        "runs",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, unique=True),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "records",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("run", sa.BigInteger, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("elapsed", sa.Double, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_index("records_by_seq", "records", ["run", "seq"])
    op.create_table(
        "trials",
        sa.Column("run", sa.BigInteger, sa.ForeignKey("runs.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text),
        sa.Column("branch", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("trials_by_id", "trials", ["run", "id"], sqlite_where=_SET, postgresql_where=_SET)
    op.create_table(
        "checkpoints",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("run", sa.BigInteger, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("schema", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_index("checkpoints_by_address", "checkpoints", ["run", "address"], unique=True)
