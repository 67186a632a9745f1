"""The group commit: what many owners have to say at one moment, in one transaction.

First the queue rows of the whole batch are locked, by task id. Then it is judged which writes still have their lease
and fit the end of their journal; every later statement is about those only, so that a lost lease costs only its task.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.store import Committed, End, Keep, Lost, Park, Release, Write, WriteResult
from agentplat.domain.events import StepSucceeded, TaskClaimed, encode
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonValue
from agentplat.store.columns import clock, normalised
from agentplat.store.database import Transaction
from agentplat.store.tables import audit, calls, inbox, journal, queue, tasks
from agentplat.store.transactions.prepared import dialect_of, prepared
from agentplat.store.transactions.rows import AnyRow, usage_values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    """A write whose lease holds. `row` is its locked queue row, `at` the time of the transaction."""

    write: Write
    row: AnyRow
    at: datetime

    @property
    def task_id(self) -> TaskId:
        return self.write.lease.task_id

    @property
    def fence(self) -> int:
        """Under which it writes: its own, or the raised one of a write that takes an unowned row for itself."""
        return self.write.lease.fence + (1 if self.write.lease.worker_id is None else 0)


async def commit(transaction: Transaction, writes: Sequence[Write]) -> Sequence[WriteResult]:
    """One result per write, Committed or Lost. Values that the database refuses raise ValuesRefused for all of them."""
    task_ids = sorted(write.lease.task_id for write in writes)
    if len(set(task_ids)) < len(task_ids):
        raise ValueError("two writes about one task in one commit")
    rows = await transaction.connection.execute(prepared("lock_tasks", dialect_of(transaction)), {"task_ids": task_ids})
    locked = {row.task_id: row for row in rows}
    at, ends = await _once_held(transaction, task_ids)
    judged: list[_Accepted | WriteResult] = []
    for write in writes:
        row = locked.get(write.lease.task_id)
        fault = _fault(write, row, ends.get(write.lease.task_id, 0))
        if fault is None and row is not None:
            judged.append(_Accepted(write=write, row=row, at=at))
        else:
            judged.append(await _unacknowledged(transaction, write, row) or Lost(reason=fault or "no queue row"))
    accepted = [item for item in judged if isinstance(item, _Accepted)]
    if accepted:
        await _keep_all(transaction, accepted, at)
    return [Committed(at=at, wake=item.row.wake) if isinstance(item, _Accepted) else item for item in judged]


async def _once_held(transaction: Transaction, task_ids: Sequence[UUID]) -> tuple[datetime, dict[UUID, int]]:
    """The time of this transaction, and where each journal ends: read after the statement that waited for locks."""
    last = select(func.max(journal.c.seq)).where(journal.c.task_id == tasks.c.id).scalar_subquery()
    statement = select(tasks.c.id, last.label("last")).where(tasks.c.id.in_(task_ids))
    ends = {row.id: row.last for row in await transaction.connection.execute(statement)}
    at: datetime = (await transaction.connection.execute(select(clock()))).scalar_one()
    return at, ends


def _fault(write: Write, row: AnyRow | None, last: int) -> str | None:
    """Why `write` is refused; None when its lease holds and its events continue the journal."""
    lease = write.lease
    if row is None:
        return "the task is terminal or unknown"
    if row.fence != lease.fence:
        return f"the task has the fence {row.fence}, not {lease.fence}"
    if row.worker_id != lease.worker_id:
        return f"the task belongs to {row.worker_id or 'nobody'}, not to {lease.worker_id or 'nobody'}"
    if write.events and write.first_seq != last + 1:
        return f"the journal ends at {last}, the write begins at {write.first_seq}"
    return None


async def _unacknowledged(transaction: Transaction, write: Write, row: AnyRow | None) -> Committed | None:
    """The result of this very write if it was committed before, and only the acknowledgement was lost.

    A fence and a worker name one owner, so equal events are its own. Unowned writes of two administrators can be equal,
    so they count only when this transaction is a repetition.
    """
    unowned = write.lease.worker_id is None
    if not write.events or (unowned and not transaction.again):
        return None
    numbers = range(write.first_seq, write.first_seq + len(write.events))
    found = await transaction.connection.execute(
        select(journal)
        .where(journal.c.task_id == write.lease.task_id, journal.c.seq.in_(numbers))
        .order_by(journal.c.seq)
    )
    kept = [(each.seq, each.fence, each.kind, each.content, each.at) for each in found]
    fence = write.lease.fence + (1 if unowned else 0)
    meant = [(number, fence, *_normal_event(event)) for number, event in zip(numbers, write.events, strict=True)]
    if [each[:4] for each in kept] != meant:
        return None
    return Committed(at=kept[-1][4], wake=row is not None and row.wake)


def _normal_event(event: Any) -> tuple[str, JsonValue]:
    kind, content = encode(event)
    return kind, normalised(content)


async def _keep_all(transaction: Transaction, accepted: Sequence[_Accepted], at: datetime) -> None:
    ended = [item for item in accepted if isinstance(item.write.closing, End)]
    await _close(transaction, accepted, ended)
    await _touch_tasks(transaction, accepted, ended, at)
    events = [values for item in accepted for values in _event_values(item)]
    if events:
        await transaction.connection.execute(insert(journal), events)
    await _upsert_calls(transaction, accepted)
    await _empty_inboxes(transaction, accepted, ended)
    if ended:
        await transaction.connection.execute(insert(audit), [_audit_values(item) for item in ended])


# --- the queue row -----------------------------------------------------------------------------------------

_ROW = queue.c.task_id == bindparam("id")
_KEEP = (
    update(queue)
    .where(_ROW)
    .values({name: bindparam(f"new_{name}") for name in ("fence", "under_way", "suspect", "crashes")})
)
_GIVE_BACK = (
    update(queue)
    .where(_ROW)
    .values({name: bindparam(f"new_{name}") for name in ("fence", "suspect", "crashes", "ready", "run_at", "reason")})
    .values(worker_id=None, claim_id=None, under_way=False)
)


async def _close(transaction: Transaction, accepted: Sequence[_Accepted], ended: Sequence[_Accepted]) -> None:
    if ended:
        await transaction.connection.execute(delete(queue).where(queue.c.task_id.in_([item.task_id for item in ended])))
    kept = [values for item in accepted if isinstance(item.write.closing, Keep) for values in _kept_values(item)]
    if kept:
        await transaction.connection.execute(_KEEP, kept)
    given_back = [_given_back_values(item) for item in accepted if isinstance(item.write.closing, Park | Release)]
    if given_back:
        await transaction.connection.execute(_GIVE_BACK, given_back)


def _kept_values(item: _Accepted) -> Iterable[dict[str, Any]]:
    """At most one row of values: nothing for a row that stays as it is, which is most of them."""
    row = item.row
    under_way = item.write.under_way and item.write.lease.worker_id is not None
    suspect, crashes = _suspicion(item)
    if (item.fence, under_way, suspect, crashes) != (row.fence, row.under_way, row.suspect, row.crashes):
        yield {
            "id": item.task_id,
            "new_fence": item.fence,
            "new_under_way": under_way,
            "new_suspect": suspect,
            "new_crashes": crashes,
        }


def _given_back_values(item: _Accepted) -> dict[str, Any]:
    """`wake` stays as it is: only reading the inbox clears it, so that the next owner knows too."""
    suspect, crashes = _suspicion(item)
    ready, run_at, reason = _rest(item)
    return {
        "id": item.task_id,
        "new_fence": item.fence,
        "new_suspect": suspect,
        "new_crashes": crashes,
        "new_ready": ready,
        "new_run_at": run_at,
        "new_reason": reason,
    }


def _rest(item: _Accepted) -> tuple[bool, datetime | None, str | None]:
    """Whether it is claimable, from when on or by which timer, and why it was handed back. A wake-up hurries it."""
    match item.write.closing:
        case Park() if item.row.wake:
            return True, item.at, None
        case Park(wake_after=None):
            return False, None, None
        case Park(wake_after=float() | int() as seconds):
            return False, item.at + timedelta(seconds=seconds), None
        case Release(delay=delay, reason=reason):
            return True, item.at if item.row.wake else item.at + timedelta(seconds=delay), reason
        case closing:
            raise TypeError(f"{closing} gives nothing back")


def _suspicion(item: _Accepted) -> tuple[bool, int]:
    """A step that succeeded clears the task of what its earlier steps are suspected of."""
    if any(isinstance(event, StepSucceeded) for event in item.write.events):
        return False, 0
    return item.row.suspect, item.row.crashes


# --- everything else ---------------------------------------------------------------------------------------

_TASK = tasks.c.id == bindparam("task")
_SPEND = (
    update(tasks)
    .where(_TASK)
    .values(
        {name: bindparam(f"new_{name}") for name in ("model", "input_tokens", "output_tokens", "cost", "updated_at")}
    )
)
_END = (
    update(tasks)
    .where(_TASK)
    .values({name: bindparam(f"new_{name}") for name in ("status", "output", "failure", "updated_at", "finished_at")})
)


_TAKE = delete(inbox).where(inbox.c.task_id == bindparam("task"), inbox.c.id == bindparam("taken"))


async def _touch_tasks(
    transaction: Transaction, accepted: Sequence[_Accepted], ended: Sequence[_Accepted], at: datetime
) -> None:
    spent = [_spent_values(item) for item in accepted if item.write.usage is not None]
    if spent:
        await transaction.connection.execute(_SPEND, spent)
    if ended:
        await transaction.connection.execute(_END, [_ended_values(item) for item in ended])
    touched = [item.task_id for item in accepted if item.write.usage is None and _is_seen(item.write)]
    if touched:
        await transaction.connection.execute(update(tasks).where(tasks.c.id.in_(touched)).values(updated_at=at))


def _is_seen(write: Write) -> bool:
    """Whether watchers of the task should look again. An end touches the row anyway."""
    claimed = any(isinstance(event, TaskClaimed) for event in write.events)
    return claimed or isinstance(write.closing, Park | Release)


def _spent_values(item: _Accepted) -> dict[str, Any]:
    assert item.write.usage is not None
    values = {**usage_values(item.write.usage), "updated_at": item.at}
    return {"task": item.task_id, **{f"new_{name}": value for name, value in values.items()}}


def _ended_values(item: _Accepted) -> dict[str, Any]:
    closing = item.write.closing
    assert isinstance(closing, End)
    return {
        "task": item.task_id,
        "new_status": closing.status.value,
        "new_output": closing.output,
        "new_failure": None if closing.failure is None else closing.failure.to_json(),
        "new_updated_at": item.at,
        "new_finished_at": item.at,
    }


def _event_values(item: _Accepted) -> Iterable[dict[str, Any]]:
    for seq, event in enumerate(item.write.events, item.write.first_seq):
        kind, content = encode(event)
        yield {
            "task_id": item.task_id,
            "seq": seq,
            "tenant_id": item.row.tenant_id,
            "fence": item.fence,
            "at": item.at,
            "kind": kind,
            "content": content,
        }


async def _upsert_calls(transaction: Transaction, accepted: Sequence[_Accepted]) -> None:
    values = [row for item in accepted for row in _call_values(item)]
    if not values:
        return
    dialect = postgresql if dialect_of(transaction) == "postgresql" else sqlite
    statement = dialect.insert(calls)
    key = [column.name for column in calls.primary_key]
    rest = {column.name: statement.excluded[column.name] for column in calls.columns if column.name not in key}
    await transaction.connection.execute(statement.on_conflict_do_update(index_elements=key, set_=rest), values)


def _call_values(item: _Accepted) -> Iterable[dict[str, Any]]:
    for call in item.write.calls:
        yield {
            "task_id": item.task_id,
            "path": call.path,
            "try_number": call.try_number,
            "number": call.number,
            "tenant_id": item.row.tenant_id,
            "kind": call.kind,
            "name": call.name,
            "status": call.status,
            "content": call.content,
            "fence": item.fence,
            "at": item.at,
            **usage_values(call.usage),
        }


async def _empty_inboxes(transaction: Transaction, accepted: Sequence[_Accepted], ended: Sequence[_Accepted]) -> None:
    if ended:
        await transaction.connection.execute(delete(inbox).where(inbox.c.task_id.in_([item.task_id for item in ended])))
    taken = [{"task": item.task_id, "taken": taken} for item in accepted for taken in item.write.taken]
    if taken:
        await transaction.connection.execute(_TAKE, taken)


def _audit_values(item: _Accepted) -> dict[str, Any]:
    closing = item.write.closing
    assert isinstance(closing, End)
    code = None if closing.failure is None else closing.failure.code.value
    return {
        "tenant_id": item.row.tenant_id,
        "at": item.at,
        "actor": closing.actor,
        "action": f"task_{closing.status.value}",
        "task_id": item.task_id,
        "content": {"fence": item.fence, "failure": code},
    }
