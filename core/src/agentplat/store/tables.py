"""The tables: the one statement of the schema. The revisions of agentplat-migrations add up to exactly this.

No foreign keys: journal and calls are dropped by the month, and what has to hold between queue, workers and tasks is
held by the locks of the statements in `sql/`. `queue` is narrow and hot, and the only table on which anybody waits for
a lock; everything wide is written once, or by the one owner of a task.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from agentplat.store.columns import Instant, Json

REVISION = "0007"
"""The newest revision of agentplat-migrations: what this version needs. Revisions are numbered."""

SCHEMA = "agentplat"
VERSION_TABLE = "alembic_version_core"

POISON_LIMIT = 3
"""So many crashes, and a task is not run again."""

EVERY_TENANT = "*"
"""The tenant of what serves all of them."""

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    },
)

# Rows that live for a moment: vacuum long before the default, and at full speed.
_BRIEF: dict[str, Any] = {
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 200,
    "autovacuum_vacuum_cost_delay": 0,
}
# A hot row is rewritten all the time as well: room for its next versions on the same page.
_HOT: dict[str, Any] = {"fillfactor": 50, **_BRIEF}

# UUIDv7 is time. The partitions themselves, one a month, are made and dropped by `transactions/partitions.py`.
_BY_TIME = "RANGE (task_id)"


def _check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),  # open: its queue row says whether it is pending, running or waiting
    Column("input", Json, nullable=False),
    Column("output", Json(nullable=True)),
    Column("failure", Json(nullable=True)),
    Column("definition", Text),
    Column("user_hash", Text),
    Column("trace_id", Text, nullable=False),
    Column("parent_span", Text),
    Column("retry_of", Uuid),
    Column("forked_from", Uuid),
    Column("parent_id", Uuid),
    Column("dispatch", Json(nullable=True)),  # of which execution of the parent it is the body, and how deep it stands
    Column("placement", Json(nullable=True)),  # queue, concurrency key and priority, as far as they were chosen
    Column("model", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger),  # micro-USD; NULL is unknown
    Column("cancel_requested_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("finished_at", Instant),
    _check("status", "status IN ('open', 'done', 'error', 'cancelled')"),
    _check("finished", "(status = 'open') = (finished_at IS NULL)"),
    _check("open_has_no_output", "status <> 'open' OR output IS NULL"),
    _check(
        "failure",
        "(status <> 'error' OR failure IS NOT NULL) AND (status IN ('error', 'cancelled') OR failure IS NULL)",
    ),
    _check("usage", "input_tokens >= 0 AND output_tokens >= 0 AND cost >= 0"),
)
Index("ix_tasks_tenant", tasks.c.tenant_id, tasks.c.id)
Index("ix_tasks_user", tasks.c.user_hash, tasks.c.id)
Index("ix_tasks_status", tasks.c.status, tasks.c.id)
Index("ix_tasks_type", tasks.c.type, tasks.c.id)
Index("ix_tasks_updated", tasks.c.updated_at, tasks.c.id)
_child = text("parent_id IS NOT NULL")
Index("ix_tasks_parent", tasks.c.parent_id, tasks.c.id, postgresql_where=_child, sqlite_where=_child)
_pinned = text("definition IS NOT NULL")
Index("ix_tasks_definition", tasks.c.definition, postgresql_where=_pinned, sqlite_where=_pinned)
# The moment that an id names: its submitter's clock, which need not be the database's.
_MILLISECONDS = "CAST(CAST('x' || left(replace(CAST(id AS text), '-', ''), 12) AS bit(48)) AS bigint)"
_OF_ID = f"to_timestamp({_MILLISECONDS} / CAST(1000 AS double precision))"
LATE = f"finished_at IS NOT NULL AND finished_at - {_OF_ID} > interval '1 day'"
Index(  # the few that keep a month's history from being dropped when it is old enough; SQLite has no months
    "ix_tasks_late",
    tasks.c.id,
    postgresql_where=text(LATE),
    sqlite_where=text("finished_at - created_at > 86400000000"),
)

submissions = Table(
    "submissions",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text),
    Column("task_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("tenant_id", "key"),
)
Index("ix_submissions_created", submissions.c.created_at)

queue = Table(
    "queue",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("concurrency_key", Text, nullable=False),  # empty: none
    Column("priority", Integer, nullable=False),  # higher first
    Column("run_at", Instant),  # ready: not before; parked: its timer, NULL without one; owned: meaningless
    Column("ready", Boolean, nullable=False),
    Column("wake", Boolean, nullable=False),  # the inbox has something that nobody has read
    Column("worker_id", Uuid),
    Column("claim_id", Uuid),  # random per claim: finds a claim again whose acknowledgement was lost
    Column("fence", BigInteger, nullable=False),  # grows at every claim, never restarts
    Column("under_way", Boolean, nullable=False),  # its owner has a step under way
    Column("suspect", Boolean, nullable=False),  # a worker died with a step of it under way: run it alone
    Column("crashes", Integer, nullable=False),
    Column("reason", Text),  # why it was handed back, for people
    _check("owned_is_not_ready", "worker_id IS NULL OR NOT ready"),
    _check("owned_has_fence", "worker_id IS NULL OR fence > 0"),
    _check("owned_has_claim", "(worker_id IS NULL) = (claim_id IS NULL)"),
    _check("ready_has_time", "NOT ready OR run_at IS NOT NULL"),
    _check("under_way_is_owned", "NOT under_way OR worker_id IS NOT NULL"),
    _check("wake_is_seen", f"NOT wake OR ready OR worker_id IS NOT NULL OR crashes >= {POISON_LIMIT}"),
    _check("poisoned_rests", f"crashes < {POISON_LIMIT} OR (worker_id IS NULL AND NOT ready)"),
    _check("counts", "fence >= 0 AND crashes >= 0"),
    postgresql_with=_HOT,
)


def _queue_index(name: str, *columns: Any, where: str) -> None:
    Index(f"ix_queue_{name}", *columns, postgresql_where=text(where), sqlite_where=text(where))


_turn = (queue.c.priority.desc(), queue.c.run_at, queue.c.task_id)
_lane = (queue.c.queue, queue.c.tenant_id, queue.c.concurrency_key)
_queue_index("claim", *_lane, *_turn, where="ready AND NOT suspect")
_keyed = "ready AND NOT suspect AND concurrency_key <> ''"
_queue_index("keyed", queue.c.queue, queue.c.tenant_id, *_turn, where=_keyed)  # whichever the key, in one order
_queue_index("suspect", queue.c.queue, *_turn, where="ready AND suspect")
# `fence > 0` is always true of them, see above: it is there so that only who counts live claims uses this index.
_queue_index("live", queue.c.tenant_id, queue.c.concurrency_key, where="worker_id IS NOT NULL AND fence > 0")
# Whoever asks for one claim, or for what was told, must not walk through all that the worker owned since a vacuum.
_queue_index("worker", queue.c.worker_id, queue.c.claim_id, where="worker_id IS NOT NULL")
_queue_index("woken", queue.c.worker_id, where="worker_id IS NOT NULL AND wake")
_queue_index("timer", queue.c.run_at, where="NOT ready AND worker_id IS NULL AND run_at IS NOT NULL")
_queue_index("due", queue.c.run_at, where="ready AND fence >= 0")  # see due.sql
_queue_index("poisoned", queue.c.task_id, where=f"crashes >= {POISON_LIMIT}")

limits = Table(  # what people set; how much of it is used, every claim counts anew
    "limits",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),  # a concurrency key; empty: the tenant as a whole
    Column("at_once", Integer),  # so many tasks may run at one time
    Column("starts", Integer),  # so many may start ...
    Column("seconds", Float),  # ... within any time of this length
    Column("weight", Integer),  # of the tenant's share; NULL is 1
    # What the last claim under it found, for people and for who wakes them; no claim relies on it.
    Column("running", Integer, nullable=False),  # until then what ran when it was set, however many
    Column("full_since", Instant),
    Column("opens_at", Instant),  # when there is room for another start
    Column("declared_at", Instant),  # when a workflow said so last; NULL: people did
    PrimaryKeyConstraint("tenant_id", "key"),
    _check("at_once", "at_once >= 0"),
    _check("rate", "(starts IS NULL) = (seconds IS NULL)"),
    _check("rate_allows", "starts > 0 AND seconds > 0"),
    _check("weight", "weight > 0 AND key = '' OR weight IS NULL"),
    _check("says_something", "at_once IS NOT NULL OR starts IS NOT NULL OR weight IS NOT NULL"),
    postgresql_with=_HOT,
)

_counted = text("at_once IS NOT NULL OR starts IS NOT NULL")
Index("ix_limits_counted", limits.c.starts, postgresql_where=_counted, sqlite_where=_counted)
_opens = text("opens_at IS NOT NULL")
Index("ix_limits_opens", limits.c.opens_at, postgresql_where=_opens, sqlite_where=_opens)

starts = Table(  # under limits that have a rate; gone when they are older than its time
    "starts",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("claim_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "key", "at", "claim_id"),
    _check("number", "number > 0"),
    postgresql_with=_BRIEF,
)

turns = Table(  # who is served next; the row without a queue stands for all limits
    "turns",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("remaining", Integer, nullable=False),  # so many tasks of this tenant, then the next tenant
    Column("claim_id", Uuid, nullable=False),  # whoever holds the row's lock, or did
    _check("remaining", "remaining >= 0"),
    postgresql_with=_HOT,
)

workers = Table(
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("plugins", Json, nullable=False),
    Column("queues", Json(nullable=True)),  # that it serves; NULL: written by a version that did not say
    Column("started_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=False),  # no index: few rows, and a renewal stays one narrow update
    _check("capacity", "capacity > 0"),
    postgresql_with=_HOT,
)

journal = Table(
    "journal",
    metadata,
    Column("task_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),  # gapless from 1
    Column("tenant_id", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),  # of the lease under which it was written
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", Json, nullable=False),
    PrimaryKeyConstraint("task_id", "seq"),
    _check("seq", "seq >= 1"),
    postgresql_partition_by=_BY_TIME,
)

# The events by which tasks ask people: found among all others by whoever lists them, and never read by a worker.
ASKING = {
    "postgresql": "kind = 'wait_started' AND (content -> 'approval') IS NOT NULL",
    "sqlite": "kind = 'wait_started' AND instr(content, '\"approval\"') > 0",
}
Index(
    "ix_journal_asking",
    journal.c.task_id,
    postgresql_where=text(ASKING["postgresql"]),
    sqlite_where=text(ASKING["sqlite"]),
)

inbox = Table(
    "inbox",
    metadata,
    Column("task_id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),  # the order of arrival, given under the lock of the queue row
    Column("id", Uuid, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("task_id", "number"),
    UniqueConstraint("task_id", "key"),
    _check("kind", "kind IN ('cancel', 'signal')"),
    postgresql_with=_BRIEF,
)

calls = Table(
    "calls",
    metadata,
    Column("task_id", Uuid, nullable=False),
    Column("path", Text, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("content", Json, nullable=False),
    Column("model", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),  # of the last write
    PrimaryKeyConstraint("task_id", "path", "try_number", "number"),
    _check("kind", "kind IN ('model', 'tool')"),
    _check("status", "status IN ('started', 'finished')"),
    _check("usage", "input_tokens >= 0 AND output_tokens >= 0 AND cost >= 0"),
    postgresql_partition_by=_BY_TIME,
)

definitions = Table(
    "definitions",
    metadata,
    Column("hash", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text),
    Column("document", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("unnamed_at", Instant),  # since when no task names it
    PrimaryKeyConstraint("hash", "tenant_id"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("input", Json, nullable=False),
    Column("user_hash", Text),
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("catch_up", Text, nullable=False),
    Column("catch_up_limit", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("next_at", Instant, nullable=False),  # the earliest time that was not dealt with
    Column("last_at", Instant),
    Column("fault", Json(nullable=True)),
    Column("revision", BigInteger, nullable=False),  # who saw another one must look again
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("tenant_id", "name"),
    _check("catch_up", "catch_up IN ('skip', 'last', 'all') AND catch_up_limit BETWEEN 1 AND 1000"),
    _check("source", "source IN ('file', 'api')"),
)
_running = text("NOT paused")
Index("ix_schedules_next", schedules.c.next_at, postgresql_where=_running, sqlite_where=_running)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),  # never an e-mail
    Column("action", Text, nullable=False),
    Column("task_id", Uuid),
    Column("content", Json, nullable=False),
)
Index("ix_audit_tenant", audit.c.tenant_id, audit.c.id)
