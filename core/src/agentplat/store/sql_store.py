"""The store: which transaction each call is, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import literal_column, select

from agentplat import telemetry
from agentplat.contracts.firing import Firing, ScheduleRow
from agentplat.contracts.hints import Hint
from agentplat.contracts.interface import CostSummary, TaskFilter
from agentplat.contracts.limits import Limit, LimitRow
from agentplat.contracts.schedules import Schedule, ScheduleSource
from agentplat.contracts.store import (
    AuditRow,
    CallRow,
    Claim,
    Committed,
    Definition,
    End,
    InboxItem,
    Keep,
    NewTask,
    Park,
    Rejected,
    Release,
    Submitted,
    Swept,
    TaskRow,
    WorkerRow,
    Write,
    WriteResult,
)
from agentplat.contracts.stored.retention import Retention, Upkept
from agentplat.contracts.why import Standing
from agentplat.domain.errors import InputRejected, StoreUnavailable
from agentplat.domain.events import Recorded, TaskClaimed
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease
from agentplat.store.claiming.claimant import Claimant
from agentplat.store.database import Database, Transaction, ValuesRefused
from agentplat.store.schema import check_schema
from agentplat.store.transactions import claims, limits, reading, schedules, submission, sweeping, telling
from agentplat.store.transactions.commit import commit
from agentplat.store.transactions.upkeep import upkeep

T = TypeVar("T")
_LOOK_AGAIN = 1.0  # seconds after which a worker that another sweeper had in its hands should be gone
_CLAIMABLE = (Hint.WORK, Hint.SUSPECT)  # what is no longer owned or no longer waits, and may be a suspect


class SqlStore:
    """Both databases; what differs is in `database` and in the statements."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # An expired worker was in the hands of another sweeper, who may die before he returns its tasks, or says so.
        self._left_to_another = False
        self._delay_over: datetime | None = None  # of what will be claimable next by itself, as the last sweep saw it
        self._opened_at: datetime | None = None  # when there was room under a rate last, as the last sweep saw it
        self._claimant = Claimant(database)

    @property
    def hears(self) -> bool:
        return self._database.hears

    def subscribe(self, hear: Callable[[Hint], None]) -> Callable[[], None]:
        return self._database.hints.subscribe(hear)

    async def listen(self) -> None:
        await self._database.listen()

    def _hint(self, *hints: Hint) -> None:
        self._database.hints.give(*hints)

    async def open(self) -> None:
        await self._database.open()
        await self._read(check_schema)

    async def close(self) -> None:
        self._claimant.close()
        await self._database.close()

    async def ping(self) -> None:
        async def answer(transaction: Transaction) -> None:
            await transaction.connection.execute(select(literal_column("1")))

        await self._database.read(answer, attempts=2)  # the first may find a connection that was ended while idle

    # submission

    async def submit(self, tasks: Sequence[NewTask], definitions: Sequence[Definition] = ()) -> Sequence[Submitted]:
        if not tasks:
            return ()
        delayed = any(task.delay or task.run_at for task in tasks)
        hints = (Hint.WORK, Hint.CHANGED, Hint.DELAY) if delayed else (Hint.WORK, Hint.CHANGED)
        try:
            far = self._database.dialect == "postgresql"
            return await self._database.perform(
                lambda again: submission.submit(tasks, definitions, again, far=far), hints=hints
            )
        except (ValuesRefused, TypeError, ValueError) as error:
            raise InputRejected("The submission", [("", str(error))]) from error

    async def repeated(self, task: NewTask) -> Submitted | None:
        return await self._read(submission.repeated, task)

    async def definition(self, hash: str) -> Definition:
        return await self._read(submission.definition, hash)

    async def define(self, definition: Definition, tenant: str) -> None:
        await self._write(submission.define, definition, tenant)

    async def definitions_of(self, type: str, limit: int = 200) -> Sequence[tuple[Definition, datetime]]:
        return await self._read(submission.definitions_of, type, limit)

    # workers

    async def register_worker(self, worker: WorkerRow, lease_seconds: float) -> None:
        await self._write(claims.register, worker, lease_seconds)

    async def renew_worker(self, worker_id: WorkerId, lease_seconds: float) -> bool:
        return await self._write(claims.renew, worker_id, lease_seconds)

    async def deregister_worker(self, worker_id: WorkerId) -> None:
        await self._write(sweeping.return_worker, worker_id, dead=False, blame=None)
        self._hint(*_CLAIMABLE)

    async def claim(self, worker_id: WorkerId, limit: int, *, queues: Sequence[str] = ("default",)) -> Sequence[Claim]:
        return await self._claimant.claim(worker_id, limit, queues)

    async def claim_suspect(self, worker_id: WorkerId, *, queues: Sequence[str] = ("default",)) -> Claim | None:
        return next(iter(await self._claimant.claim(worker_id, 1, queues, suspects=True)), None)

    async def disown(self, worker_id: WorkerId, known: Collection[TaskId]) -> Sequence[TaskId]:
        given_back = await self._database.perform(lambda _: claims.disown(worker_id, known))
        if given_back:
            self._hint(*_CLAIMABLE)
        return given_back

    # limits

    async def set_limit(self, limit: Limit, actor: str) -> None:
        try:
            await self._write(limits.set_limit, limit, actor)
        except ValuesRefused as error:
            raise InputRejected("The limit", [("", str(error))]) from error
        self._hint(*_CLAIMABLE)

    async def remove_limit(self, tenant: str, key: str, actor: str) -> bool:
        removed = await self._write(limits.remove_limit, tenant, key, actor)
        self._hint(*_CLAIMABLE)
        return removed

    async def declare_limit(self, limit: Limit) -> None:
        if await self._write(limits.declare_limit, limit):
            self._hint(*_CLAIMABLE)

    async def limits(self, tenant: str | None = None, key: str | None = None) -> Sequence[LimitRow]:
        return await self._read(limits.read_limits, tenant, key)

    # schedules

    async def clock(self) -> datetime:
        return await self._read(schedules.database_clock)

    async def schedules(self, tenant: str | None = None, name: str | None = None) -> Sequence[ScheduleRow]:
        return await self._read(schedules.read_schedules, tenant, name)

    async def due_schedules(self, limit: int) -> Sequence[ScheduleRow]:
        return await self._read(schedules.due_schedules, limit)

    async def put_schedule(
        self, schedule: Schedule, *, source: ScheduleSource, next_at: datetime, user_hash: str | None, actor: str
    ) -> bool:
        try:
            put = await self._write(schedules.put_schedule, schedule, source, next_at, user_hash, actor)
        except ValuesRefused as error:
            raise InputRejected("The schedule", [("", str(error))]) from error
        self._hint(Hint.TIMER)
        return put

    async def remove_schedule(self, tenant: str, name: str, *, source: ScheduleSource, actor: str) -> bool:
        return await self._write(schedules.remove_schedule, tenant, name, source, actor)

    async def pause_schedule(self, tenant: str, name: str, resume_at: datetime | None, actor: str) -> bool:
        changed = await self._write(schedules.pause_schedule, tenant, name, resume_at, actor)
        self._hint(Hint.TIMER)
        return changed

    async def fire(self, firing: Firing) -> Sequence[Submitted] | None:
        hints = (Hint.WORK, Hint.CHANGED) if firing.tasks else ()
        try:
            far = self._database.dialect == "postgresql"
            return await self._database.perform(lambda again: schedules.fire(firing, again, far=far), hints=hints)
        except (ValuesRefused, TypeError, ValueError) as error:
            raise InputRejected("The schedule's submission", [("", str(error))]) from error

    async def known_tasks(self, tenant: str, keys: Sequence[str]) -> Mapping[str, UUID]:
        return await self._read(schedules.known_tasks, tenant, keys) if keys else {}

    # what workers own

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
        if len({write.lease.task_id for write in writes}) < len(writes):
            raise ValueError("two writes about one task in one commit")
        return await self._commit(writes)

    async def _commit(self, writes: Sequence[Write], again: bool = False) -> Sequence[WriteResult]:
        try:
            far = self._database.dialect == "postgresql"
            hints = _hints_of(writes, limits=self._claimant.limits)
            results = await self._database.perform(
                lambda repeated: commit(writes, again or repeated, far=far), hints=hints
            )
        except (ValuesRefused, TypeError, ValueError) as error:
            if again:
                return [Rejected(reason=str(error))]
        else:
            woken = [_does_not_wait(write, result) for write, result in zip(writes, results, strict=True)]
            if any(woken):
                self._hint(*_CLAIMABLE)
            await self._wake_parents(writes, results)
            return results
        # One write's values are at fault, and nothing says whose: task by task, so that only that one is refused. Or it
        # is there already: its first attempt was committed while this one waited for it, with a view from before that.
        return [result for write in writes for result in await self._commit([write], again=True)]

    async def _wake_parents(self, writes: Sequence[Write], results: Sequence[WriteResult]) -> None:
        over = [
            write.lease.task_id
            for write, result in zip(writes, results, strict=True)
            if isinstance(write.closing, End) and write.is_child is not False and isinstance(result, Committed)
        ]
        if not over:
            return
        try:
            if await self._database.perform(lambda _: sweeping.wake_parents(over)):
                self._hint(Hint.TOLD, *_CLAIMABLE)
        except Exception as error:  # noqa: BLE001  # whatever it is, the writes are kept, and a sweep finds whom to wake
            said = error.detail if isinstance(error, StoreUnavailable) else type(error).__name__
            telemetry.log.warning(telemetry.STORE_AWAY, detail=said)

    # from outside

    async def tell(self, item: InboxItem) -> bool:
        try:
            new = await self._write(telling.tell, item)
        except ValuesRefused as error:
            raise InputRejected(f"The {item.kind}", [("", str(error))]) from error
        self._hint(Hint.TOLD, Hint.CHANGED, *_CLAIMABLE)
        return new

    async def sweep(self) -> Swept:
        due = await self._database.perform(lambda _: sweeping.due())
        workers: list[WorkerId] = []
        returned = 0
        while due.expired and (swept := await self._write(sweeping.return_expired)) is not None:
            workers.append(swept[0])
            returned += swept[1]
        overdue = due.timer_at is not None and due.timer_at <= due.now
        woken = await self._write(sweeping.wake_due) if overdue or due.told else 0
        delay_over = self._delay_over is not None and self._delay_over <= due.now
        opened = due.opened_at is not None and due.opened_at != self._opened_at
        self._delay_over, self._opened_at = due.run_at, due.opened_at
        if workers or woken or delay_over or opened:
            self._hint(Hint.CHANGED, *_CLAIMABLE, *([Hint.TOLD] if due.told else []))
        elif self._left_to_another:
            self._database.hints.heard(_CLAIMABLE)
        self._left_to_another = due.expired and not workers
        soon = 0.0 if woken >= sweeping.BATCH else _LOOK_AGAIN if self._left_to_another else None
        return Swept(
            workers=workers,
            returned=returned,
            woken=woken,
            poisoned=await self._read(sweeping.poisoned) if due.poisoned or returned else (),
            schedules=due.next_at is not None and due.next_at <= due.now,
            next_expiry=sweeping.seconds_left(due, at_most=soon),
        )

    async def expire_worker(self, worker_id: WorkerId, *, blame: TaskId | None = None) -> None:
        await self._write(sweeping.return_worker, worker_id, dead=True, blame=blame)
        self._hint(*_CLAIMABLE)

    def upkeep(self, retention: Retention) -> AsyncGenerator[Upkept, None]:
        return upkeep(self._database, retention)

    async def survived(self) -> Sequence[TaskId]:
        return await self._read(sweeping.survived)

    # reading

    async def task(self, task_id: TaskId) -> TaskRow:
        return await self._read(reading.task, task_id)

    async def ended(self, task_ids: Sequence[TaskId]) -> Sequence[TaskId]:
        return await self._read(reading.ended, task_ids)

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskRow]:
        return await self._read(reading.find_tasks, filter)

    async def standing(self, task_id: TaskId) -> Standing:
        return await self._read(reading.standing, task_id)

    async def asking(self, *, before: UUID | None, tenant: str | None, limit: int) -> Sequence[TaskRow]:
        return await self._read(reading.asking, before, tenant, limit)

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


def _does_not_wait(write: Write, result: WriteResult) -> bool:
    """Whether a task that was to wait is claimable: it was told something meanwhile."""
    return isinstance(write.closing, Park) and isinstance(result, Committed) and result.wake


def _hints_of(writes: Sequence[Write], *, limits: bool) -> set[Hint]:
    hints: set[Hint] = set()
    if limits and any(isinstance(write.closing, Park | End) for write in writes):
        hints.update(_CLAIMABLE)  # what no longer runs may have been what others waited for
    if any(write.children for write in writes):
        hints |= {Hint.WORK, Hint.CHANGED}
    for write in writes:
        match write.closing:
            case Keep():
                if TaskClaimed in map(type, write.events):
                    hints.add(Hint.CHANGED)
            case End(actor=actor) if actor != "worker":  # a process that never claimed knows of no limits
                hints.update([Hint.CHANGED, *_CLAIMABLE])
            case Park(wake_after=None) | End():
                hints.add(Hint.CHANGED)
            case Park():
                hints |= {Hint.CHANGED, Hint.TIMER}
            case Release():
                hints.update([Hint.CHANGED, Hint.TIMER, *_CLAIMABLE])
    return hints
