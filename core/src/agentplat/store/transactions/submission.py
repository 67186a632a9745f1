"""Accepting tasks: definitions, idempotency keys, tasks, queue rows, first events and audit rows, all or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.store import Definition, NewTask, Submitted
from agentplat.domain.errors import IdempotencyMismatch, NotFound
from agentplat.domain.events import TaskSubmitted, encode
from agentplat.domain.ids import TaskId
from agentplat.domain.json import dumps
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.script import Bound, Round, Script, bound, for_each
from agentplat.store.tables import definitions, submissions
from agentplat.store.transactions.prepared import dialect_of
from agentplat.store.transactions.rows import definition_row

_Key = tuple[str, str]


def submit(
    new: Sequence[NewTask], documents: Sequence[Definition], again: bool, *, far: bool
) -> Script[Sequence[Submitted]]:
    """One result per task: all inserted, or known by their idempotency keys. Raises IdempotencyMismatch.

    `again`: an earlier attempt broke off, and may have been committed unnoticed. The ids are ours alone. `far`: a round
    is a way to a server and back, which a task of its own can do without: the time of the transaction stands for it.
    """
    keyed = {(task.tenant, task.idempotency_key): task for task in reversed(new) if task.idempotency_key is not None}
    kept = for_each("insert_definitions", _DEFINITION, _definition_rows(new, documents))
    first: dict[_Key, tuple[Any, Any]] = {}
    inserted: Collection[Any] = ()
    at: datetime | None = None
    if keyed or again or len(new) > 1 or not far:
        rows = [(tenant, key, task.fingerprint, task.id) for (tenant, key), task in sorted(keyed.items())]
        asked = bound("known_submissions", tenants=[row[0] for row in rows], keys=[row[1] for row in rows])
        taking = for_each("insert_submissions", "tenant_id key fingerprint task_id", rows)
        there_already = bound("known_tasks", task_ids=[task.id for task in new] if again else [])
        *_, known, there, [clock] = yield Round([*taking, asked, there_already, bound("clock")])
        at = clock.now
        first = {(row.tenant_id, row.key): (row.task_id, row.fingerprint) for row in known}
        inserted = {row.id for row in there}
    results = [_result(task, first) for task in new]
    created = [task for task, result in zip(new, results, strict=True) if result.created and task.id not in inserted]
    *_, [begun] = yield Round([*kept, *_inserted(created, at), bound("moment")], last=True)
    made = {task.id for task in created}
    return [replace(each, at=at or begun.now) if each.task_id in made else each for each in results]


async def repeated(transaction: Transaction, task: NewTask) -> Submitted | None:
    """The first task of its key and fingerprint; None when there is none, or another body had the key."""
    known = (submissions.c.tenant_id == task.tenant, submissions.c.key == task.idempotency_key)
    statement = select(submissions.c.task_id).where(*known, submissions.c.fingerprint == task.fingerprint)
    task_id = (await transaction.connection.execute(statement)).scalar()
    return None if task_id is None else Submitted(task_id=TaskId(task_id), created=False)


async def definition(transaction: Transaction, hash: str) -> Definition:
    """The definition. Raises NotFound."""
    statement = select(definitions).where(definitions.c.hash == hash).limit(1)
    row = (await transaction.connection.execute(statement)).first()
    if row is None:
        raise NotFound(f"There is no workflow definition {hash!r}.")
    return definition_row(row)


async def define(transaction: Transaction, definition: Definition, tenant: str) -> None:
    """Keep the definition for the tenant, unless it is there."""
    values = {
        "hash": definition.hash,
        "tenant_id": tenant,
        "name": definition.name,
        "version": definition.version,
        "document": definition.document,
        "created_at": clock(),
    }
    dialect = postgresql if dialect_of(transaction) == "postgresql" else sqlite
    await transaction.connection.execute(dialect.insert(definitions).values(**values).on_conflict_do_nothing())


async def definitions_of(transaction: Transaction, type: str, limit: int) -> Sequence[tuple[Definition, datetime]]:
    """The newest first, each once, whichever tenants keep it."""
    statement = select(definitions).where(definitions.c.name == type.partition(":")[2])
    rows = await transaction.connection.execute(statement.order_by(definitions.c.created_at))
    first: dict[str, tuple[Definition, datetime]] = {}
    for row in rows:
        if row.document.get("type") == type:
            first.setdefault(row.hash, (definition_row(row), row.created_at))
    return list(reversed(first.values()))[:limit]


def _definition_rows(new: Sequence[NewTask], documents: Sequence[Definition]) -> list[tuple[Any, ...]]:
    tenants = sorted({task.tenant for task in new})
    ordered = sorted(documents, key=lambda document: document.hash)
    return [_definition_row(document, tenant) for document in ordered for tenant in tenants]


def _definition_row(document: Definition, tenant: str) -> tuple[Any, ...]:
    return document.hash, tenant, document.name, document.version, dumps(document.document)


def _result(task: NewTask, first: dict[_Key, tuple[Any, Any]]) -> Submitted:
    if task.idempotency_key is None:
        return Submitted(task_id=task.id, created=True)
    task_id, fingerprint = first[task.tenant, task.idempotency_key]
    if fingerprint != task.fingerprint:
        raise IdempotencyMismatch(task.idempotency_key)
    return Submitted(task_id=TaskId(task_id), created=task_id == task.id)


def _inserted(new: Sequence[NewTask], at: datetime | None) -> Iterable[Bound]:
    inputs = [dumps(task.input) for task in new]
    rows = [_task_row(task, text) for task, text in zip(new, inputs, strict=True)]
    yield from for_each("insert_tasks", _TASK, rows, at=at)
    yield from for_each("enter_queue", _PENDING, [_queue_row(task) for task in new], at=at)
    events = [row for task, text in zip(new, inputs, strict=True) for row in _event_rows(task, text)]
    yield from for_each("append_journal", "task_id seq tenant_id fence kind content", events, at=at)
    yield from for_each("audit_tasks", "tenant_id actor action task_id content", acts(new), at=at)


def children_inserted(
    new: Sequence[NewTask], documents: Mapping[_Key, Definition], at: datetime | None
) -> Iterable[Bound]:
    """Those statements for tasks that are steps of others: documents by hash and tenant, tasks and queue rows.

    Their events and acts go with those of their parents.
    """
    kept = [_definition_row(documents[key], key[1]) for key in sorted(documents)]
    yield from for_each("insert_definitions", _DEFINITION, kept)
    yield from for_each("insert_children", _CHILD, [_child_row(task) for task in new], at=at)
    yield from for_each("enter_queue", _PENDING, [_queue_row(task) for task in new], at=at)


def first_events(new: Sequence[NewTask]) -> list[tuple[Any, ...]]:
    """The rows of their journals."""
    return [row for task in new for row in _event_rows(task, dumps(task.input))]


def acts(new: Sequence[NewTask]) -> list[tuple[Any, ...]]:
    """The audit rows of their submission."""
    return [(task.tenant, task.actor, "task_submitted", task.id, f'{{"type":{dumps(task.type)}}}') for task in new]


_DEFINITION = "hash tenant_id name version document"
_CHILD = "task_id tenant_id type input definition user_hash trace_id parent_span placement parent_id dispatch"
_TASK = "task_id tenant_id type input definition user_hash trace_id parent_span retry_of forked_from placement"
_PENDING = "task_id tenant_id queue concurrency_key priority delay run_at"
_NOWHERE_ELSE = {"queue": "default", "concurrency_key": None, "concurrency_limit": None, "priority": 0}
_SUBMITTED, _ = encode(TaskSubmitted(type="", input={}))


def _task_row(task: NewTask, text: str) -> tuple[Any, ...]:
    about = (task.definition, task.user_hash, task.trace_id, task.parent_span, task.retry_of, task.forked_from)
    return task.id, task.tenant, task.type, text, *about, _placement(task)


def _child_row(task: NewTask) -> tuple[Any, ...]:
    assert task.parent is not None
    dispatch = {name: value for name, value in asdict(task.parent).items() if name != "id"}
    about = (task.definition, task.user_hash, task.trace_id, task.parent_span, _placement(task))
    return task.id, task.tenant, task.type, dumps(task.input), *about, task.parent.id, dumps(dispatch)


def _placement(task: NewTask) -> str | None:
    """Where it was put, for who submits it once more; None where nothing was said."""
    placement = {name: said for name, usual in _NOWHERE_ELSE.items() if (said := getattr(task, name)) != usual}
    return dumps(placement) if placement else None


def _queue_row(task: NewTask) -> tuple[Any, ...]:
    return task.id, task.tenant, task.queue, task.concurrency_key or "", task.priority, task.delay, task.run_at


def _event_rows(task: NewTask, text: str) -> Iterable[tuple[Any, ...]]:
    """The first event as `encode` and `dumps` would write it, around the text of the input, which is there already."""
    yield task.id, 1, task.tenant, 0, _SUBMITTED, f'{{"type":{dumps(task.type)},"input":{text}}}'
    for seq, event in enumerate(task.history, 2):
        kind, content = encode(event)
        yield task.id, seq, task.tenant, 0, kind, dumps(content)
