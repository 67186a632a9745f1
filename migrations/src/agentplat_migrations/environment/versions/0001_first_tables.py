"""The first tables.

Written out, not taken from the tables of the running version: a revision must not change when those do.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Uuid = sa.Uuid()
Json = sa.Text().with_variant(JSONB(), "postgresql")
Instant = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
Counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BRIEF = {
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 200,
    "autovacuum_vacuum_cost_delay": 0,
}
HOT = {"fillfactor": 50, **BRIEF}


def upgrade() -> None:
    """Everything that the first release needs."""
    _create_tasks()
    _create_queue()
    _create_limits()
    _create_history()
    _create_rest()


def _schema() -> str | None:
    return "agentplat" if op.get_bind().dialect.name == "postgresql" else None


def _table(name: str, *parts: Any, primary_key: tuple[str, ...], checks: dict[str, str], **options: Any) -> None:
    constraints = [sa.CheckConstraint(condition, name=op.f(f"ck_{name}_{key}")) for key, condition in checks.items()]
    key = sa.PrimaryKeyConstraint(*primary_key, name=op.f(f"pk_{name}"))
    op.create_table(name, *parts, key, *constraints, schema=_schema(), **options)


def _index(name: str, table: str, *columns: Any, where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(
        op.f(name), table, list(columns), schema=_schema(), postgresql_where=condition, sqlite_where=condition
    )


def _column(name: str, kind: Any, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null)


def _usage() -> list[sa.Column[Any]]:
    return [
        _column("model", sa.Text(), null=True),
        _column("input_tokens", sa.BigInteger()),
        _column("output_tokens", sa.BigInteger()),
        _column("cost", sa.BigInteger(), null=True),
    ]


def _create_tasks() -> None:
    _table(
        "tasks",
        _column("id", Uuid),
        _column("tenant_id", sa.Text()),
        _column("type", sa.Text()),
        _column("status", sa.Text()),
        _column("input", Json),
        _column("output", Json, null=True),
        _column("failure", Json, null=True),
        _column("definition", sa.Text(), null=True),
        _column("user_hash", sa.Text(), null=True),
        _column("trace_id", sa.Text()),
        _column("parent_span", sa.Text(), null=True),
        _column("retry_of", Uuid, null=True),
        _column("placement", Json, null=True),
        *_usage(),
        _column("cancel_requested_at", Instant, null=True),
        _column("created_at", Instant),
        _column("updated_at", Instant),
        _column("finished_at", Instant, null=True),
        primary_key=("id",),
        checks={
            "status": "status IN ('open', 'done', 'error', 'cancelled')",
            "finished": "(status = 'open') = (finished_at IS NULL)",
            "open_has_no_output": "status <> 'open' OR output IS NULL",
            "failure": "(status <> 'error' OR failure IS NOT NULL) "
            "AND (status IN ('error', 'cancelled') OR failure IS NULL)",
            "usage": "input_tokens >= 0 AND output_tokens >= 0 AND cost >= 0",
        },
    )
    _index("ix_tasks_tenant", "tasks", "tenant_id", "id")
    _index("ix_tasks_user", "tasks", "user_hash", "id")
    _index("ix_tasks_status", "tasks", "status", "id")
    _index("ix_tasks_type", "tasks", "type", "id")
    _index("ix_tasks_updated", "tasks", "updated_at", "id")
    _table(
        "submissions",
        _column("tenant_id", sa.Text()),
        _column("key", sa.Text()),
        _column("fingerprint", sa.Text(), null=True),
        _column("task_id", Uuid),
        _column("created_at", Instant),
        primary_key=("tenant_id", "key"),
        checks={},
    )


def _create_queue() -> None:
    _table(
        "queue",
        _column("task_id", Uuid),
        _column("tenant_id", sa.Text()),
        _column("queue", sa.Text()),
        _column("concurrency_key", sa.Text()),
        _column("priority", sa.Integer()),
        _column("run_at", Instant, null=True),
        _column("ready", sa.Boolean()),
        _column("wake", sa.Boolean()),
        _column("worker_id", Uuid, null=True),
        _column("claim_id", Uuid, null=True),
        _column("fence", sa.BigInteger()),
        _column("under_way", sa.Boolean()),
        _column("suspect", sa.Boolean()),
        _column("crashes", sa.Integer()),
        _column("reason", sa.Text(), null=True),
        primary_key=("task_id",),
        checks={
            "owned_is_not_ready": "worker_id IS NULL OR NOT ready",
            "owned_has_fence": "worker_id IS NULL OR fence > 0",
            "owned_has_claim": "(worker_id IS NULL) = (claim_id IS NULL)",
            "ready_has_time": "NOT ready OR run_at IS NOT NULL",
            "under_way_is_owned": "NOT under_way OR worker_id IS NOT NULL",
            "wake_is_seen": "NOT wake OR ready OR worker_id IS NOT NULL OR crashes >= 3",
            "poisoned_rests": "crashes < 3 OR (worker_id IS NULL AND NOT ready)",
            "counts": "fence >= 0 AND crashes >= 0",
        },
        postgresql_with=HOT,
    )
    turn: tuple[Any, ...] = (sa.column("priority").desc(), "run_at", "task_id")
    lane = ("queue", "tenant_id", "concurrency_key")
    _index("ix_queue_claim", "queue", *lane, *turn, where="ready AND NOT suspect")
    keyed = "ready AND NOT suspect AND concurrency_key <> ''"
    _index("ix_queue_keyed", "queue", "queue", "tenant_id", *turn, where=keyed)
    _index("ix_queue_suspect", "queue", "queue", *turn, where="ready AND suspect")
    live = "worker_id IS NOT NULL AND fence > 0"
    _index("ix_queue_live", "queue", "tenant_id", "concurrency_key", where=live)
    _index("ix_queue_worker", "queue", "worker_id", where="worker_id IS NOT NULL")
    _index("ix_queue_timer", "queue", "run_at", where="NOT ready AND worker_id IS NULL AND run_at IS NOT NULL")
    _index("ix_queue_due", "queue", "run_at", where="ready AND fence >= 0")
    _index("ix_queue_poisoned", "queue", "task_id", where="crashes >= 3")
    _table(
        "workers",
        _column("id", Uuid),
        _column("tenant_id", sa.Text()),
        _column("host", sa.Text()),
        _column("pid", sa.Integer()),
        _column("version", sa.Text()),
        _column("capacity", sa.Integer()),
        _column("plugins", Json),
        _column("started_at", Instant),
        _column("lease_until", Instant),
        primary_key=("id",),
        checks={"capacity": "capacity > 0"},
        postgresql_with=HOT,
    )


def _create_limits() -> None:
    _table(
        "limits",
        _column("tenant_id", sa.Text()),
        _column("key", sa.Text()),
        _column("at_once", sa.Integer(), null=True),
        _column("starts", sa.Integer(), null=True),
        _column("seconds", sa.Float(), null=True),
        _column("weight", sa.Integer(), null=True),
        _column("running", sa.Integer()),
        _column("full_since", Instant, null=True),
        _column("opens_at", Instant, null=True),
        primary_key=("tenant_id", "key"),
        checks={
            "at_once": "at_once >= 0",
            "rate": "(starts IS NULL) = (seconds IS NULL)",
            "rate_allows": "starts > 0 AND seconds > 0",
            "weight": "weight > 0 AND key = '' OR weight IS NULL",
            "says_something": "at_once IS NOT NULL OR starts IS NOT NULL OR weight IS NOT NULL",
        },
        postgresql_with=HOT,
    )
    _table(
        "starts",
        _column("tenant_id", sa.Text()),
        _column("key", sa.Text()),
        _column("at", Instant),
        _column("claim_id", Uuid),
        _column("number", sa.Integer()),
        primary_key=("tenant_id", "key", "at", "claim_id"),
        checks={"number": "number > 0"},
        postgresql_with=BRIEF,
    )
    _table(
        "turns",
        _column("queue", sa.Text()),
        _column("tenant_id", sa.Text()),
        _column("remaining", sa.Integer()),
        _column("claim_id", Uuid),
        primary_key=("queue",),
        checks={"remaining": "remaining >= 0"},
        postgresql_with=HOT,
    )


def _create_history() -> None:
    _table(
        "journal",
        _column("task_id", Uuid),
        _column("seq", sa.BigInteger()),
        _column("tenant_id", sa.Text()),
        _column("fence", sa.BigInteger()),
        _column("at", Instant),
        _column("kind", sa.Text()),
        _column("content", Json),
        primary_key=("task_id", "seq"),
        checks={"seq": "seq >= 1"},
    )
    _table(
        "calls",
        _column("task_id", Uuid),
        _column("path", sa.Text()),
        _column("try_number", sa.Integer()),
        _column("number", sa.Integer()),
        _column("tenant_id", sa.Text()),
        _column("kind", sa.Text()),
        _column("name", sa.Text()),
        _column("status", sa.Text()),
        _column("content", Json),
        *_usage(),
        _column("fence", sa.BigInteger()),
        _column("at", Instant),
        primary_key=("task_id", "path", "try_number", "number"),
        checks={
            "kind": "kind IN ('model', 'tool')",
            "status": "status IN ('started', 'finished')",
            "usage": "input_tokens >= 0 AND output_tokens >= 0 AND cost >= 0",
        },
    )


def _create_rest() -> None:
    _table(
        "inbox",
        _column("task_id", Uuid),
        _column("number", sa.BigInteger()),
        _column("id", Uuid),
        _column("tenant_id", sa.Text()),
        _column("kind", sa.Text()),
        _column("key", sa.Text()),
        _column("name", sa.Text()),
        _column("payload", Json),
        _column("at", Instant),
        sa.UniqueConstraint("task_id", "key", name=op.f("uq_inbox_task_id_key")),
        primary_key=("task_id", "number"),
        checks={"kind": "kind IN ('cancel', 'signal')"},
    )
    _table(
        "definitions",
        _column("hash", sa.Text()),
        _column("tenant_id", sa.Text()),
        _column("name", sa.Text()),
        _column("version", sa.Text(), null=True),
        _column("document", Json),
        _column("created_at", Instant),
        primary_key=("hash", "tenant_id"),
        checks={},
    )
    _table(
        "audit",
        sa.Column("id", Counter, sa.Identity(always=True), nullable=False),
        _column("tenant_id", sa.Text()),
        _column("at", Instant),
        _column("actor", sa.Text()),
        _column("action", sa.Text()),
        _column("task_id", Uuid, null=True),
        _column("content", Json),
        primary_key=("id",),
        checks={},
    )
    _index("ix_audit_tenant", "audit", "tenant_id", "id")
