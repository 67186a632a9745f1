"""Tasks that are steps of other tasks, and limits that workflows declare. Older versions leave all of it empty."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns, and an index of those that have a parent: none so far."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    schema = "agentplat" if postgresql else None
    instant = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
    op.add_column("tasks", sa.Column("parent_id", sa.Uuid(as_uuid=True)), schema=schema)
    op.add_column("tasks", sa.Column("dispatch", sa.Text().with_variant(JSONB(), "postgresql")), schema=schema)
    op.add_column("limits", sa.Column("declared_at", instant), schema=schema)
    child = sa.text("parent_id IS NOT NULL")
    op.create_index(
        "ix_tasks_parent", "tasks", ["parent_id", "id"], schema=schema, postgresql_where=child, sqlite_where=child
    )
