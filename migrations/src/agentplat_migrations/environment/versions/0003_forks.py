"""Which task another one was forked from. The statements of the version before go on working."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column that older versions leave empty."""
    schema = "agentplat" if op.get_bind().dialect.name == "postgresql" else None
    op.add_column("tasks", sa.Column("forked_from", sa.Uuid(as_uuid=True)), schema=schema)
