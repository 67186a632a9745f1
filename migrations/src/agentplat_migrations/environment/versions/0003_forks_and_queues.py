"""Which task another one was forked from, and which queues a worker serves. Older versions leave both empty."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    schema = "agentplat" if postgresql else None
    op.add_column("tasks", sa.Column("forked_from", sa.Uuid(as_uuid=True)), schema=schema)
    op.add_column("workers", sa.Column("queues", sa.Text().with_variant(JSONB(), "postgresql")), schema=schema)
