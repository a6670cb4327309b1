"""Runs that began with the journal of another one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the column."""
    op.add_column("runs", sa.Column("forked_from", sa.Text))
