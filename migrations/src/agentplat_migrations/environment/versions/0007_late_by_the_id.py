"""Which tasks ended late, told by the moment that their id names; and which limits count, and when they open.

By that moment, which is of their submitter's clock, their history lies in a month. Where that clock had been behind the
database's, the history of a task that had just ended went with its month. On PostgreSQL, where there are months,
writers of tasks wait while the index is made again: for as long as an index over all tasks takes to build.

There may be as many limits as a workflow has customers: no claim and no sweep should read them all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MILLISECONDS = "CAST(CAST('x' || left(replace(CAST(id AS text), '-', ''), 12) AS bit(48)) AS bigint)"
LIVED = f"finished_at - to_timestamp({MILLISECONDS} / CAST(1000 AS double precision))"


def upgrade() -> None:
    """One index anew, and two more."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    schema = "agentplat" if is_postgres else None
    for name, column, condition in (
        ("ix_limits_counted", "starts", "at_once IS NOT NULL OR starts IS NOT NULL"),
        ("ix_limits_opens", "opens_at", "opens_at IS NOT NULL"),
    ):
        found = sa.text(condition)
        op.create_index(op.f(name), "limits", [column], schema=schema, postgresql_where=found, sqlite_where=found)
    if not is_postgres:
        return
    op.drop_index("ix_tasks_late", "tasks", schema="agentplat")
    where = sa.text(f"finished_at IS NOT NULL AND {LIVED} > interval '1 day'")
    op.create_index(op.f("ix_tasks_late"), "tasks", ["id"], schema="agentplat", postgresql_where=where)
