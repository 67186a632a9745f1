"""An index of the events by which tasks ask people, so that open approvals are found among many open tasks.

Older versions do not use it. On PostgreSQL writers of the journal wait while it is made: some seconds for each ten
million events.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_index(
        op.f("ix_journal_asking"),
        "journal",
        ["task_id"],
        schema="agentplat" if postgresql else None,
        postgresql_where=sa.text("kind = 'wait_started' AND (content -> 'approval') IS NOT NULL"),
        sqlite_where=sa.text("kind = 'wait_started' AND instr(content, '\"approval\"') > 0"),
    )
