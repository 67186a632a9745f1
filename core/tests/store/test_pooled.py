"""Behind a pooler by transaction: all of it works, and nothing is left in a session that is somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from agentplat_migrations.schema import current, differences, upgrade
from agentplat_testkit.databases import PostgresDatabases
from agentplat_testkit.pooler import Pooler, as_pooled
from psycopg.errors import QueryCanceled
from sqlalchemy import text

from agentplat.contracts.hints import Hint
from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Committed, TaskRow
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import SettingsInvalid
from agentplat.domain.task import TaskState
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.database import Transaction
from agentplat.store.postgres import Postgres, settings
from agentplat.store.renewal import Renewal
from agentplat.store.script import Round, Script, bound

from .making import EXPIRED, block, claimed, ending, signal, submitted, working, writing
from .rows_held import holding

WANTED = {
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
    "enable_bitmapscan": "off",
    "jit": "off",
}


@pytest.fixture
def pooled_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """An empty database behind a pooler, in whose sessions nothing is left in the end."""
    with postgres_databases.fresh(None) as direct:
        with Pooler(direct) as pooler:
            yield as_pooled(pooler.url)
        assert pooler.transactions > 0
        assert pooler.left_behind == []


async def test_nothing_is_asked_on_before_the_answer_is_there(postgres_databases: PostgresDatabases) -> None:
    """The pooler may give the session away with the answer, and what comes next in two pieces goes to two sessions."""
    with postgres_databases.fresh(None) as direct, Pooler(direct) as pooler:
        url = as_pooled(pooler.url)
        await asyncio.to_thread(upgrade, url)
        store = open_store(url)
        for turn in range(10):
            claim = await claimed(store)
            await store.tell(signal(claim.lease.task_id))
            await store.commit([ending(claim.lease, 3)])
            await asyncio.sleep(turn / 100)  # hints are held back for moments of several lengths
        await store.close()
        assert pooler.transactions > 50
        assert pooler.asked_early == 0


async def test_a_database_is_made_used_and_looked_after(pooled_url: str) -> None:
    await asyncio.to_thread(upgrade, pooled_url)
    assert (await asyncio.to_thread(current, pooled_url))[0] is not None
    assert await asyncio.to_thread(differences, pooled_url) == []
    store = open_store(pooled_url)
    await store.open()
    claim = await claimed(store)
    assert await store.tell(signal(claim.lease.task_id))
    [committed] = await store.commit([writing(claim.lease, 3, block())])
    [ended] = await store.commit([ending(claim.lease, 4)])
    await submitted(store)
    lost = await working(store, EXPIRED)
    swept = await store.sweep()
    upkept = [step async for step in store.upkeep(Retention())]
    await store.close()

    assert isinstance(committed, Committed)
    assert isinstance(ended, Committed)
    assert list(swept.workers) == [lost]
    assert upkept == []
    assert {task.status for task in await _tasks(pooled_url)} == {TaskState.DONE, TaskState.PENDING}


async def _tasks(url: str) -> list[TaskRow]:
    store = open_store(url)
    try:
        return list(await store.tasks(TaskFilter()))
    finally:
        await store.close()


async def test_every_transaction_has_our_settings(pooled_url: str) -> None:
    database = Postgres(Address.parse(pooled_url), application="agentplat-test")
    asked = ", ".join(f"current_setting('{name}')" for name in WANTED)
    for opened in (database.reading, database.writing, database.reading):
        async with opened() as connection:
            assert list((await connection.execute(text(f"select {asked}"))).one()) == list(WANTED.values())
    await database.close()


@pytest.mark.parametrize("rounds", [1, 2])
async def test_a_script_has_them_too_even_where_nobody_says_begin(pooled_url: str, rounds: int) -> None:
    await asyncio.to_thread(upgrade, pooled_url)
    store = open_store(pooled_url)
    worker_id = await working(store)
    await store.close()
    database = Postgres(Address.parse(pooled_url), application="agentplat-test")
    database._first = Address.parse(pooled_url).of_transaction(settings(statement_timeout_ms=100))

    def waiting() -> Script[None]:
        for _ in range(rounds - 1):
            yield Round([bound("clock")])
        yield Round([bound("lock_worker", worker_id=worker_id)], last=True)

    async with holding(pooled_url, "select from agentplat.workers where id = %s for update", worker_id):
        with pytest.raises(QueryCanceled, match="statement timeout"):
            async with asyncio.timeout(20):
                await database.conduct(waiting())
    await database.conduct(waiting())
    await database.close()


@pytest.mark.parametrize("verb", ["read", "write"])
async def test_a_session_that_the_server_ends_half_way_is_no_fault_of_the_values(pooled_url: str, verb: str) -> None:
    """The pooler adds its own last words to the server's, and so the end of the transaction has two answers."""
    database = Postgres(Address.parse(pooled_url), application="agentplat-test", pool_size=1)
    attempts = 0

    async def work(transaction: Transaction) -> int:
        nonlocal attempts
        attempts += 1
        if attempts % 2:
            short = "set local idle_in_transaction_session_timeout = 50"
            await transaction.connection.exec_driver_sql(short)
            await asyncio.sleep(0.5)
        return attempts

    perform = database.read if verb == "read" else database.write
    assert [await perform(work) for _ in range(3)] == [2, 4, 6]
    await database.close()


async def test_the_keeper_renews_and_expires(pooled_url: str) -> None:
    await asyncio.to_thread(upgrade, pooled_url)
    store = open_store(pooled_url)
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    with Renewal(pooled_url) as renewal:
        assert all(renewal.renew(claim.lease.worker_id, 60.0) for _ in range(9))
        renewal.expire(claim.lease.worker_id)
        assert not renewal.renew(claim.lease.worker_id, 60.0)
    [again] = await store.claim(await working(store), 1)
    await store.close()
    assert again.lease.task_id == claim.lease.task_id


@pytest.mark.parametrize(
    ("url", "rest", "pooled"),
    [
        ("postgresql://a:b@c/d?pooled=true", "a:b@c/d", True),
        ("postgresql://a@c/d?host=/x&pooled=true&sslmode=require", "a@c/d?host=/x&sslmode=require", True),
        ("postgresql://a@c/d?pooled=false", "a@c/d", False),
        ("postgresql://a@c/d?sslmode=require", "a@c/d?sslmode=require", False),
    ],
)
def test_the_address_says_so_and_libpq_is_not_told(url: str, rest: str, pooled: bool) -> None:
    assert Address.parse(url) == Address("postgresql", rest, pooled)


def test_another_value_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="pooled=true"):
        Address.parse("postgresql://a:secret@c/d?pooled=maybe")


async def test_nothing_is_heard_and_so_it_looks_by_itself(pooled_url: str) -> None:
    await asyncio.to_thread(upgrade, pooled_url)
    store = open_store(pooled_url)
    heard: list[Hint] = []
    listening = asyncio.create_task(store.listen())
    other = open_store(pooled_url)
    unsubscribe = other.subscribe(heard.append)
    await submitted(store)
    await store.ping()
    assert not store.hears
    assert heard == []
    unsubscribe()
    listening.cancel()
    await other.close()
    await store.close()
