"""The store: which transaction each call is, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import literal_column, select

from agentplat.contracts.interface import CostSummary, TaskFilter
from agentplat.contracts.store import (
    AuditRow,
    CallRow,
    Claim,
    Definition,
    InboxItem,
    NewTask,
    Rejected,
    Submitted,
    Swept,
    TaskRow,
    WorkerRow,
    Write,
    WriteResult,
)
from agentplat.domain.errors import InputRejected
from agentplat.domain.events import Recorded
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease
from agentplat.store.database import Database, Transaction, ValuesRefused
from agentplat.store.schema import check_schema
from agentplat.store.transactions import claims, reading, submission, sweeping, telling
from agentplat.store.transactions.commit import commit

T = TypeVar("T")


class SqlStore:
    """Both databases; what differs is in `database` and in the statements."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        await self._database.open()
        await self._read(check_schema)

    async def close(self) -> None:
        await self._database.close()

    async def ping(self) -> None:
        async def answer(transaction: Transaction) -> None:
            await transaction.connection.execute(select(literal_column("1")))

        await self._database.read(answer, attempts=1)

    # submission

    async def submit(self, tasks: Sequence[NewTask], definitions: Sequence[Definition] = ()) -> Sequence[Submitted]:
        if not tasks:
            return ()
        try:
            return await self._write(submission.submit, tasks, definitions)
        except ValuesRefused as error:
            raise InputRejected("The submission", [("", str(error))]) from error

    async def definition(self, hash: str) -> Definition:
        return await self._read(submission.definition, hash)

    # workers

    async def register_worker(self, worker: WorkerRow, lease_seconds: float) -> None:
        await self._write(claims.register, worker, lease_seconds)

    async def renew_worker(self, worker_id: WorkerId, lease_seconds: float) -> bool:
        return await self._write(claims.renew, worker_id, lease_seconds)

    async def deregister_worker(self, worker_id: WorkerId) -> None:
        await self._write(sweeping.return_worker, worker_id, dead=False, blame=None)

    async def claim(self, worker_id: WorkerId, limit: int, *, queues: Sequence[str] = ("default",)) -> Sequence[Claim]:
        return await self._claim("claim", worker_id, limit, queues)

    async def claim_suspect(self, worker_id: WorkerId, *, queues: Sequence[str] = ("default",)) -> Claim | None:
        return next(iter(await self._claim("claim_suspect", worker_id, 1, queues)), None)

    async def _claim(self, statement: str, worker_id: WorkerId, limit: int, queues: Sequence[str]) -> Sequence[Claim]:
        if limit < 1:
            return ()
        # Random, and the same for every attempt of this call: a claim whose acknowledgement was lost is found by it.
        options = {"worker_id": worker_id, "claim_id": uuid4(), "limit": limit, "queues": queues}
        return await self._write(claims.claim, statement, **options)

    async def woken(self, worker_id: WorkerId) -> Sequence[TaskId]:
        return await self._read(claims.woken, worker_id)

    async def inbox(self, leases: Sequence[Lease]) -> Sequence[InboxItem]:
        return await self._write(claims.read_inbox, leases) if leases else ()

    # the journal

    async def journal(self, task_id: TaskId, after: int = 0, limit: int | None = None) -> Sequence[Recorded]:
        return await self._read(reading.read_journal, task_id, after, limit)

    async def journals(self, task_ids: Sequence[TaskId]) -> Mapping[TaskId, Sequence[Recorded]]:
        return await self._read(reading.read_journals, task_ids)

    async def calls(self, task_id: TaskId, path: str | None = None, try_number: int | None = None) -> Sequence[CallRow]:
        return await self._read(reading.read_calls, task_id, path, try_number)

    async def commit(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        if not writes:
            return ()
        try:
            return await self._write(commit, writes)
        except ValuesRefused as error:
            if len(writes) == 1:
                return [Rejected(reason=str(error))]
        # One write's values are at fault, and nothing says whose: task by task, so that only that one is refused.
        return [result for write in writes for result in await self.commit([write])]

    # from outside

    async def tell(self, item: InboxItem) -> bool:
        try:
            return await self._write(telling.tell, item)
        except ValuesRefused as error:
            raise InputRejected(f"The {item.kind}", [("", str(error))]) from error

    async def sweep(self) -> Swept:
        workers: list[WorkerId] = []
        returned = 0
        while (swept := await self._write(sweeping.return_expired)) is not None:
            workers.append(swept[0])
            returned += swept[1]
        return Swept(
            workers=workers,
            returned=returned,
            woken=await self._write(sweeping.wake_due),
            poisoned=await self._read(sweeping.poisoned),
            next_expiry=await self._read(sweeping.next_expiry),
        )

    async def expire_worker(self, worker_id: WorkerId, *, blame: TaskId | None = None) -> None:
        await self._write(sweeping.return_worker, worker_id, dead=True, blame=blame)

    # reading

    async def task(self, task_id: TaskId) -> TaskRow:
        return await self._read(reading.task, task_id)

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskRow]:
        return await self._read(reading.find_tasks, filter)

    async def costs(self, *, tenant: str | None = None, user_hash: str | None = None) -> CostSummary:
        return await self._read(reading.costs, tenant, user_hash)

    async def changes(self, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[TaskRow]:
        return await self._read(reading.changes, after, limit)

    async def audit(self, limit: int = 100) -> Sequence[AuditRow]:
        return await self._read(reading.read_audit, limit)

    async def _read(self, work: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        return await self._database.read(lambda transaction: work(transaction, *arguments, **options))

    async def _write(self, work: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        return await self._database.write(lambda transaction: work(transaction, *arguments, **options))
