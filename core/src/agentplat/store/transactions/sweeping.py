"""Returning what dead workers owned, firing timers, repairing wake-ups that a crash swallowed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, select

from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease
from agentplat.store.database import Transaction
from agentplat.store.script import Round, Script, bound
from agentplat.store.tables import POISON_LIMIT, queue, tasks
from agentplat.store.transactions.prepared import dialect_of, prepared
from agentplat.store.transactions.rows import AnyRow

BATCH = 1000
"""So many of one kind a transaction makes claimable; then there may be more of them."""
_FEW = 100
_POISONED = 50  # few: so many of them come at once hardly ever, and the index stays the cheapest way to them


async def return_expired(transaction: Transaction) -> tuple[WorkerId, int] | None:
    """One worker whose lease has ended, and how many tasks were returned; None when there is no other."""
    row = (await transaction.connection.execute(prepared("lock_expired_worker", dialect_of(transaction)))).first()
    if row is None:
        return None
    worker_id = WorkerId(row.id)
    return worker_id, await _return_tasks(transaction, worker_id, dead=True, blame=None)


async def return_worker(transaction: Transaction, worker_id: WorkerId, *, dead: bool, blame: TaskId | None) -> int:
    """How many tasks of this worker were returned; its row is gone afterwards."""
    await transaction.connection.execute(prepared("lock_worker", dialect_of(transaction)), {"worker_id": worker_id})
    return await _return_tasks(transaction, worker_id, dead=dead, blame=blame)


async def _return_tasks(transaction: Transaction, worker_id: WorkerId, *, dead: bool, blame: TaskId | None) -> int:
    execute, dialect = transaction.connection.execute, dialect_of(transaction)
    await execute(prepared("lock_owned", dialect), {"worker_id": worker_id})
    returned = await execute(prepared("return_owned", dialect), {"worker_id": worker_id, "dead": dead, "blame": blame})
    await execute(prepared("remove_worker", dialect), {"worker_id": worker_id})
    return returned.rowcount


async def wake_due(transaction: Transaction) -> int:
    """How many parked tasks became claimable: their timer is due, or something waits in their inbox."""
    woken = 0
    for name in ("fire_timers", "repair_wakes"):
        rows = await transaction.connection.execute(prepared(name, dialect_of(transaction)), {"limit": BATCH})
        woken += len(rows.all())
    await transaction.connection.execute(prepared("forget_told", dialect_of(transaction)))
    return woken


async def poisoned(transaction: Transaction) -> Sequence[Lease]:
    """Leases of tasks that crashed too often: nobody owns them, and nobody can claim them."""
    statement = select(queue.c.task_id, queue.c.fence).where(queue.c.crashes >= POISON_LIMIT)
    rows = await transaction.connection.execute(statement.order_by(queue.c.task_id).limit(_POISONED))
    return [Lease(TaskId(row.task_id), row.fence, None) for row in rows]


async def survived(transaction: Transaction) -> Sequence[TaskId]:
    """Tasks that are over and have open children. Looks at every task that is open, so it is asked rarely."""
    above = queue.alias()
    is_over = ~exists(select(above.c.task_id).where(above.c.task_id == tasks.c.parent_id))
    children = tasks.join(queue, queue.c.task_id == tasks.c.id)
    parents = select(tasks.c.parent_id).select_from(children).where(tasks.c.parent_id.is_not(None), is_over)
    found = await transaction.connection.execute(parents.distinct().limit(_FEW))
    return [TaskId(parent) for parent in found.scalars()]


def wake_parents(children: Sequence[TaskId]) -> Script[Sequence[AnyRow]]:
    """The parents that were told how these have ended. See `sql/wake_parents.sql`."""
    [woken] = yield Round([bound("wake_parents", task_ids=list(children))], last=True)
    return woken


def due() -> Script[AnyRow]:
    """Whether there is anything to sweep, and what will be due next. See `sql/due.sql`."""
    [[found]] = yield Round([bound("due")], last=True)
    return found


def seconds_left(found: AnyRow, at_most: float | None = None) -> float | None:
    """Until the earliest thing that `due` found and that is still to come, or `at_most`; None when there is neither."""
    points = (found.lease_until, found.timer_at, found.run_at, found.opens_at, found.next_at)
    ahead = [point for point in points if point and point > found.now]
    left = [max((min(ahead) - found.now).total_seconds(), 0.0)] if ahead else []
    return min([*left, *([] if at_most is None else [at_most])], default=None)
