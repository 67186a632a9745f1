"""Limits: how they are set and how they stand, and which of them a task waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.limits import Limit, LimitRow
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject
from agentplat.store.address import Dialect
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.statements import SQLITE_CLOCK
from agentplat.store.tables import audit, limits, queue, starts, turns
from agentplat.store.transactions.prepared import dialect_of
from agentplat.store.transactions.rows import AnyRow

_EVERY_LIMIT = ""
"""The queue whose row in `turns` claims hold while they count."""

_each = limits.alias("l")
_WINDOW: Mapping[Dialect, str] = {
    "postgresql": "clock_timestamp() - make_interval(secs => l.seconds)",
    "sqlite": f"{SQLITE_CLOCK} - CAST(l.seconds * 1000000 AS INTEGER)",
}
"""Since when starts count."""


async def set_limit(transaction: Transaction, limit: Limit, actor: str) -> None:
    """What was set before for its tenant and key does not count any more."""
    await _hold(transaction)
    said = {"at_once": limit.at_once, "starts": limit.starts, "seconds": limit.seconds, "weight": limit.weight}
    running = await _running_now(transaction, limit)
    values = {**said, "running": running, "full_since": None, "opens_at": None, "declared_at": None}
    statement = _insert(transaction)(limits).values(tenant_id=limit.tenant, key=limit.key, **values)
    upsert = statement.on_conflict_do_update(index_elements=["tenant_id", "key"], set_=values)
    await transaction.connection.execute(upsert)
    content: JsonObject = {name: value for name, value in said.items() if value is not None}
    await _audit(transaction, limit.tenant, actor, "limit_set", {"key": limit.key, **content})


async def declare_limit(transaction: Transaction, limit: Limit) -> bool:
    """Whether it was another one before. What people have set stays."""
    mine = and_(limits.c.tenant_id == limit.tenant, limits.c.key == limit.key)
    row = (await transaction.connection.execute(select(limits.c.at_once, limits.c.declared_at).where(mine))).first()
    if row is not None and (row.declared_at is None or row.at_once == limit.at_once):
        again = update(limits).where(mine, limits.c.declared_at.is_not(None)).values(declared_at=clock())
        # Nothing, if it was forgotten meanwhile: then it is declared anew.
        if row.declared_at is None or (await transaction.connection.execute(again)).rowcount:
            return False
    await _hold(transaction)
    said = {"at_once": limit.at_once, "running": await _running_now(transaction, limit), "declared_at": clock()}
    statement = _insert(transaction)(limits).values(tenant_id=limit.tenant, key=limit.key, **said)
    kept = limits.c.declared_at.is_not(None)
    upsert = statement.on_conflict_do_update(index_elements=["tenant_id", "key"], set_=said, where=kept)
    await transaction.connection.execute(upsert)
    return True


async def remove_limit(transaction: Transaction, tenant: str, key: str, actor: str) -> bool:
    """False when there was none."""
    await _hold(transaction)
    mine = and_(limits.c.tenant_id == tenant, limits.c.key == key)
    removed = await transaction.connection.execute(delete(limits).where(mine))
    if not removed.rowcount:
        return transaction.again
    await transaction.connection.execute(delete(starts).where(starts.c.tenant_id == tenant, starts.c.key == key))
    await _audit(transaction, tenant, actor, "limit_removed", {"key": key})
    return True


async def read_limits(transaction: Transaction, tenant: str | None, key: str | None) -> Sequence[LimitRow]:
    """By tenant and key; those of one tenant, or one of them, where it is named."""
    statement = _standing(dialect_of(transaction)).order_by(_each.c.tenant_id, _each.c.key)
    for column, wanted in ((_each.c.tenant_id, tenant), (_each.c.key, key)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [_limit_row(row) for row in await transaction.connection.execute(statement)]


async def reasons(transaction: Transaction, task_ids: Sequence[TaskId]) -> Mapping[TaskId, str]:
    """Of these tasks, those that could be claimed if it were not for a limit, and which one that is."""
    under = and_(queue.c.tenant_id == _each.c.tenant_id, _each.c.key.in_([literal(""), queue.c.concurrency_key]))
    statement = _standing(dialect_of(transaction)).add_columns(queue.c.task_id).join(queue, under)
    statement = statement.where(queue.c.task_id.in_(task_ids), queue.c.ready, queue.c.run_at <= clock())
    found: dict[TaskId, str] = {}
    for row in await transaction.connection.execute(statement.order_by(_each.c.key)):
        reason = _reason(_limit_row(row))
        if reason is not None:
            found[TaskId(row.task_id)] = reason
    return found


def _reason(row: LimitRow) -> str | None:
    """Why this limit lets nothing through; None when it does."""
    limit = row.limit
    name = f"the limit `{limit.key}`" if limit.key else f"the limit of the tenant `{limit.tenant}`"
    if limit.at_once is not None and row.running >= limit.at_once:
        return f"waits for {name}: {row.running} of {limit.at_once} running"
    if limit.starts is not None and row.started >= limit.starts:
        return f"waits for {name}: {row.started} of {limit.starts} started within {limit.seconds:g} s"
    return None


def _standing(dialect: Dialect) -> Select[Any]:
    """Limits with what is used of them now."""
    recent = select(func.coalesce(func.sum(starts.c.number), 0)).where(
        starts.c.tenant_id == _each.c.tenant_id,
        starts.c.key == _each.c.key,
        starts.c.at > literal_column(_WINDOW[dialect]),
    )
    running = _running(_each.c.tenant_id, _each.c.key)
    return select(_each, running.label("now_running"), recent.scalar_subquery().label("started"))


async def _running_now(transaction: Transaction, limit: Limit) -> int:
    counted = select(_running(literal(limit.tenant), literal(limit.key)))
    running: int = (await transaction.connection.execute(counted)).scalar_one()
    return running


def _running(tenant: ColumnElement[str], key: ColumnElement[str]) -> ScalarSelect[int]:
    """How many live claims the limit counts."""
    live = queue.alias("live")
    counted = select(func.count()).select_from(live).where(live.c.worker_id.is_not(None), live.c.fence > 0)
    return counted.where(live.c.tenant_id == tenant, or_(key == "", live.c.concurrency_key == key)).scalar_subquery()


def _limit_row(row: AnyRow) -> LimitRow:
    limit = Limit(
        tenant=row.tenant_id,
        key=row.key,
        at_once=row.at_once,
        starts=row.starts,
        seconds=row.seconds,
        weight=row.weight,
    )
    return LimitRow(limit=limit, running=row.now_running, started=int(row.started), full_since=row.full_since)


async def _hold(transaction: Transaction) -> None:
    """So that no claim counts by a limit while it is changed. Before any row of `limits`, as everywhere."""
    values = {"queue": _EVERY_LIMIT, "tenant_id": "", "remaining": 0, "claim_id": uuid4()}
    statement = _insert(transaction)(turns).values(values)
    held = {"claim_id": values["claim_id"]}
    await transaction.connection.execute(statement.on_conflict_do_update(index_elements=["queue"], set_=held))


def _insert(transaction: Transaction) -> Any:
    return (postgresql if dialect_of(transaction) == "postgresql" else sqlite).insert


async def _audit(transaction: Transaction, tenant: str, actor: str, what: str, content: JsonObject) -> None:
    values = {"tenant_id": tenant, "at": clock(), "actor": actor, "action": what, "content": content}
    await transaction.connection.execute(insert(audit).values(values))
