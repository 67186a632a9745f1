"""When workflows run by themselves. Older versions do not look at it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table, and the index by which the next time is found."""
    schema = "agentplat" if op.get_bind().dialect.name == "postgresql" else None
    json = sa.Text().with_variant(JSONB(), "postgresql")
    instant = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
    op.create_table(
        "schedules",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("input", json, nullable=False),
        sa.Column("user_hash", sa.Text()),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("catch_up_limit", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("next_at", instant, nullable=False),
        sa.Column("last_at", instant),
        sa.Column("fault", json),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_schedules")),
        sa.CheckConstraint(
            "catch_up IN ('skip', 'last', 'all') AND catch_up_limit BETWEEN 1 AND 1000",
            name=op.f("ck_schedules_catch_up"),
        ),
        sa.CheckConstraint("source IN ('file', 'api')", name=op.f("ck_schedules_source")),
        schema=schema,
    )
    running = sa.text("NOT paused")
    op.create_index(
        op.f("ix_schedules_next"),
        "schedules",
        ["next_at"],
        schema=schema,
        postgresql_where=running,
        sqlite_where=running,
    )
