"""Journal and calls by month on PostgreSQL, what retention looks for, and indexes that dead entries do not slow down.

The tables as they are become the first partition, with everything up to the end of this month: nothing is copied. The
statements of the version before go on working.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Instant = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
BRIEF = "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0"
KEYS = {"journal": "task_id, seq", "calls": "task_id, path, try_number, number"}


def upgrade() -> None:
    """Partitions, and indexes."""
    if _is_postgresql():
        for table in KEYS:
            _divide(table)
        op.execute(f"ALTER TABLE agentplat.inbox SET ({BRIEF})")
    op.add_column("definitions", sa.Column("unnamed_at", Instant), schema=_schema())
    _index("ix_submissions_created", "submissions", "created_at")
    _index("ix_tasks_definition", "tasks", "definition", where="definition IS NOT NULL")
    day = "interval '1 day'" if _is_postgresql() else "86400000000"
    _index("ix_tasks_late", "tasks", "id", where=f"finished_at - created_at > {day}")
    _index("ix_queue_woken", "queue", "worker_id", where="worker_id IS NOT NULL AND wake")
    op.drop_index("ix_queue_worker", "queue", schema=_schema())
    _index("ix_queue_worker", "queue", "worker_id", "claim_id", where="worker_id IS NOT NULL")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _schema() -> str | None:
    return "agentplat" if _is_postgresql() else None


def _index(name: str, table: str, *columns: str, where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(
        op.f(name), table, list(columns), schema=_schema(), postgresql_where=condition, sqlite_where=condition
    )


def _divide(table: str) -> None:
    at: datetime = op.get_bind().execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    first, end = _name_and_end(table, at.astimezone(UTC))
    op.execute(f"ALTER TABLE agentplat.{table} RENAME TO {first}")
    op.execute(f"ALTER TABLE agentplat.{first} RENAME CONSTRAINT pk_{table} TO {first}_pkey")
    op.execute(
        f"CREATE TABLE agentplat.{table} (LIKE agentplat.{first} INCLUDING ALL EXCLUDING INDEXES, "
        f"CONSTRAINT pk_{table} PRIMARY KEY ({KEYS[table]})) PARTITION BY RANGE (task_id)"
    )
    op.execute(f"CREATE TABLE agentplat.{table}_default PARTITION OF agentplat.{table} DEFAULT")
    # Ids of a clock that is ahead. The DEFAULT partition has them until their month gets its own.
    op.execute(
        f"WITH ahead AS (DELETE FROM agentplat.{first} WHERE task_id >= '{end}' RETURNING *) "  # noqa: S608
        f"INSERT INTO agentplat.{table}_default TABLE ahead"
    )
    op.execute(
        f"ALTER TABLE agentplat.{table} ATTACH PARTITION agentplat.{first} FOR VALUES FROM (MINVALUE) TO ('{end}')"
    )


def _name_and_end(table: str, at: datetime) -> tuple[str, UUID]:
    """The partition that ends with the month of `at`, and the first id after it."""
    months = at.year * 12 + at.month
    end = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return f"{table}_{at.year:04}_{at.month:02}", UUID(int=int(end.timestamp()) * 1000 << 80)
