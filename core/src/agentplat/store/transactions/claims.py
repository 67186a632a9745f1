"""Workers and what they own: the worker's row, claims, the inbox of owned tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.store import Claim, InboxItem, WorkerRow
from agentplat.domain.events import Recorded
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.script import Bound, Round, Script, bound
from agentplat.store.tables import EVERY_TENANT, inbox, queue, workers
from agentplat.store.transactions.prepared import dialect_of, prepared
from agentplat.store.transactions.rows import AnyRow, inbox_item, recorded


async def register(transaction: Transaction, worker: WorkerRow, lease_seconds: float) -> None:
    """The worker has a row from now on, and may claim."""
    values = {
        "tenant_id": EVERY_TENANT,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "capacity": worker.capacity,
        "plugins": worker.plugins,
        "started_at": clock(),
        "lease_until": clock(),
    }
    dialect = postgresql if dialect_of(transaction) == "postgresql" else sqlite
    statement = dialect.insert(workers).values(id=worker.id, **values)
    await transaction.connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    await renew(transaction, worker.id, lease_seconds)


async def renew(transaction: Transaction, worker_id: WorkerId, lease_seconds: float) -> bool:
    """False when the row is gone."""
    result = await transaction.connection.execute(
        prepared("renew_worker", dialect_of(transaction)), {"worker_id": worker_id, "lease_seconds": lease_seconds}
    )
    return result.rowcount == 1


def claim(
    statement: str, again: bool, *, worker_id: WorkerId, claim_id: UUID, limit: int, queues: Sequence[str]
) -> Script[Sequence[Claim]]:
    """What `statement`, claim or claim_suspect, gives, queue by queue until `limit` is reached."""
    owned = {"worker_id": worker_id, "claim_id": claim_id}
    reading = [Bound("claimed_tasks", owned), Bound("claimed_journals", owned)]
    if again:
        # Found by its id when an earlier attempt was committed without our hearing of it.
        tasks, events = yield Round(reading)
        if tasks:
            yield Round([], last=True)
            return _claims(worker_id, queues, tasks, events)
    left = limit
    for name in queues[:-1]:
        [rows] = yield Round([bound(statement, queue=name, limit=left, **owned)])
        left -= len(rows)
        if not left:
            break
    claiming = [bound(statement, queue=queues[-1], limit=left, **owned)] if left else []
    *_, tasks, events = yield Round([*claiming, *reading], last=True)
    return _claims(worker_id, queues, tasks, events)


def _claims(
    worker_id: WorkerId, queues: Sequence[str], tasks: Sequence[AnyRow], events: Sequence[AnyRow]
) -> Sequence[Claim]:
    """Queue by queue, in the order in which they were due."""
    journals: dict[UUID, list[Recorded]] = {task.id: [] for task in tasks}
    for event in events:
        journals[event.task_id].append(recorded(event))
    due = sorted(tasks, key=lambda task: (queues.index(task.queue), -task.priority, task.run_at, task.id))
    return [
        Claim(
            lease=Lease(TaskId(task.id), task.fence, worker_id),
            tenant=task.tenant_id,
            type=task.type,
            definition=task.definition,
            trace_id=task.trace_id,
            parent_span=task.parent_span,
            submitted_at=task.created_at,
            now=task.now,
            journal=journals[task.id],
            wake=task.wake,
            suspect=task.suspect,
        )
        for task in due
    ]


def disown(worker_id: WorkerId, known: Collection[TaskId]) -> Script[Sequence[TaskId]]:
    """What this worker owned without knowing it; nobody owns it any more."""
    [rows] = yield Round([bound("disown", worker_id=worker_id, known=list(known))], last=True)
    return [TaskId(row.task_id) for row in rows]


async def woken(transaction: Transaction, worker_id: WorkerId) -> Sequence[TaskId]:
    """The tasks of this worker that were told something which nobody has read."""
    statement = select(queue.c.task_id).where(queue.c.worker_id == worker_id, queue.c.wake)
    return [TaskId(task_id) for task_id in (await transaction.connection.execute(statement)).scalars()]


async def read_inbox(transaction: Transaction, leases: Sequence[Lease]) -> Sequence[InboxItem]:
    """Under the locks of the rows, so that nothing arrives between the look and the clearing of the mark.

    Only for leases that hold: a worker that has lost one must not clear the mark that is meant for the next owner.
    """
    held = await _held(transaction, leases)
    if not held:
        return ()
    await transaction.connection.execute(
        update(queue).where(queue.c.task_id.in_(held), queue.c.wake).values(wake=False)
    )
    items = select(inbox).where(inbox.c.task_id.in_(held)).order_by(inbox.c.task_id, inbox.c.number)
    return [inbox_item(row) for row in await transaction.connection.execute(items)]


async def _held(transaction: Transaction, leases: Sequence[Lease]) -> list[UUID]:
    values: dict[str, Any] = {"task_ids": sorted(lease.task_id for lease in leases)}
    rows = await transaction.connection.execute(prepared("lock_tasks", dialect_of(transaction)), values)
    by_id = {row.task_id: (row.fence, row.worker_id) for row in rows}
    return [lease.task_id for lease in leases if by_id.get(lease.task_id) == (lease.fence, lease.worker_id)]
