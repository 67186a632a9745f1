"""Tasks, workers and writes as the tests need them."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from uuid_utils.compat import uuid7

from agentplat.contracts.store import Claim, Closing, Committed, End, InboxItem, Keep, NewTask, Store, WorkerRow, Write
from agentplat.domain.events import (
    BlockStarted,
    Event,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import ExecutionId, StepPath, TaskId, WorkerId
from agentplat.domain.task import Lease, TaskState

STEP = StepPath().child("step", 1)
FAILURE = Failure(code=FailureCode.POISONED, message="It killed its workers.")
EXPIRED = -1.0
"""A lease of so many seconds has ended when it begins: nobody has to wait for that."""


def new_task(**values: Any) -> NewTask:
    given: dict[str, Any] = {
        "id": TaskId(uuid7()),
        "tenant": "north",
        "type": "agent:writer",
        "input": {"topic": "tea"},
    }
    return NewTask(**{**given, "trace_id": "0" * 32, **values})


def new_worker() -> WorkerRow:
    return WorkerRow(id=WorkerId(uuid4()), host="here", pid=1, version="0.1.0", capacity=4, plugins={})


async def working(store: Store, lease_seconds: float = 60.0) -> WorkerId:
    """A registered worker."""
    worker = new_worker()
    await store.register_worker(worker, lease_seconds)
    return worker.id


async def submitted(store: Store, **values: Any) -> TaskId:
    task = new_task(**values)
    await store.submit([task])
    return task.id


async def claimed(store: Store, worker_id: WorkerId | None = None, **values: Any) -> Claim:
    """A new task, claimed by a worker that has said so: the journal ends at 2."""
    task_id = await submitted(store, **values)
    worker_id = worker_id or await working(store)
    [claim] = await store.claim(worker_id, 1)
    assert claim.lease.task_id == task_id
    await committed(store, claim.lease, 2, TaskClaimed(fence=claim.lease.fence, worker=str(worker_id)))
    return claim


async def committed(store: Store, lease: Lease, first_seq: int, *events: Event, **values: Any) -> Committed:
    [result] = await store.commit([writing(lease, first_seq, *events, **values)])
    assert isinstance(result, Committed), result
    return result


def writing(lease: Lease, first_seq: int, *events: Event, closing: Closing | None = None, **values: Any) -> Write:
    known = {"tenant": "north", **values}
    return Write(lease=lease, first_seq=first_seq, events=events, closing=closing or Keep(), **known)


def ending(lease: Lease, first_seq: int, status: TaskState = TaskState.DONE, **values: Any) -> Write:
    """The write that ends a task."""
    output = {"text": "done"} if status is TaskState.DONE else None
    failure = FAILURE if status is TaskState.ERROR else None
    finished = TaskFinished(status=status.value, output=output, failure=failure)
    closing = End(status=status, output=output, failure=failure)
    return writing(lease, first_seq, finished, closing=closing, **values)


def signal(task_id: TaskId, key: str = "once", **values: Any) -> InboxItem:
    given = {"id": uuid7(), "task_id": task_id, "kind": "signal", "key": key, "name": "go", "payload": None}
    return InboxItem(**{**given, **values})


def cancel(task_id: TaskId) -> InboxItem:
    return signal(task_id, "cancel", kind="cancel", name="", payload="on request")


def started(attempt: int = 1) -> StepStarted:
    return StepStarted(path=STEP, execution_id=ExecutionId(uuid7()), attempt=attempt, try_number=1, input=None)


def succeeded(attempt: int = 1, output: Any = None) -> StepSucceeded:
    return StepSucceeded(path=STEP, attempt=attempt, output=output)


def block(input: Any = None) -> BlockStarted:
    """An event that says as much as one likes."""
    return BlockStarted(path=STEP, input=input)


async def kinds(store: Store, task_id: TaskId) -> Sequence[str]:
    return [type(recorded.event).__name__ for recorded in await store.journal(task_id)]
