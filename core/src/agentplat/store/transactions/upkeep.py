"""The order of upkeep: partitions, then what was kept long enough, step by step, each a transaction of its own.

History goes before its task, and a key goes before the task it stands for; definitions go when the tasks that named
them have gone. A step that finds another process at work ends the pass.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, select, text

from agentplat.contracts.stored.retention import Retention, Upkept
from agentplat.domain.errors import StoreUnavailable
from agentplat.store.columns import clock
from agentplat.store.database import Database, Transaction
from agentplat.store.tables import audit, definitions, journal, limits, submissions
from agentplat.store.transactions import partitions, retention

T = TypeVar("T")
_Steps = AsyncGenerator[Upkept, None]
_NOWHERE = UUID(int=0)
_DAY = timedelta(days=1)
_PATIENCE_MS = 300
"""So long a change of partitions may wait for a lock: everybody who comes later waits behind it."""

_MOVED = 10_000
"""So many rows of the DEFAULT partition are moved into their month while others work."""

_NOT_OURS = "the tables belong to another role: run `agentplat db upgrade` as that one, once a month"
_CROWDED = "more than 10,000 of its rows are in the default partition: run `agentplat db upgrade`"
_BUSY = "somebody holds the table: it is tried again"


async def upkeep(database: Database, kept: Retention) -> _Steps:
    """One pass. See `agentplat.contracts.store.Store.upkeep`."""
    try:
        at = await database.read(_clock)
        for part in (_make_partitions, _history, _submissions, _tasks, _definitions, _limits, _audit):
            async for step in part(database, kept, at):
                yield step
    except retention.SomebodyElse:
        return


async def _history(database: Database, kept: Retention, at: datetime) -> _Steps:
    cutoff = _history_cutoff(kept, at)
    if cutoff is None:
        return
    if database.dialect == "postgresql" and await database.read(_sync(partitions.are_ours)):
        async for step in _drop_partitions(database, cutoff):
            yield step
            if step.put_off:
                return  # it will be dropped; to remove it row by row would be work for nothing
    async for step in _walk(database, retention.remove_history, await _end(database, cutoff), cutoff):
        yield step


async def _submissions(database: Database, kept: Retention, at: datetime) -> _Steps:
    async for step in _repeat(database, submissions.name, retention.remove_submissions, at - kept.submissions * _DAY):
        yield step


async def _tasks(database: Database, kept: Retention, at: datetime) -> _Steps:
    history = _history_cutoff(kept, at)
    if kept.tasks is None or history is None:
        return
    cutoff = at - kept.tasks * _DAY
    before = min(partitions.first_id(cutoff), await _end(database, history))
    async for step in _walk(database, retention.remove_tasks, before, cutoff):
        yield step


async def _definitions(database: Database, kept: Retention, at: datetime) -> _Steps:
    if kept.tasks is None:
        return  # each is named by the task that it came with
    await _alone(database, retention.mark_definitions, at)
    async for step in _repeat(database, definitions.name, retention.remove_definitions, at):
        yield step


async def _limits(database: Database, _kept: Retention, at: datetime) -> _Steps:
    async for step in _repeat(database, limits.name, retention.remove_limits, at):
        yield step


async def _audit(database: Database, kept: Retention, at: datetime) -> _Steps:
    if kept.audit is not None:
        async for step in _repeat(database, audit.name, retention.remove_audit, at - kept.audit * _DAY):
            yield step


def _history_cutoff(kept: Retention, at: datetime) -> datetime | None:
    """The history of tasks that ended up to then is removed; None: of no task. It never outlives its task."""
    days = [days for days in (kept.history, kept.tasks) if days is not None]
    return at - min(days) * _DAY if days else None


async def _end(database: Database, cutoff: datetime) -> UUID:
    """The first id whose history is left alone: by time, on PostgreSQL where a partition begins that is too young."""
    if database.dialect == "postgresql":
        return await database.read(_sync(_oldest_kept, cutoff))
    return partitions.first_id(cutoff)


async def _walk(database: Database, remove: Callable[..., Awaitable[Any]], before: UUID, cutoff: datetime) -> _Steps:
    place: UUID | None = _NOWHERE
    while place is not None and place < before:
        walked = await _alone(database, remove, place, before, cutoff)
        place = walked.place
        if place is not None:
            yield Upkept(rows=walked.rows)


async def _repeat(database: Database, table: str, remove: Callable[..., Awaitable[int]], *arguments: Any) -> _Steps:
    while removed := await _alone(database, remove, *arguments):
        yield Upkept(rows={table: removed})


# --- partitions --------------------------------------------------------------------------------------------


async def _make_partitions(database: Database, _kept: Retention, _at: datetime) -> _Steps:
    wanted = await database.read(_sync(partitions.missing)) if database.dialect == "postgresql" else ()
    if not wanted:
        return
    if not await database.read(_sync(partitions.are_ours)):
        yield Upkept(put_off={partition.name: _NOT_OURS for _, partition in wanted})
        return
    for table, partition in wanted:
        made = await _now_or_later(database, _sync(partitions.make, table, partition, at_most=_MOVED))
        if made:
            yield Upkept(made=[partition.name])
        else:
            yield Upkept(put_off={partition.name: _BUSY if made is None else _CROWDED})


async def _drop_partitions(database: Database, cutoff: datetime) -> _Steps:
    for high in await database.read(_sync(_expired, cutoff)):
        if await database.read(_sync(partitions.is_wanted, high, cutoff)):
            continue  # task by task, then
        dropped = await _now_or_later(database, _sync(partitions.drop, high, cutoff))
        if dropped is None:
            yield Upkept(put_off={each.name: _BUSY for each in await database.read(_sync(partitions.ending, high))})
        elif dropped:
            yield Upkept(dropped=dropped)


def _expired(connection: Connection, cutoff: datetime) -> Sequence[UUID]:
    """Where the partitions end whose tasks were submitted a day or more before `cutoff`."""
    limit = partitions.first_id(cutoff - _DAY)
    highs = {each.high for table in partitions.TABLES for each in partitions.present(connection, table)}
    return sorted(high for high in highs if high <= limit)


def _oldest_kept(connection: Connection, cutoff: datetime) -> UUID:
    """Where the partitions begin that are not old enough yet: what is before them is removed task by task."""
    limit = partitions.first_id(cutoff - _DAY)
    lows = [each.low for each in partitions.present(connection, journal.name) if each.high > limit]
    return min(lows, default=limit)


async def _now_or_later(database: Database, work: Callable[[Transaction], Awaitable[T]]) -> T | None:
    """What `work` gives, or None when a lock could not be had at once: nothing was changed then."""

    async def impatiently(transaction: Transaction) -> T:
        await transaction.connection.execute(text(f"SET LOCAL lock_timeout = {_PATIENCE_MS}"))
        await retention.be_alone(transaction)
        return await work(transaction)

    try:
        return await database.write(impatiently, attempts=1)
    except StoreUnavailable:
        return None


def _sync(work: Callable[..., T], *arguments: Any, **options: Any) -> Callable[[Transaction], Awaitable[T]]:
    return lambda transaction: transaction.connection.run_sync(work, *arguments, **options)


async def _alone(database: Database, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    async def step(transaction: Transaction) -> T:
        await retention.be_alone(transaction)
        return await work(transaction, *arguments)

    return await database.write(step)


async def _clock(transaction: Transaction) -> datetime:
    at: datetime = (await transaction.connection.execute(select(clock()))).scalar_one()
    return at
