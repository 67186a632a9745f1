import asyncio
import signal as signals
from collections.abc import Iterator
from typing import cast

import psycopg
import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.postgres import PostgresServer
from agentplat_testkit.pytest_plugin import needs_own_sessions
from sqlalchemy.pool import AsyncAdaptedQueuePool

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Committed, Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.store import postgres
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.postgres import Postgres
from agentplat.store.renewal import Renewal
from agentplat.store.sql_store import SqlStore

from .making import block, claimed, committed, new_task, signal, submitted, working, writing
from .outside import execute
from .rows_held import deadlocks, holding


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of its own, to be stopped and started."""
    with PostgresServer(durable=True) as server:
        upgrade(server.url())
        yield server


@needs_own_sessions
async def test_connections_say_who_they_are_and_do_not_hang_for_ever(postgres_url: str) -> None:
    database = Postgres(Address.parse(postgres_url), application="agentplat-test")
    wanted = {
        "application_name": "agentplat-test",
        "statement_timeout": "20s",
        "idle_in_transaction_session_timeout": "5s",
        "timezone": "UTC",
        "transaction_isolation": "read committed",
    }
    async with database.writing() as connection:
        found = {name: (await connection.exec_driver_sql(f"show {name}")).scalar() for name in wanted}
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        options = raw.info.get_parameters()
    assert found == wanted
    assert (options["connect_timeout"], options["tcp_user_timeout"], options["keepalives_idle"]) == ("5", "10000", "5")
    await database.close()


async def test_a_server_that_crashed_and_came_back_is_used_again(server: PostgresServer) -> None:
    store = open_store(server.url())
    await store.open()
    await asyncio.gather(*(submitted(store) for _ in range(8)))  # so that several connections are open
    server.stop(signals.SIGQUIT)
    server.start()
    await asyncio.gather(*(submitted(store) for _ in range(8)))
    assert len(await store.tasks(TaskFilter())) == 16
    await store.close()


async def test_a_server_that_is_away_is_unavailable_until_it_is_back(server: PostgresServer) -> None:
    store = open_store(server.url())
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    renewal = Renewal(server.url())
    assert renewal.renew(claim.lease.worker_id, 60.0)
    server.stop(signals.SIGQUIT)
    for attempt in (store.ping(), store.commit([writing(claim.lease, 3, block())]), submitted(store), store.sweep()):
        with pytest.raises(StoreUnavailable):
            await attempt
    with pytest.raises(StoreUnavailable):
        renewal.renew(claim.lease.worker_id, 60.0)
    server.start()
    assert renewal.renew(claim.lease.worker_id, 60.0)
    [result] = await store.commit([writing(claim.lease, 3, block())])
    assert isinstance(result, Committed)
    renewal.close()
    await store.close()


async def test_a_connection_that_the_server_ends_is_replaced_and_nobody_notices(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    await asyncio.gather(*(submitted(store) for _ in range(5)))
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'agentplat'"
    ended += (
        " and datname = current_database() and pid <> pg_backend_pid()"  # behind a pooler this one was another's before
    )
    async with await psycopg.AsyncConnection.connect(Address.parse(postgres_url).libpq) as connection:
        await connection.execute(ended)
    await asyncio.gather(*(submitted(store) for _ in range(5)))
    assert len(await store.tasks(TaskFilter())) == 10


async def _until_no_session_of(application: str, url: str) -> None:
    left = "select count(*) from pg_stat_activity where datname = current_database() and application_name = :name"
    async with asyncio.timeout(30):
        while True:
            [(number,)] = await asyncio.to_thread(execute, url, left, name=application)
            if not number:
                return
            await asyncio.sleep(0.05)


def _set(url: str, setting: str) -> None:
    """For the sessions of this database that are yet to begin."""
    [(name,)] = execute(url, "select current_database()")
    execute(url, f"alter database {name} set {setting}")


@needs_own_sessions
async def test_sessions_that_the_server_ends_because_they_were_idle_are_replaced_and_nobody_notices(
    postgres_url: str,
) -> None:
    _set(postgres_url, "idle_session_timeout = '100ms'")
    store = open_store(postgres_url)
    await store.open()
    claims = [await claimed(store) for _ in range(5)]
    for turn in range(3):
        # So that several sessions of either kind are open.
        await asyncio.gather(
            *(submitted(store) for _ in range(5)), *(store.task(each.lease.task_id) for each in claims)
        )
        await _until_no_session_of("agentplat", postgres_url)
        await store.ping()
        await _until_no_session_of("agentplat", postgres_url)
        assert all(await asyncio.gather(*(store.tell(signal(each.lease.task_id, str(turn))) for each in claims)))
        await _until_no_session_of("agentplat", postgres_url)
        await asyncio.gather(*(committed(store, each.lease, 3 + turn, block()) for each in claims))
    await store.close()


@needs_own_sessions
async def test_a_transaction_that_the_server_ends_because_it_takes_too_long_is_no_fault_of_ours(
    postgres_url: str,
) -> None:
    if int(execute(postgres_url, "show server_version_num")[0][0]) < 170000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    store = open_store(postgres_url)
    claim = await claimed(store)
    await store.close()
    _set(postgres_url, "transaction_timeout = '2s'")
    store = open_store(postgres_url)
    hold = "select 1 from agentplat.queue where task_id = %s for update"
    async with holding(postgres_url, "set transaction_timeout = 0") as held:
        await held.holder.commit()
        await held.holder.execute(hold, [claim.lease.task_id])
        for attempt in (store.tell(signal(claim.lease.task_id)), store.commit([writing(claim.lease, 3, block())])):
            with pytest.raises(StoreUnavailable, match=r"transaction timeout|closed the connection"):
                await attempt
        await held.release()
    assert await store.tell(signal(claim.lease.task_id))
    await committed(store, claim.lease, 3, block())
    await store.close()


@needs_own_sessions
async def test_the_victim_of_a_deadlock_is_tried_again(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    first, second = await claimed(store), await claimed(store)
    hold = "select 1 from agentplat.queue where task_id = %s for update"
    async with holding(postgres_url, hold, second.lease.task_id) as held:
        await held.holder.execute("set deadlock_timeout = '1h'")  # the other side is to find it
        commit = await held.behind(store.commit([writing(claim.lease, 3, block()) for claim in (first, second)]))
        await held.holder.execute(hold, [first.lease.task_id])  # against the order that everybody else keeps
        assert not commit.done()
        await held.release()
        results = await commit
    assert all(isinstance(result, Committed) for result in results)
    await store.close()
    assert await deadlocks(postgres_url) == 1


@needs_own_sessions
async def test_five_hundred_callers_wait_for_one_row_and_all_are_served(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    task_id = await submitted(store)
    pool = cast(Postgres, cast(SqlStore, store)._database)._engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    pool._timeout = 0.1  # what the pool itself would wait: nobody here may have to
    async with holding(postgres_url, "select 1 from agentplat.queue where task_id = %s for update", task_id) as held:
        telling = [asyncio.create_task(store.tell(signal(task_id, key=str(number)))) for number in range(500)]
        await asyncio.sleep(0.3)
        assert not any(each.done() for each in telling)
        await held.release()
        assert await asyncio.gather(*telling) == [True] * 500
    worker_id = await working(store)
    [claim] = await store.claim(worker_id, 1)
    assert len(await store.inbox([claim.lease])) == 500


@needs_own_sessions
async def test_who_waits_too_long_for_a_connection_is_told_so_and_others_go_on(
    store_on_postgres: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_on_postgres
    task_id = await submitted(store)
    async with holding(postgres_url, "select 1 from agentplat.queue where task_id = %s for update", task_id) as held:
        first = [asyncio.create_task(store.tell(signal(task_id, key=str(number)))) for number in range(10)]
        await asyncio.sleep(0.1)
        monkeypatch.setattr(postgres, "_LONGEST_QUEUE", 0.1)
        with pytest.raises(StoreUnavailable, match="all 10 connections of this process are busy"):
            await store.tell(signal(task_id, key="late"))
        assert len(await store.commit([])) == 0
        await submitted(store)  # on connections of their own
        await held.release()
        assert await asyncio.gather(*first) == [True] * 10
    assert await store.tell(signal(task_id, key="late"))


async def test_who_gives_up_while_he_waits_for_a_connection_keeps_nobody(store_on_postgres: Store) -> None:
    store = store_on_postgres
    task_id = await submitted(store)
    telling = [asyncio.create_task(store.tell(signal(task_id, key=str(number)))) for number in range(50)]
    await asyncio.sleep(0)
    for each in telling[10:]:
        each.cancel()
    done = await asyncio.gather(*telling, return_exceptions=True)
    assert done[:10] == [True] * 10
    assert all(isinstance(each, asyncio.CancelledError) for each in done[10:])
    assert all(await asyncio.gather(*(store.tell(signal(task_id, key=f"again {number}")) for number in range(50))))


async def test_more_callers_than_connections_take_turns(postgres_url: str) -> None:
    store = open_store(postgres_url, pool_size=2)
    await store.submit([new_task() for _ in range(20)])
    worker_id = await working(store)
    claims = await asyncio.gather(*(store.claim(worker_id, 1) for _ in range(20)))
    assert sum(len(each) for each in claims) == 20
    await store.close()
