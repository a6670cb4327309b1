"""An index of the few records that are no events: where each process began and left a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NOTE = sa.text("kind <> 'events'")


def upgrade() -> None:
    """Make the index."""
    op.create_index("records_of_notes", "records", ["run", "seq"], sqlite_where=_NOTE, postgresql_where=_NOTE)
