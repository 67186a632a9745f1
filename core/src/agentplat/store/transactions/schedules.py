"""Schedules: what is set, and how one is moved on from a due time together with the submission of its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.firing import Firing, ScheduleRow
from agentplat.contracts.schedules import CatchUp, Schedule, ScheduleFault, ScheduleSource
from agentplat.contracts.store import Submitted
from agentplat.domain.json import JsonObject, JsonValue, dumps
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.script import Round, Script, bound
from agentplat.store.tables import audit, schedules, submissions
from agentplat.store.transactions.prepared import dialect_of
from agentplat.store.transactions.rows import AnyRow
from agentplat.store.transactions.submission import submit


def fire(firing: Firing, again: bool, *, far: bool) -> Script[Sequence[Submitted] | None]:
    """What was submitted; None when it was not ours to fire. See `sql/take_schedule.sql`."""
    row, fault = firing.row, firing.fault
    taking = bound(
        "take_schedule",
        tenant=row.schedule.tenant,
        schedule=row.schedule.name,
        revision=row.revision,
        seen=row.next_at,
        next_at=firing.next_at,
        last_at=firing.last_at,
        fault=dumps({"code": fault.code, "detail": fault.detail, "at": fault.at.isoformat()}) if fault else None,
    )
    [taken] = yield Round([taking])
    if taken and firing.tasks:
        return (yield from submit(firing.tasks, firing.definitions, again, far=far))
    yield Round([bound("clock")], last=True)
    return () if taken else None


async def read_schedules(transaction: Transaction, tenant: str | None, name: str | None) -> Sequence[ScheduleRow]:
    """By tenant and name."""
    wanted = [column == value for column, value in zip(_KEY, (tenant, name), strict=True) if value is not None]
    statement = select(schedules, clock().label("now")).where(*wanted).order_by(*_KEY)
    return [_row(row) for row in await transaction.connection.execute(statement)]


async def due_schedules(transaction: Transaction, limit: int) -> Sequence[ScheduleRow]:
    """Those whose time has come, the one that waits longest first."""
    due = and_(~schedules.c.paused, schedules.c.next_at <= clock())
    statement = select(schedules, clock().label("now")).where(due).order_by(schedules.c.next_at).limit(limit)
    return [_row(row) for row in await transaction.connection.execute(statement)]


async def put_schedule(
    transaction: Transaction,
    schedule: Schedule,
    source: ScheduleSource,
    next_at: datetime,
    user_hash: str | None,
    actor: str,
) -> bool:
    """False when what is there is of another source."""
    said: dict[str, JsonValue] = {
        "target": schedule.target,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "catch_up": schedule.catch_up,
        "catch_up_limit": schedule.catch_up_limit,
    }
    values = {**said, "input": schedule.input, "user_hash": user_hash, "updated_at": clock()}
    dialect = postgresql if dialect_of(transaction) == "postgresql" else sqlite
    statement: Any = dialect.insert(schedules).values(
        tenant_id=schedule.tenant,
        name=schedule.name,
        **values,
        source=source,
        next_at=next_at,
        paused=False,
        revision=1,
    )
    kept, new = schedules.c, statement.excluded
    same_times = and_(kept.cron == new.cron, kept.timezone == new.timezone)
    changed = {
        **values,
        "next_at": case((same_times, kept.next_at), else_=new.next_at),
        "revision": kept.revision + 1,
        "fault": None,
    }
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "name"], set_=changed, where=kept.source == new.source
    )
    if (await transaction.connection.execute(statement.returning(kept.name))).first() is None:
        return False
    content: JsonObject = {"name": schedule.name, "source": source, **said}
    await _audit(transaction, schedule.tenant, actor, "schedule_set", content)
    return True


async def remove_schedule(transaction: Transaction, tenant: str, name: str, source: ScheduleSource, actor: str) -> bool:
    """False when there was none of that source."""
    statement = delete(schedules).where(_is(tenant, name), schedules.c.source == source)
    if not (await transaction.connection.execute(statement)).rowcount:
        return transaction.again
    await _audit(transaction, tenant, actor, "schedule_removed", {"name": name})
    return True


async def pause_schedule(
    transaction: Transaction, tenant: str, name: str, resume_at: datetime | None, actor: str
) -> bool:
    """False when there was none, or nothing changed."""
    paused = resume_at is None
    values = {"paused": paused, "revision": schedules.c.revision + 1, "updated_at": clock()}
    if resume_at is not None:
        values["next_at"] = resume_at
    statement = update(schedules).where(_is(tenant, name), schedules.c.paused != paused).values(**values)
    if not (await transaction.connection.execute(statement)).rowcount:
        return transaction.again
    await _audit(transaction, tenant, actor, "schedule_paused" if paused else "schedule_resumed", {"name": name})
    return True


async def known_tasks(transaction: Transaction, tenant: str, keys: Sequence[str]) -> Mapping[str, UUID]:
    """The tasks that idempotency keys stand for."""
    statement = select(submissions.c.key, submissions.c.task_id).where(submissions.c.tenant_id == tenant)
    rows = await transaction.connection.execute(statement.where(or_(*(submissions.c.key == key for key in keys))))
    return {row.key: row.task_id for row in rows}


async def database_clock(transaction: Transaction) -> datetime:
    """What time it is."""
    return (await transaction.connection.execute(select(clock()))).scalar_one()


_KEY = (schedules.c.tenant_id, schedules.c.name)


def _is(tenant: str, name: str) -> ColumnElement[bool]:
    return and_(schedules.c.tenant_id == tenant, schedules.c.name == name)


def _row(row: AnyRow) -> ScheduleRow:
    fault = row.fault
    return ScheduleRow(
        schedule=Schedule(
            name=row.name,
            target=row.target,
            cron=row.cron,
            timezone=row.timezone,
            input=row.input,
            catch_up=cast("CatchUp", row.catch_up),
            catch_up_limit=row.catch_up_limit,
            tenant=row.tenant_id,
        ),
        source=row.source,
        user_hash=row.user_hash,
        paused=row.paused,
        next_at=row.next_at,
        last_at=row.last_at,
        fault=ScheduleFault(code=fault["code"], detail=fault["detail"], at=datetime.fromisoformat(fault["at"]))
        if fault
        else None,
        revision=row.revision,
        updated_at=row.updated_at,
        now=row.now,
    )


async def _audit(transaction: Transaction, tenant: str, actor: str, what: str, content: JsonObject) -> None:
    values = {"tenant_id": tenant, "at": clock(), "actor": actor, "action": what, "content": content}
    await transaction.connection.execute(insert(audit).values(values))
