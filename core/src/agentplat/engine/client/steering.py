"""What others do to a task: signal, cancel, poison, and the administrator's hand.

Whoever is not the owner either tells the owner through the inbox, or takes a row that nobody owns: the write then
carries the fence that was read, and is refused when somebody was quicker.
"""

from __future__ import annotations

from functools import partial, reduce
from uuid import UUID

from uuid_utils.compat import uuid7

from agentplat import telemetry
from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Committed, End, InboxItem, Lost, Rejected, Store, TaskRow, Write
from agentplat.domain.errors import ConflictError, IllegalTransition, InputRejected, NotFound
from agentplat.domain.events import CancelRequested, Event, TaskClaimed, TaskFinished
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject, JsonValue, unstorable
from agentplat.domain.state import State, evolve
from agentplat.domain.task import Lease, TaskState, TaskTrigger, transition
from agentplat.engine.catalog import Catalog
from agentplat.engine.client.submission import value_fault
from agentplat.engine.definitions import Definitions
from agentplat.engine.history import fold, plan
from agentplat.engine.journal import patiently
from agentplat.engine.rules import CatalogRules
from agentplat.language.expressions import ExpressionEngine

_RACES = 10
MAX_CRASHES = 3
_TRIGGERS = {
    TaskState.DONE: TaskTrigger.SUCCEEDED,
    TaskState.ERROR: TaskTrigger.FAILED,
    TaskState.CANCELLED: TaskTrigger.CANCELLED,
}


async def signal(task_id: TaskId, name: str, payload: JsonValue, key: str, *, store: Store) -> bool:
    """Put a signal into the task's inbox; False when one of this key came before.

    NotFound for an unknown id, InboxFull for one that has not read many others, ConflictError for one that has ended.
    """
    wrong = [
        (pointer, "is empty" if not text else "is longer than 255 characters")
        for pointer, text in (("/name", name), ("/key", key))
        if not 1 <= len(text) <= 255
    ]
    if name.startswith("@"):  # which stands for answers to approvals
        wrong.append(("/name", "begins with @, and names of signals are words"))
    faults = (unstorable(name, "/name"), unstorable(key, "/key"), value_fault(payload, "/payload"))
    wrong += [fault for fault in faults if fault is not None]
    if wrong:
        raise InputRejected("The signal", wrong)
    item = InboxItem(id=uuid7(), task_id=task_id, kind="signal", key=f"signal:{key}", name=name, payload=payload)
    return await store.tell(item)


async def cancel(task_id: TaskId, reason: str, *, store: Store, definitions: Definitions, catalog: Catalog) -> None:
    """Cancel the task: at once when nobody owns it, through its owner otherwise.

    NotFound for an unknown id, IllegalTransition for a task that has ended.
    """
    rules = CatalogRules(catalog, ExpressionEngine())
    for _ in range(_RACES):
        row = await store.task(task_id)
        if row.status.is_terminal:
            raise IllegalTransition(row.status.value, TaskTrigger.CANCELLED.value)
        if row.worker_id is not None:
            if await _tell(task_id, reason, store):
                return
            continue
        pinned = await definitions.pinned(row.type, row.definition)
        before = fold(pinned.workflow, await store.journal(task_id), row.id, row.tenant)
        facts: list[Event] = [CancelRequested(reason=reason)]
        if before.is_under_way:
            # Its worker died with a step under way. Who takes the row owns it for the moment, and interrupts that.
            assert row.fence is not None
            facts.insert(0, TaskClaimed(fence=row.fence + 1, worker="nobody"))
        state, events, _ = plan(reduce(evolve, facts, before), rules)
        if state.finished is None:
            # Something has to be done before the end, which takes a worker.
            if await _tell(task_id, reason, store):
                return
            continue
        if await _take(store, row, before, state, [*facts, *events]):
            return
    raise ConflictError(f"Task {task_id} changed hands {_RACES} times while it was being cancelled. Try again.")


