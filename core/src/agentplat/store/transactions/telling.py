"""What others tell a task: put into its inbox, first one in wins, and the task is woken in the same transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text, func, insert, literal_column, select, update

from agentplat.contracts.store import InboxItem
from agentplat.domain.errors import ConflictError, InboxFull, NotFound
from agentplat.domain.ids import TaskId
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.tables import inbox, journal, tasks
from agentplat.store.transactions.prepared import dialect_of, prepared

_MOST_UNREAD = 1000
"""So many items of one task, and it is told no more signals. Cancels and answers are few, and are never refused."""


async def tell(transaction: Transaction, item: InboxItem) -> bool:
    """False when an item of this key came before. NotFound, InboxFull, or ConflictError when the task is over."""
    execute, dialect = transaction.connection.execute, dialect_of(transaction)
    row = (await execute(prepared("lock_tasks", dialect), {"task_ids": [item.task_id]})).first()
    if row is None:
        raise await _why_not(transaction, item.task_id)
    same = select(inbox.c.id).where(inbox.c.task_id == item.task_id, inbox.c.key == item.key)
    earlier = (await execute(same)).scalar_one_or_none()
    if earlier is not None:
        return transaction.again and earlier == item.id
    if await _is_in_journal(transaction, item):
        return False
    # Below zero is where children tell of their ends, see `sql/tell_parents.sql`.
    before = (inbox.c.task_id == item.task_id, inbox.c.number > 0)
    count = func.count(inbox.c.number).label("unread")
    told = select(clock().label("at"), func.coalesce(func.max(inbox.c.number), 0).label("last"), count).where(*before)
    there = (await execute(told)).one()
    if there.unread >= _MOST_UNREAD and item.kind == "signal" and not item.name.startswith("@"):
        raise InboxFull(item.task_id, there.unread)
    await execute(
        insert(inbox).values(
            task_id=item.task_id,
            number=there.last + 1,
            id=item.id,
            tenant_id=row.tenant_id,
            kind=item.kind,
            key=item.key,
            name=item.name,
            payload=item.payload,
            at=there.at,
        )
    )
    await execute(prepared("wake_task", dialect), {"task_id": item.task_id, "hurry": item.kind == "cancel"})
    if item.kind == "cancel":
        await _show_cancel(transaction, item.task_id, there.at)
    return True


async def _why_not(transaction: Transaction, task_id: TaskId) -> NotFound | ConflictError:
    status = await transaction.connection.execute(select(tasks.c.status).where(tasks.c.id == task_id))
    known = status.scalar_one_or_none()
    if known is None:
        return NotFound(f"There is no task {task_id}.")
    return ConflictError(f"The task {task_id} is over ({known}); it hears nothing any more.")


async def _is_in_journal(transaction: Transaction, item: InboxItem) -> bool:
    """Whether the owner has taken an item of this key already."""
    mine = select(journal.c.seq).where(journal.c.task_id == item.task_id)
    if item.kind == "cancel":
        found = mine.where(journal.c.kind == "cancel_requested")
    else:  # compared where it lies: their payloads may be large, and the owner waits for the row that is held here
        key = journal.c.content.op("->>", return_type=Text())(literal_column("'key'"))
        found = mine.where(journal.c.kind.in_(["signal_received", "approval_answered"]), key == item.key)
    return (await transaction.connection.execute(found.limit(1))).first() is not None


async def _show_cancel(transaction: Transaction, task_id: TaskId, at: datetime) -> None:
    marked = {"cancel_requested_at": at, "updated_at": at}
    await transaction.connection.execute(update(tasks).where(tasks.c.id == task_id).values(marked))
