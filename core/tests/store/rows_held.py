"""Holding rows of PostgreSQL from outside, so that two transactions meet in the order that a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import psycopg

from agentplat.store.address import Address

T = TypeVar("T")


@asynccontextmanager
async def holding(url: str, statement: str, *parameters: object) -> AsyncIterator["Held"]:
    """What `statement` locked stays locked until the block ends, or `release` is awaited."""
    address = Address.parse(url).libpq
    async with (
        await psycopg.AsyncConnection.connect(address) as holder,
        await psycopg.AsyncConnection.connect(address, autocommit=True, prepare_threshold=None) as observer,
    ):
        await holder.execute(statement.encode(), parameters)
        held = Held(holder, observer)
        try:
            yield held
        finally:
            await held.release()


class Held:
    def __init__(self, holder: psycopg.AsyncConnection[Any], observer: psycopg.AsyncConnection[Any]) -> None:
        self.holder = holder
        self._observer = observer
        self._waiting = 0

    async def behind(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """`coroutine`, running up to the point where it waits for a lock, behind those that wait already."""
        task = asyncio.create_task(coroutine)
        self._waiting += 1
        async with asyncio.timeout(30):
            while await self._waiters() < self._waiting:
                assert not task.done(), f"it did not wait: {task}"
                await asyncio.sleep(0.005)
        return task

    async def release(self) -> None:
        await self.holder.commit()

    async def _waiters(self) -> int:
        cursor = await self._observer.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


async def both(*tasks: Awaitable[Any]) -> list[Any]:
    async with asyncio.timeout(30):
        return list(await asyncio.gather(*tasks))


async def deadlocks(url: str) -> int:
    """How many there were in this database. Sessions report at their end, so every store must be closed."""
    async with await psycopg.AsyncConnection.connect(
        Address.parse(url).libpq, autocommit=True, prepare_threshold=None
    ) as observer:

        async def number(question: LiteralString) -> int:
            row = await (await observer.execute(question)).fetchone()
            assert row is not None
            return int(row[0])

        others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        async with asyncio.timeout(30):
            while True:
                if not await number(others):
                    break
                await asyncio.sleep(0.005)
        return await number("select deadlocks from pg_stat_database where datname = current_database()")
