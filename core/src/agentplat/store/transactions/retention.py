"""Removing what was kept long enough: each function is one short transaction, bounded in rows.

Only of tasks that are over, whose rows nobody writes any more; what is removed of a task is removed whole. So nothing
here waits for an owner, and no owner waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Delete, Select, Table, any_, column, delete, exists, func, select, text, update

from agentplat.store.database import Transaction
from agentplat.store.tables import SCHEMA, audit, calls, definitions, journal, limits, queue, submissions, tasks
from agentplat.store.transactions.prepared import dialect_of

ROWS = 2000
"""A step of a journal's removal looks at so many rows, and goes on to the end of the last task."""

_PAGE = 1000
_FEW = 100
_KEY = 0x75706B656570  # "upkeep"
# As in `postgres.py`: every statement walks an index, also where the planner thinks that a thousand rows are many.
_ALONE = text("SELECT pg_try_advisory_xact_lock(:key), set_config('enable_seqscan', 'off', true)")
_UNNAMED = timedelta(days=1)
"""A definition is removed when no task has named it for so long: a retry names it a moment after it was read."""

_UNDECLARED = timedelta(hours=1)
"""A limit is declared shortly before tasks come under it, see `agentplat.engine.children`."""


class SomebodyElse(Exception):
    """Another process is at it."""


@dataclass(frozen=True, slots=True)
class Walked:
    """One step along the ids of tasks: how far it came, None at the end, and what was removed on the way."""

    place: UUID | None
    rows: Mapping[str, int] = field(default_factory=dict)


async def be_alone(transaction: Transaction) -> None:
    """Keep other processes from upkeep until the end of this transaction. Raises SomebodyElse.

    The lock belongs to the transaction, not to the session. On SQLite whoever writes is alone anyway.
    """
    if dialect_of(transaction) == "sqlite":
        return
    if not (await transaction.connection.execute(_ALONE, {"key": _KEY})).scalar_one():
        raise SomebodyElse


async def remove_history(transaction: Transaction, after: UUID, before: UUID, cutoff: datetime) -> Walked:
    """Remove journal and calls of the next tasks that ended up to `cutoff`, with ids between `after` and `before`."""
    found = select(journal.c.task_id).where(journal.c.task_id > after, journal.c.task_id < before)
    seen = await _ids(transaction, found.order_by(journal.c.task_id, journal.c.seq).limit(ROWS))
    if not seen:
        return Walked(None)
    over = await _ids(transaction, select(tasks.c.id).where(tasks.c.id.in_(seen), tasks.c.finished_at <= cutoff))
    removed = {
        table.name: await _removed(transaction, delete(table).where(table.c.task_id.in_(over)))
        for table in (journal, calls)
        if over
    }
    return Walked(seen[-1], removed)


async def remove_tasks(transaction: Transaction, after: UUID, before: UUID, cutoff: datetime) -> Walked:
    """Remove the next tasks that ended up to `cutoff` and have no history any more. Their audit stays."""
    found = select(tasks.c.id).where(tasks.c.id > after, tasks.c.id < before).order_by(tasks.c.id).limit(_PAGE)
    seen = await _ids(transaction, found)
    if not seen:
        return Walked(None)
    recorded = await _ids(transaction, select(journal.c.task_id).where(journal.c.task_id.in_(seen), journal.c.seq == 1))
    bare = sorted(set(seen).difference(recorded))
    old = delete(tasks).where(tasks.c.id.in_(bare), tasks.c.finished_at <= cutoff)
    return Walked(seen[-1], {tasks.name: await _removed(transaction, old)} if bare else {})


async def remove_submissions(transaction: Transaction, cutoff: datetime) -> int:
    """How many idempotency keys were removed, the oldest first; _PAGE of them mean that there may be more."""
    oldest = select(submissions.c.key).order_by(submissions.c.created_at).limit(_PAGE)
    old = oldest.where(submissions.c.created_at <= cutoff)
    return await _removed(transaction, _each_of(transaction, submissions, old))


async def remove_audit(transaction: Transaction, cutoff: datetime) -> int:
    """How many audit rows were removed, the oldest first."""
    first = select(audit.c.id).order_by(audit.c.id).limit(_PAGE)
    return await _removed(transaction, _each_of(transaction, audit, first).where(audit.c.at <= cutoff))


async def mark_definitions(transaction: Transaction, at: datetime) -> None:
    """Write down since when no task names a definition."""
    named = exists().where(tasks.c.definition == definitions.c.hash)
    marked = definitions.c.unnamed_at.is_not(None)
    await transaction.connection.execute(update(definitions).where(~marked, ~named).values(unnamed_at=at))
    await transaction.connection.execute(update(definitions).where(marked, named).values(unnamed_at=None))


async def remove_definitions(transaction: Transaction, at: datetime) -> int:
    """How many definitions were removed that no task has named for a day.

    Who submits a task with a definition that is there already locks nothing but the table. So the table is held first:
    submissions that are under way are over then, and seen by the statement that follows.
    """
    named = exists().where(tasks.c.definition == definitions.c.hash)
    old = select(definitions.c.hash).where(definitions.c.unnamed_at <= at - _UNNAMED, ~named).limit(_FEW)
    if (await transaction.connection.execute(old)).first() is None:
        return 0
    if dialect_of(transaction) == "postgresql":
        await transaction.connection.execute(text(f"LOCK TABLE {SCHEMA}.definitions IN SHARE ROW EXCLUSIVE MODE"))
    return await _removed(transaction, _each_of(transaction, definitions, old))


async def remove_limits(transaction: Transaction, at: datetime) -> int:
    """How many limits were removed that a workflow declared, and that no task has come under for a while."""
    under = exists().where(queue.c.tenant_id == limits.c.tenant_id, queue.c.concurrency_key == limits.c.key)
    undeclared = limits.c.declared_at <= at - _UNDECLARED
    old = select(limits.c.key).where(undeclared, ~under).limit(_FEW)
    return await _removed(transaction, _each_of(transaction, limits, old).where(undeclared))


async def _ids(transaction: Transaction, found: Select[UUID]) -> list[UUID]:
    """The ids that `found` gives, each once, in its order.

    What follows names them one by one: of a range of ids that is narrow the planner expects one row, and may then read
    the whole range again for each row of the other table.
    """
    return list(dict.fromkeys((await transaction.connection.execute(found)).scalars()))


def _each_of(transaction: Transaction, table: Table, old: Select[Any]) -> Delete:
    """Remove the rows that `old` selects from a table that has no partitions.

    By their places in it: for a join a planner that takes the table to be empty may walk through all of it.
    """
    sqlite = dialect_of(transaction) == "sqlite"
    place: ColumnElement[Any] = column("rowid" if sqlite else "ctid")
    places = old.with_only_columns(place, maintain_column_froms=True).correlate(None)
    return delete(table).where(place.in_(places) if sqlite else place == any_(func.array(places.scalar_subquery())))


async def _removed(transaction: Transaction, statement: Delete) -> int:
    result: Any = await transaction.connection.execute(statement)
    return int(result.rowcount)
