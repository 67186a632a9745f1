"""Returning what dead workers owned, firing timers, repairing wake-ups that a crash swallowed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.tables import POISON_LIMIT, queue, workers
from agentplat.store.transactions.prepared import dialect_of, prepared

_BATCH = 1000
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
        rows = await transaction.connection.execute(prepared(name, dialect_of(transaction)), {"limit": _BATCH})
        woken += len(rows.all())
    return woken


async def poisoned(transaction: Transaction) -> Sequence[Lease]:
    """Leases of tasks that crashed too often: nobody owns them, and nobody can claim them."""
    statement = select(queue.c.task_id, queue.c.fence).where(queue.c.crashes >= POISON_LIMIT)
    rows = await transaction.connection.execute(statement.order_by(queue.c.task_id).limit(_POISONED))
    return [Lease(TaskId(row.task_id), row.fence, None) for row in rows]


async def next_expiry(transaction: Transaction) -> float | None:
    """Seconds until the earliest lease ends or timer is due; 0 when one is overdue."""
    lease = select(func.min(workers.c.lease_until)).scalar_subquery()
    parked = ~queue.c.ready & queue.c.worker_id.is_(None) & queue.c.run_at.is_not(None)
    timer = (
        select(queue.c.run_at)
        .where(parked, queue.c.crashes < POISON_LIMIT)
        .order_by(queue.c.run_at)
        .limit(1)
        .scalar_subquery()
    )
    row = (
        await transaction.connection.execute(select(clock().label("now"), lease.label("lease"), timer.label("timer")))
    ).one()
    points: list[datetime] = [point for point in (row.lease, row.timer) if point is not None]
    return max((min(points) - row.now).total_seconds(), 0.0) if points else None
