"""Accepting tasks: definitions, idempotency keys, tasks, queue rows, first events and audit rows, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.store import Definition, NewTask, Submitted
from agentplat.domain.errors import IdempotencyMismatch, NotFound
from agentplat.domain.events import TaskSubmitted, encode
from agentplat.domain.ids import TaskId
from agentplat.domain.usage import NO_USAGE
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.tables import audit, definitions, journal, queue, submissions, tasks
from agentplat.store.transactions.prepared import dialect_of
from agentplat.store.transactions.rows import definition_row, usage_values

_Key = tuple[str, str]


async def submit(
    transaction: Transaction, new: Sequence[NewTask], documents: Sequence[Definition]
) -> Sequence[Submitted]:
    """One result per task: all inserted, or known by their idempotency keys. Raises IdempotencyMismatch."""
    at: datetime = (await transaction.connection.execute(select(clock()))).scalar_one()
    await _insert_definitions(transaction, new, documents, at)
    first = await _first_by_key(transaction, new, at)
    inserted = await _already_inserted(transaction, new) if transaction.again else frozenset()
    results = [_result(task, first) for task in new]
    created = [task for task, result in zip(new, results, strict=True) if result.created and task.id not in inserted]
    if created:
        await _insert_tasks(transaction, created, at)
    return results


async def definition(transaction: Transaction, hash: str) -> Definition:
    """The definition. Raises NotFound."""
    statement = select(definitions).where(definitions.c.hash == hash).limit(1)
    row = (await transaction.connection.execute(statement)).first()
    if row is None:
        raise NotFound(f"There is no workflow definition {hash!r}.")
    return definition_row(row)


async def _insert_definitions(
    transaction: Transaction, new: Sequence[NewTask], documents: Sequence[Definition], at: datetime
) -> None:
    tenants = sorted({task.tenant for task in new})
    values = [
        {
            "hash": document.hash,
            "tenant_id": tenant,
            "name": document.name,
            "version": document.version,
            "document": document.document,
            "created_at": at,
        }
        for document in sorted(documents, key=lambda document: document.hash)
        for tenant in tenants
    ]
    await _insert_missing(transaction, definitions, values)


async def _first_by_key(transaction: Transaction, new: Sequence[NewTask], at: datetime) -> dict[_Key, tuple[Any, Any]]:
    """Which task each idempotency key stands for, and the fingerprint of its body.

    The unique index decides between concurrent duplicates: the later one waits for the first to commit, inserts nothing
    and then reads what the first wrote. In the order of the keys, so that two batches never wait for each other.
    """
    keyed = {(task.tenant, task.idempotency_key): task for task in reversed(new) if task.idempotency_key is not None}
    if not keyed:
        return {}
    values = [
        {
            "tenant_id": tenant,
            "key": key,
            "fingerprint": task.fingerprint,
            "task_id": task.id,
            "created_at": at,
        }
        for (tenant, key), task in sorted(keyed.items())
    ]
    await _insert_missing(transaction, submissions, values)
    known = select(submissions).where(tuple_(submissions.c.tenant_id, submissions.c.key).in_(sorted(keyed)))
    rows = (await transaction.connection.execute(known)).all()
    return {(row.tenant_id, row.key): (row.task_id, row.fingerprint) for row in rows}


async def _insert_missing(transaction: Transaction, table: Table, values: Sequence[dict[str, Any]]) -> None:
    if not values:
        return
    dialect = postgresql if dialect_of(transaction) == "postgresql" else sqlite
    await transaction.connection.execute(dialect.insert(table).on_conflict_do_nothing(), values)


async def _already_inserted(transaction: Transaction, new: Sequence[NewTask]) -> frozenset[TaskId]:
    """What an earlier attempt committed without our hearing of it: the ids are ours alone."""
    statement = select(tasks.c.id).where(tasks.c.id.in_([task.id for task in new]))
    return frozenset((await transaction.connection.execute(statement)).scalars())


def _result(task: NewTask, first: dict[_Key, tuple[Any, Any]]) -> Submitted:
    if task.idempotency_key is None:
        return Submitted(task_id=task.id, created=True)
    task_id, fingerprint = first[task.tenant, task.idempotency_key]
    if fingerprint != task.fingerprint:
        raise IdempotencyMismatch(task.idempotency_key)
    return Submitted(task_id=TaskId(task_id), created=task_id == task.id)


async def _insert_tasks(transaction: Transaction, new: Sequence[NewTask], at: datetime) -> None:
    execute = transaction.connection.execute
    await execute(insert(tasks), [_task_values(task, at) for task in new])
    await execute(insert(queue), [_queue_values(task, at) for task in new])
    await execute(insert(journal), [_event_values(task, at) for task in new])
    await execute(insert(audit), [_audit_values(task, at) for task in new])


def _task_values(task: NewTask, at: datetime) -> dict[str, Any]:
    return {
        "id": task.id,
        "tenant_id": task.tenant,
        "type": task.type,
        "status": "open",
        "input": task.input,
        "definition": task.definition,
        "user_hash": task.user_hash,
        "trace_id": task.trace_id,
        "parent_span": task.parent_span,
        "retry_of": task.retry_of,
        "created_at": at,
        "updated_at": at,
        **usage_values(NO_USAGE),
    }


def _queue_values(task: NewTask, at: datetime) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "tenant_id": task.tenant,
        "queue": task.queue,
        "priority": task.priority,
        "run_at": at + timedelta(seconds=task.delay),
        "ready": True,
        "wake": False,
        "fence": 0,
        "under_way": False,
        "suspect": False,
        "crashes": 0,
    }


def _event_values(task: NewTask, at: datetime) -> dict[str, Any]:
    kind, content = encode(TaskSubmitted(type=task.type, input=task.input))
    return {
        "task_id": task.id,
        "seq": 1,
        "tenant_id": task.tenant,
        "fence": 0,
        "at": at,
        "kind": kind,
        "content": content,
    }


def _audit_values(task: NewTask, at: datetime) -> dict[str, Any]:
    return {
        "tenant_id": task.tenant,
        "at": at,
        "actor": task.actor,
        "action": "task_submitted",
        "task_id": task.id,
        "content": {"type": task.type},
    }
