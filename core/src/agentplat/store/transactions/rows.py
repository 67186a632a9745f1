"""Rows as the domain and the contract know them. A row that a newer version wrote is a clear error, never a guess."""

from __future__ import annotations

from typing import Any, TypeAlias

from agentplat.contracts.store import AuditRow, CallRow, Definition, InboxItem, TaskRow
from agentplat.contracts.stored.children import Parent
from agentplat.contracts.why import Serving
from agentplat.domain.errors import SchemaOutdated
from agentplat.domain.events import Recorded, decode
from agentplat.domain.failure import Failure
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.domain.usage import Usage

AnyRow: TypeAlias = Any
"""A row of SQLAlchemy's or of a script's: its columns are attributes."""
_UNREADABLE = (KeyError, TypeError, ValueError, ArithmeticError)


def task_row(row: AnyRow) -> TaskRow:
    """A row of `tasks` with its queue row and the end of its journal."""
    placement = row.placement or {}
    return TaskRow(
        id=TaskId(row.id),
        tenant=row.tenant_id,
        type=row.type,
        status=TaskState(row.shown),
        input=row.input,
        output=row.output,
        failure=None if row.failure is None else _failure(row),
        definition=row.definition,
        user_hash=row.user_hash,
        trace_id=row.trace_id,
        usage=usage_of(row),
        created_at=row.created_at,
        updated_at=row.updated_at,
        cancel_requested=row.cancel_requested_at is not None,
        reason=row.reason,
        queue=placement.get("queue", "default"),
        concurrency_key=placement.get("concurrency_key"),
        concurrency_limit=placement.get("concurrency_limit"),
        priority=placement.get("priority", 0),
        retry_of=None if row.retry_of is None else TaskId(row.retry_of),
        forked_from=None if row.forked_from is None else TaskId(row.forked_from),
        parent=None if row.parent_id is None else parent_of(row),
        fence=row.fence,
        worker_id=None if row.worker_id is None else WorkerId(row.worker_id),
        last_seq=row.last_seq,
    )


def parent_of(row: AnyRow) -> Parent:
    """The parent of a child, by its row of `tasks`."""
    try:
        return Parent(id=TaskId(row.parent_id), **row.dispatch)
    except TypeError as error:
        raise _from_the_future(f"the parent of task {row.id}") from error


def recorded(row: AnyRow) -> Recorded:
    """A row of `journal`."""
    try:
        event = decode(row.kind, row.content)
    except _UNREADABLE as error:
        raise _from_the_future(f"the event {row.kind!r} (number {row.seq} of task {row.task_id})") from error
    return Recorded(seq=row.seq, at=row.at, event=event)


def call_row(row: AnyRow) -> CallRow:
    """A row of `calls`."""
    return CallRow(
        path=row.path,
        try_number=row.try_number,
        number=row.number,
        kind=row.kind,
        name=row.name,
        status=row.status,
        content=row.content,
        usage=usage_of(row),
    )


def serving(row: AnyRow) -> Serving:
    """A row of `workers`."""
    return Serving(id=WorkerId(row.id), host=row.host, pid=row.pid, queues=tuple(row.queues or ()))


def inbox_item(row: AnyRow) -> InboxItem:
    """A row of `inbox`."""
    return InboxItem(
        id=row.id, task_id=TaskId(row.task_id), kind=row.kind, key=row.key, name=row.name, payload=row.payload
    )


def definition_row(row: AnyRow) -> Definition:
    """A row of `definitions`."""
    return Definition(hash=row.hash, name=row.name, version=row.version, document=row.document)


def audit_row(row: AnyRow) -> AuditRow:
    """A row of `audit`."""
    return AuditRow(
        at=row.at,
        tenant=row.tenant_id,
        actor=row.actor,
        action=row.action,
        task_id=None if row.task_id is None else TaskId(row.task_id),
        content=row.content,
    )


def usage_of(row: AnyRow) -> Usage:
    """The usage that a row of `tasks` or `calls` holds."""
    return Usage(model=row.model, input_tokens=row.input_tokens, output_tokens=row.output_tokens, cost=row.cost)


def _failure(row: AnyRow) -> Failure:
    try:
        return Failure.from_json(row.failure)
    except _UNREADABLE as error:
        raise _from_the_future(f"the failure of task {row.id}") from error


def _from_the_future(what: str) -> SchemaOutdated:
    return SchemaOutdated(
        f"The database holds {what}, which this version of agentplat does not know. A newer version wrote it: "
        "update this one."
    )
