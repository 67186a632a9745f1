"""A database in which everything holds, with a task in every situation that a predicate is about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from agentplat_migrations.schema import upgrade

from agentplat.contracts.firing import Firing, ScheduleStore
from agentplat.contracts.limits import Limit
from agentplat.contracts.schedules import Schedule
from agentplat.contracts.store import (
    CallRow,
    Closing,
    Committed,
    Definition,
    End,
    InboxItem,
    Keep,
    NewTask,
    Park,
    Store,
    WorkerRow,
    Write,
)
from agentplat.contracts.stored.children import Parent
from agentplat.domain.events import (
    BlockCancelled,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    CancelRequested,
    ChildDispatched,
    Event,
    HistoryReused,
    RetryScheduled,
    SignalReceived,
    StepFailed,
    StepReused,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TimerFired,
    WaitStarted,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import ExecutionId, StepPath, TaskId, WorkerId
from agentplat.domain.task import Lease, TaskState
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.store.connect import open_store

ROOT, WRITE, CHECK = StepPath(), StepPath().child("write", 1), StepPath().child("check", 1)
DEFINITION = Definition(hash="d" * 64, name="report", version=None, document={"type": "workflow:report"})
SPENT = Usage(model="test:small", input_tokens=100, output_tokens=20, cost=30)
UNPRICED = Usage(model="test:new", input_tokens=7, output_tokens=3, cost=None)
FAILURE = Failure(code=FailureCode.UNAVAILABLE, message="It did not answer.", retryable=True)
HOUR = 3600.0
_NAMES = (
    "done",
    "unpriced",
    "crashed",
    "error",
    "retried",
    "cancelled",
    "poisoned",
    "pending",
    "running",
    "told",
    "sleeping",
    "listening",
    "forked",
    "parent",
    "child",
    "young",
    "tidied",
)
TASKS = {name: TaskId(UUID(f"01900000-0000-7000-8000-{number:012}")) for number, name in enumerate(_NAMES, 1)}
WORKER = WorkerId(UUID("00000000-0000-4000-8000-000000000001"))
NOBODY = UUID("00000000-0000-4000-8000-00000000dead")
"""No task, and no worker, has this id."""


def made(url: str) -> None:
    """Make it, in an empty database."""
    upgrade(url)
    asyncio.run(_filled(url))


async def _filled(url: str) -> None:
    store = open_store(url)
    await store.open()
    try:
        await store.register_worker(_worker(WORKER), 24 * HOUR)
        for history in (_done, _unpriced, _crashed, _error, _retried, _forked, _cancelled, _tidied, _poisoned, _family):
            await history(store)
        for situation in (_running, _told, _sleeping, _listening, _pending):
            await situation(store)
        await _scheduled(store)
        await store.set_limit(Limit(tenant="north", at_once=1, weight=2), "somebody")  # below what runs
    finally:
        await store.close()


async def _scheduled(store: ScheduleStore) -> None:
    """It fired an hour ago, and is due tomorrow."""
    schedule = Schedule(name="nightly", target="report", cron="0 2 * * *", tenant="north")
    due = await store.clock() - timedelta(hours=1)
    await store.put_schedule(schedule, source="api", next_at=due, user_hash=None, actor="somebody")
    [row] = await store.schedules()
    assert await store.fire(Firing(row=row, next_at=due + timedelta(days=1), last_at=due, fault=None)) == ()


def _worker(worker_id: WorkerId) -> WorkerRow:
    return WorkerRow(id=worker_id, host="here", pid=1, version="0.1.0", capacity=4, plugins={})


@dataclass
class Owner:
    """One claim of a task, and how far its journal has come."""

    store: Store
    lease: Lease
    seq: int
    calls: list[CallRow] = field(default_factory=list)

    async def write(self, *events: Event, closing: Closing | None = None, **values: Any) -> None:
        write = Write(lease=self.lease, first_seq=self.seq + 1, events=events, closing=closing or Keep(), **values)
        [result] = await self.store.commit([write])
        assert isinstance(result, Committed), result
        self.seq += len(events)

    async def end(self, *events: Event, status: TaskState = TaskState.DONE, failure: Failure | None = None) -> None:
        output = {"text": "written"} if status is TaskState.DONE else None
        finished = TaskFinished(status=status.value, output=output, failure=failure)
        await self.write(*events, finished, closing=End(status=status, output=output, failure=failure))


async def _submitted(store: Store, name: str, **values: Any) -> None:
    task = NewTask(
        id=TASKS[name],
        tenant="north",
        type="workflow:report",
        input={"topic": name},
        trace_id="0" * 32,
        definition=DEFINITION.hash,
        idempotency_key=f"key of {name}",
        fingerprint="f",
        **values,
    )
    [submitted] = await store.submit([task], [DEFINITION])
    assert submitted.created


async def _claimed(store: Store, name: str, seq: int = 1, worker_id: WorkerId = WORKER) -> Owner:
    claim = next(iter(await store.claim(worker_id, 1)), None) or await store.claim_suspect(worker_id)
    assert claim is not None
    assert claim.lease.task_id == TASKS[name]
    owner = Owner(store, claim.lease, seq)
    await owner.write(TaskClaimed(fence=claim.lease.fence, worker=str(worker_id)))
    return owner


async def _begun(store: Store, name: str, **values: Any) -> Owner:
    """Submitted, claimed, and its root block open."""
    await _submitted(store, name, **values)
    owner = await _claimed(store, name)
    await owner.write(BlockStarted(path=ROOT, input={"topic": name}))
    return owner


def started(path: StepPath = WRITE, attempt: int = 1, try_number: int = 1) -> StepStarted:
    return StepStarted(
        path=path, execution_id=ExecutionId(uuid4()), attempt=attempt, try_number=try_number, input={"a": 1}
    )


def succeeded(path: StepPath = WRITE, attempt: int = 1, usage: Usage = NO_USAGE) -> StepSucceeded:
    return StepSucceeded(path=path, attempt=attempt, output={"text": "written"}, usage=usage)


def finished() -> BlockFinished:
    return BlockFinished(path=ROOT, output={"text": "written"})


def _call(number: int, usage: Usage) -> CallRow:
    return CallRow(
        path=str(WRITE),
        try_number=1,
        number=number,
        kind="model",
        name="small",
        status="finished",
        content={"output": "text"},
        usage=usage,
    )


async def _done(store: Store) -> None:
    owner = await _begun(store, "done")
    await owner.write(started(), under_way=True)
    await owner.write(calls=[_call(1, SPENT)], under_way=True)
    await owner.write(succeeded(usage=SPENT), started(CHECK), usage=SPENT, under_way=True)
    await owner.end(succeeded(CHECK), finished())


async def _unpriced(store: Store) -> None:
    owner = await _begun(store, "unpriced")
    await owner.write(started(), under_way=True)
    await owner.write(succeeded(usage=SPENT), started(CHECK), usage=SPENT, under_way=True)
    await owner.write(succeeded(CHECK, usage=UNPRICED), usage=SPENT + UNPRICED)
    await owner.end(finished())


async def _crashed(store: Store) -> None:
    """Its first worker died with the step under way; the second one went on."""
    await _submitted(store, "crashed")
    dead = WorkerId(uuid4())
    await store.register_worker(_worker(dead), HOUR)
    owner = await _claimed(store, "crashed", worker_id=dead)
    await owner.write(BlockStarted(path=ROOT, input=None), started(), under_way=True)
    await store.expire_worker(dead)
    owner = await _claimed(store, "crashed", seq=owner.seq)
    await owner.write(started(attempt=2), under_way=True)
    await owner.write(succeeded(attempt=2))
    await owner.end(finished())


async def _error(store: Store) -> None:
    """Failed, waited for its second try without an owner, failed for good."""
    owner = await _begun(store, "error")
    await owner.write(started(), under_way=True)
    failed = StepFailed(path=WRITE, attempt=1, failure=FAILURE, usage=SPENT)
    await owner.write(
        failed, RetryScheduled(path=WRITE, try_number=2, delay=0.0), usage=SPENT, closing=Park(wake_after=0.0)
    )
    await store.sweep()
    owner = await _claimed(store, "error", seq=owner.seq)
    await owner.write(TimerFired(path=WRITE), started(attempt=2, try_number=2), under_way=True)
    failed = StepFailed(path=WRITE, attempt=2, failure=FAILURE, usage=SPENT)
    await owner.write(failed, BlockFailed(path=ROOT, failure=FAILURE), usage=SPENT + SPENT)
    await owner.end(status=TaskState.ERROR, failure=FAILURE)


async def _retried(store: Store) -> None:
    """A new task with the input of one that had ended. It waits for a signal, and gets it."""
    owner = await _begun(store, "retried", retry_of=TASKS["error"])
    wait = WaitStarted(path=WRITE, execution_id=ExecutionId(uuid4()), signal="go", delay=None)
    await owner.write(wait, closing=Park(wake_after=None))
    item = InboxItem(id=uuid4(), task_id=TASKS["retried"], kind="signal", key="signal:1", name="go", payload=None)
    await store.tell(item)
    owner = await _claimed(store, "retried", seq=owner.seq)
    [told] = await store.inbox([owner.lease])
    received = SignalReceived(name="go", payload=None, key="signal:1")
    await owner.end(received, succeeded(), finished())
    assert told.id == item.id


async def _forked(store: Store) -> None:
    """A new task that goes on from a step of one that had ended."""
    reused = StepReused(
        path=WRITE,
        execution_id=ExecutionId(uuid4()),
        status="succeeded",
        attempt=1,
        try_number=1,
        input={"a": 1},
        output={"text": "written"},
        failure=None,
    )
    taken = [HistoryReused(source=str(TASKS["done"]), source_seq=9), BlockStarted(path=ROOT, input=None), reused]
    await _submitted(store, "forked", forked_from=TASKS["done"], history=taken)
    owner = await _claimed(store, "forked", seq=1 + len(taken))
    await owner.write(started(CHECK), under_way=True)
    await owner.end(succeeded(CHECK), finished())


async def _cancelled(store: Store) -> None:
    """Ended by somebody who was not its owner: nobody was."""
    await _submitted(store, "cancelled")
    failure = Failure(code=FailureCode.CANCELLED, message="The task was cancelled: on request")
    owner = Owner(store, Lease(TASKS["cancelled"], 0, None), 1)
    await owner.end(CancelRequested(reason="on request"), status=TaskState.CANCELLED, failure=failure)


async def _tidied(store: Store) -> None:
    """Cancelled; what has to be done at the end was done, and what had succeeded was undone."""
    owner = await _begun(store, "tidied")
    await owner.write(started(), under_way=True)
    await owner.write(succeeded())
    await owner.write(CancelRequested(reason="on request"))
    for end in (ROOT.child("@compensate", 1), ROOT.child("@finally", 1)):
        step = end.child("tidy", 1)
        await owner.write(BlockStarted(path=end, input=None), started(step), under_way=True)
        await owner.write(succeeded(step), BlockFinished(path=end, output=None))
    failure = Failure(code=FailureCode.CANCELLED, message="The task was cancelled: on request")
    await owner.end(BlockCancelled(path=ROOT), status=TaskState.CANCELLED, failure=failure)


async def _poisoned(store: Store) -> None:
    """Four workers died with it: the first one in company, the others alone."""
    await _submitted(store, "poisoned")
    seq = 1
    for attempt in range(1, 5):
        dead = WorkerId(uuid4())
        await store.register_worker(_worker(dead), HOUR)
        owner = await _claimed(store, "poisoned", seq=seq, worker_id=dead)
        first: Sequence[Event] = [BlockStarted(path=ROOT, input=None)] if attempt == 1 else []
        await owner.write(*first, started(attempt=attempt), under_way=True)
        await store.expire_worker(dead)
        seq = owner.seq
    [lease] = (await store.sweep()).poisoned
    failure = Failure(code=FailureCode.POISONED, message="It killed its workers.", details={"crashes": 3})
    await Owner(store, lease, seq).end(status=TaskState.ERROR, failure=failure)


async def _family(store: Store) -> None:
    """It waits for the second of two children; the first one has ended."""
    owner = await _begun(store, "parent")
    names, paths, seq = ("child", "young"), (WRITE, CHECK), owner.seq
    events = [
        ChildDispatched(path=path, execution_id=ExecutionId(TASKS[name]), attempt=1, try_number=1, input={"a": 1})
        for name, path in zip(names, paths, strict=True)
    ]
    children = [
        NewTask(
            id=TASKS[name],
            tenant="north",
            type="workflow:report",
            input={"a": 1},
            trace_id="0" * 32,
            definition=DEFINITION.hash,
            parent=Parent(id=TASKS["parent"], path=str(path), attempt=1, seq=seq + number, depth=1),
            queue="children",
        )
        for number, (name, path) in enumerate(zip(names, paths, strict=True), 1)
    ]
    await owner.write(*events, children=children, closing=Park(wake_after=None))
    [claim] = await store.claim(WORKER, 1, queues=["children"])
    child = Owner(store, claim.lease, 1)
    await child.write(TaskClaimed(fence=claim.lease.fence, worker=str(WORKER)), BlockStarted(path=ROOT, input=None))
    await child.write(started(), under_way=True)
    await child.end(succeeded(), finished())
    owner = await _claimed(store, "parent", seq=owner.seq)
    [told] = await store.inbox([owner.lease])
    await owner.write(succeeded(), taken=[told.id], closing=Park(wake_after=None))


async def _pending(store: Store) -> None:
    await _submitted(store, "pending")


async def _running(store: Store) -> None:
    owner = await _begun(store, "running")
    await owner.write(started(), under_way=True)


async def _told(store: Store) -> None:
    """Somebody told its owner something, which it has not read yet."""
    owner = await _begun(store, "told")
    await owner.write(started(), under_way=True)
    for kind, key in (("signal", "signal:1"), ("cancel", "cancel")):
        item = InboxItem(id=uuid4(), task_id=TASKS["told"], kind=kind, key=key, name="go", payload=None)  # type: ignore[arg-type]
        assert await store.tell(item)


async def _sleeping(store: Store) -> None:
    owner = await _begun(store, "sleeping")
    wait = WaitStarted(path=WRITE, execution_id=ExecutionId(uuid4()), signal=None, delay=HOUR)
    await owner.write(wait, closing=Park(wake_after=HOUR))


async def _listening(store: Store) -> None:
    owner = await _begun(store, "listening")
    wait = WaitStarted(path=WRITE, execution_id=ExecutionId(uuid4()), signal="go", delay=None)
    await owner.write(wait, closing=Park(wake_after=None))