async def recall(child: TaskId, reason: str, *, store: Store, definitions: Definitions, catalog: Catalog) -> None:
    """Let a child end that its parent needs no more. One that is over has told its parent."""
    cancelling = partial(cancel, child, reason, store=store, definitions=definitions, catalog=catalog)
    while True:
        try:
            return await patiently(cancelling)
        except (IllegalTransition, NotFound):
            return None
        except ConflictError:  # it changed hands all the time
            continue
        except Exception:  # noqa: BLE001  # what it is pinned to may be of a version that only others can read
            telemetry.log.exception(telemetry.TASK_BROKE, task_id=str(child))
            await patiently(partial(_tell, child, reason, store))
            return None


async def _tell(task_id: TaskId, reason: str, store: Store) -> bool:
    """Whether the inbox took it: not when the task ended meanwhile, and the next look says how."""
    item = InboxItem(id=uuid7(), task_id=task_id, kind="cancel", key="cancel", name="", payload=reason)
    try:
        await store.tell(item)
    except ConflictError:
        return False
    return True


async def _take(store: Store, row: TaskRow, before: State, state: State, events: list[Event]) -> bool:
    """Whether the end was written: False when somebody claimed the task meanwhile."""
    assert row.fence is not None
    assert state.finished is not None
    finished = state.finished
    write = Write(
        lease=Lease(row.id, row.fence, None),
        first_seq=before.seq + 1,
        events=events,
        closing=End(
            status=TaskState(finished.status), output=finished.output, failure=finished.failure, actor="cancel"
        ),
    )
    [result] = await store.commit([write])
    return isinstance(result, Committed)


async def administer(
    task_id: TaskId, status: TaskState, output: JsonObject | None, error: str | None, *, store: Store
) -> None:
    """End a task by hand. Its owner, if it has one, loses it.

    NotFound for an unknown id; IllegalTransition when the task's state, or the state asked for, does not allow it.
    """
    for _ in range(_RACES):
        row = await store.task(task_id)
        trigger = _TRIGGERS.get(status)
        if trigger is None:
            raise IllegalTransition(row.status.value, f"made {status.value} by hand")
        transition(row.status, trigger)
        failure = None
        if status is not TaskState.DONE:
            code = FailureCode.CANCELLED if status is TaskState.CANCELLED else FailureCode.AGENT_FAILED
            failure = Failure(code=code, message=error or f"Set to {status.value} by an administrator.")
        if await end_from_outside(store, row, status, output, failure, actor="admin"):
            return
    raise ConflictError(f"Task {task_id} changed hands {_RACES} times meanwhile. Try again.")


async def end_from_outside(
    store: Store, row: TaskRow, status: TaskState, output: JsonObject | None, failure: Failure | None, *, actor: str
) -> bool:
    """Write the task's end under the lease that its row shows; False when that lease is no longer current.

    InputRejected when the database refuses the values.
    """
    assert row.fence is not None
    write = Write(
        lease=Lease(row.id, row.fence, row.worker_id),
        first_seq=row.last_seq + 1,
        events=[TaskFinished(status=status.value, output=output, failure=failure)],
        closing=End(status=status, output=output, failure=failure, actor=actor),
    )
    [result] = await store.commit([write])
    if isinstance(result, Rejected):
        raise InputRejected("The end of the task", [("", result.reason)])
    if isinstance(result, Lost):
        return False
    await recall_children(store, row.id)
    return True


async def recall_children(store: Store, task_id: TaskId) -> None:
    """Tell the children of a task that has ended without them. One that is over needs it no more."""
    before: UUID | None = None
    while page := await store.tasks(TaskFilter(parent=task_id, before=before)):
        for child in page:
            if not child.status.is_terminal:
                await _tell(child.id, f"the task {task_id}, of which it is a step, is over", store)
        before = page[-1].id


async def end_poisoned(store: Store, lease: Lease) -> bool:
    """End a task that killed its worker too often; False when it was claimed or ended meanwhile."""
    row = await store.task(lease.task_id)
    if row.fence != lease.fence or row.worker_id is not None:
        return False
    evidence: dict[str, JsonValue] = {"crashes": MAX_CRASHES, "last_event": row.last_seq}
    message = (
        f"{MAX_CRASHES} workers died while they ran a step of this task alone. Look at its journal for the step, "
        f"mend the agent or tool, and retry the task."
    )
    failure = Failure(code=FailureCode.POISONED, message=message, details=evidence)
    return await end_from_outside(store, row, TaskState.ERROR, None, failure, actor="sweeper")
