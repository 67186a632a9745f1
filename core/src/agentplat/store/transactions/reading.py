"""What is read: tasks with the state of their queue row, journals, calls, costs, changes, the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, case, cast, exists, func, or_, select, text

from agentplat.contracts.interface import CostSummary, TaskFilter
from agentplat.contracts.store import AuditRow, CallRow, TaskRow
from agentplat.contracts.why import Standing
from agentplat.domain.errors import NotFound
from agentplat.domain.events import Recorded
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.tables import ASKING, POISON_LIMIT, audit, calls, journal, queue, tasks, workers
from agentplat.store.tables import limits as limit_rows
from agentplat.store.transactions import limits
from agentplat.store.transactions.prepared import dialect_of
from agentplat.store.transactions.rows import AnyRow, audit_row, call_row, recorded, serving, task_row

_OWNED = queue.c.worker_id.is_not(None)
_CLAIMABLE = and_(queue.c.worker_id.is_(None), or_(queue.c.ready, queue.c.crashes >= POISON_LIMIT))
_PARKED = and_(queue.c.worker_id.is_(None), ~queue.c.ready, queue.c.crashes < POISON_LIMIT)
_OPEN: Mapping[TaskState, ColumnElement[bool]] = {
    TaskState.RUNNING: _OWNED,
    TaskState.PENDING: _CLAIMABLE,
    TaskState.WAITING: _PARKED,
}
"""Which queue rows each state stands for. A poisoned task is pending: nobody may claim it, but it waits for nothing."""

_SHOWN = case(
    (tasks.c.status != "open", tasks.c.status),
    *((condition, state.value) for state, condition in _OPEN.items()),
).label("shown")
_END = select(func.max(journal.c.seq)).where(journal.c.task_id == tasks.c.id).scalar_subquery()
_LAST_SEQ = func.coalesce(_END, 0).label("last_seq")  # 0: the history was not kept
_AT_ONCE = 1000  # parameters of one statement
_LIMITED = exists().where(limit_rows.c.tenant_id == tasks.c.tenant_id).label("limited")  # its tenant, by anything


def _tasks() -> Select[Any]:
    columns = (queue.c.fence, queue.c.worker_id, queue.c.reason, _SHOWN, _LAST_SEQ, _LIMITED)
    return select(tasks, *columns).join(queue, queue.c.task_id == tasks.c.id, isouter=True)


async def task(transaction: Transaction, task_id: TaskId) -> TaskRow:
    """The task. Raises NotFound."""
    row = (await transaction.connection.execute(_tasks().where(tasks.c.id == task_id))).first()
    if row is None:
        raise NotFound(f"There is no task {task_id}.")
    [found] = await _explained(transaction, [row])
    return found


async def find_tasks(transaction: Transaction, wanted: TaskFilter) -> Sequence[TaskRow]:
    """Newest first."""
    statement = _tasks().order_by(tasks.c.id.desc()).limit(wanted.limit)
    for condition in _conditions(wanted):
        statement = statement.where(condition)
    return await _explained(transaction, (await transaction.connection.execute(statement)).all())


async def _explained(transaction: Transaction, found: Sequence[AnyRow]) -> Sequence[TaskRow]:
    """The rows; those of pending tasks say which limit holds them back, if one does."""
    rows = [task_row(row) for row in found]
    # Most tenants have no limit, and to ask for it takes longer than to read the task.
    pending = [row.id for row in found if row.limited and row.shown == TaskState.PENDING.value]
    if not pending:
        return rows
    held = await limits.reasons(transaction, pending)
    return [replace(row, reason=held[row.id]) if row.id in held else row for row in rows]


async def standing(transaction: Transaction, task_id: TaskId) -> Standing:
    """Where the task stands in the queue, and who might take it."""
    execute = transaction.connection.execute
    now: datetime = (await execute(select(clock()))).scalar_one()
    live = await execute(select(workers).where(workers.c.lease_until > clock()).order_by(workers.c.started_at))
    there = [serving(row) for row in live]
    row = (await execute(select(queue).where(queue.c.task_id == task_id))).first()
    if row is None:
        return Standing(now=now, workers=there)
    return Standing(
        now=now,
        run_at=row.run_at,
        suspect=row.suspect,
        crashes=row.crashes,
        poisoned=row.crashes >= POISON_LIMIT,
        reason=row.reason,
        limit=(await limits.reasons(transaction, [task_id])).get(task_id),
        workers=there,
    )


async def asking(transaction: Transaction, before: UUID | None, tenant: str | None, limit: int) -> Sequence[TaskRow]:
    """Open tasks that asked, or ask, for an approval, the newest first."""
    asked = exists().where(journal.c.task_id == queue.c.task_id, text(ASKING[dialect_of(transaction)]))
    statement = select(queue.c.task_id).where(queue.c.fence > 0, asked)  # whoever asks was claimed before
    if before is not None:
        statement = statement.where(queue.c.task_id < before)
    if tenant is not None:
        statement = statement.where(queue.c.tenant_id == tenant)
    found = (await transaction.connection.execute(statement.order_by(queue.c.task_id.desc()).limit(limit))).scalars()
    rows = await transaction.connection.execute(_tasks().where(tasks.c.id.in_(found.all())).order_by(tasks.c.id.desc()))
    return [task_row(row) for row in rows]


def _conditions(wanted: TaskFilter) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        # The queue row's own condition comes with `open`, so that a list of open tasks begins at the narrow queue.
        open_state = _OPEN.get(wanted.status)
        stored = "open" if open_state is not None else wanted.status.value
        conditions.append(tasks.c.status == stored)
        if open_state is not None:
            conditions.append(open_state)
    if wanted.type is not None:
        conditions.append(tasks.c.type == wanted.type)
    if wanted.user_hash is not None:
        conditions.append(tasks.c.user_hash == wanted.user_hash)
    if wanted.tenant is not None:
        conditions.append(tasks.c.tenant_id == wanted.tenant)
    if wanted.parent is not None:
        conditions.append(tasks.c.parent_id == wanted.parent)
    if wanted.before is not None:
        conditions.append(tasks.c.id < wanted.before)
    conditions += [_mentions(word) for word in (wanted.text or "").split()]
    return conditions


def _mentions(word: str) -> ColumnElement[bool]:
    """Whether a task holds `word` in type, input or output, in upper or lower case (on SQLite only for A to Z)."""
    written = json.dumps(word, ensure_ascii=False)[1:-1]  # as JSON text has it
    columns = (tasks.c.type, cast(tasks.c.input, Text), cast(tasks.c.output, Text))
    return or_(*(column.icontains(written, autoescape=True) for column in columns))


async def read_journal(transaction: Transaction, task_id: TaskId, after: int, limit: int | None) -> Sequence[Recorded]:
    """The events after the number `after`, in order."""
    statement = select(journal).where(journal.c.task_id == task_id, journal.c.seq > after)
    rows = await transaction.connection.execute(statement.order_by(journal.c.seq).limit(limit))
    return [recorded(row) for row in rows]


async def ended(transaction: Transaction, task_ids: Sequence[TaskId]) -> Sequence[TaskId]:
    """Those of them that are over."""
    over: list[TaskId] = []
    for first in range(0, len(task_ids), _AT_ONCE):
        among = tasks.c.id.in_(task_ids[first : first + _AT_ONCE])
        rows = await transaction.connection.execute(select(tasks.c.id).where(among, tasks.c.status != "open"))
        over += [TaskId(task_id) for task_id in rows.scalars()]
    return over


async def read_journals(transaction: Transaction, task_ids: Sequence[TaskId]) -> Mapping[TaskId, Sequence[Recorded]]:
    """Whole journals by task, an empty one for an unknown task."""
    statement = select(journal).where(journal.c.task_id.in_(task_ids)).order_by(journal.c.task_id, journal.c.seq)
    found: dict[TaskId, list[Recorded]] = {task_id: [] for task_id in task_ids}
    for row in await transaction.connection.execute(statement):
        found[TaskId(row.task_id)].append(recorded(row))
    return found


async def read_calls(
    transaction: Transaction, task_id: TaskId, path: str | None, try_number: int | None
) -> Sequence[CallRow]:
    """The ledger of a task, of one path and try if asked for, in the order of the numbers."""
    statement = select(calls).where(calls.c.task_id == task_id)
    if path is not None:
        statement = statement.where(calls.c.path == path)
    if try_number is not None:
        statement = statement.where(calls.c.try_number == try_number)
    rows = await transaction.connection.execute(statement.order_by(calls.c.path, calls.c.try_number, calls.c.number))
    return [call_row(row) for row in rows]


async def costs(transaction: Transaction, tenant: str | None, user_hash: str | None) -> CostSummary:
    """Sums over all tasks, or those of a tenant, a user."""
    statement = select(
        func.count().label("tasks"),
        func.count(tasks.c.user_hash.distinct()).label("users"),
        func.coalesce(func.sum(tasks.c.input_tokens), 0).label("input_tokens"),
        func.coalesce(func.sum(tasks.c.output_tokens), 0).label("output_tokens"),
        func.coalesce(func.sum(tasks.c.cost), 0).label("cost"),
        (func.count() - func.count(tasks.c.cost)).label("unknown"),
    )
    if tenant is not None:
        statement = statement.where(tasks.c.tenant_id == tenant)
    if user_hash is not None:
        statement = statement.where(tasks.c.user_hash == user_hash)
    row = (await transaction.connection.execute(statement)).mappings().one()
    return CostSummary(**{name: int(value) for name, value in row.items()})


async def changes(transaction: Transaction, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[TaskRow]:
    """Tasks in the order in which they last changed, after a place; without one the newest change only."""
    place = (tasks.c.updated_at, tasks.c.id)
    if after is None:
        statement = _tasks().order_by(*(column.desc() for column in place)).limit(1)
    else:
        later = or_(place[0] > after[0], and_(place[0] == after[0], place[1] > after[1]))
        statement = _tasks().where(place[0] >= after[0], later).order_by(*place).limit(limit)
    return [task_row(row) for row in await transaction.connection.execute(statement)]


async def read_audit(transaction: Transaction, limit: int) -> Sequence[AuditRow]:
    """The newest first."""
    rows = await transaction.connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit))
    return [audit_row(row) for row in rows]
