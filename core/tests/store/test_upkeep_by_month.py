"""On PostgreSQL history goes by the month, as far as nobody needs it."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from agentplat_migrations.connection import changing
from agentplat_testkit.pytest_plugin import needs_own_sessions
from sqlalchemy import make_url, text

from agentplat.contracts.store import Store
from agentplat.contracts.stored.retention import Retention, Upkept
from agentplat.domain.ids import TaskId
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.transactions import partitions
from agentplat.store.transactions.retention import _KEY, ROWS

from .ageing import ago, counted, date, days_since_month, ended, id_of, months_since, open_since, partition_names
from .making import claimed, ending, kinds, new_task
from .outside import execute
from .rows_held import holding

OLD = days_since_month(5)
IN_DEFAULT = "select count(*) from agentplat.journal_default"


@pytest.fixture
def first_month(postgres_url: str) -> Sequence[str]:
    """The partitions of the month of `OLD`; what was submitted before them goes into the DEFAULT partition."""
    return months_since(postgres_url, OLD)


@pytest.fixture
def store(store_on_postgres: Store, first_month: Sequence[str]) -> Store:
    return store_on_postgres


async def upkeep(store: Store, **days: int) -> Upkept:
    """All steps of one pass as one."""
    steps = [step async for step in store.upkeep(Retention(**days))]
    return Upkept(
        made=[name for step in steps for name in step.made],
        dropped=[name for step in steps for name in step.dropped],
        put_off={name: reason for step in steps for name, reason in step.put_off.items()},
        rows=summed([step.rows for step in steps]),
    )


def summed(rows: Sequence[Mapping[str, int]]) -> dict[str, int]:
    sums = {table: sum(each.get(table, 0) for each in rows) for table in ("journal", "calls", "tasks")}
    return {table: removed for table, removed in sums.items() if removed}


async def test_a_month_whose_tasks_are_all_over_is_dropped_whole(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    old, young = await ended(store, postgres_url, OLD), await ended(store, postgres_url, 1.0)
    assert set(first_month) <= partition_names(postgres_url)
    done = await upkeep(store, history=30)
    assert set(first_month) <= set(done.dropped)
    assert (done.rows, done.put_off) == ({}, {})
    assert not partition_names(postgres_url) & set(done.dropped)
    assert (await store.task(old)).last_seq == 0
    assert len(await kinds(store, young)) == 3
    assert (await upkeep(store, history=30)).dropped == []


async def test_a_month_that_is_not_old_enough_is_left_alone(store: Store, postgres_url: str) -> None:
    task_id = await ended(store, postgres_url, OLD)
    before = partition_names(postgres_url)
    assert await upkeep(store, history=200, tasks=200) == Upkept(made=[], dropped=[])
    assert partition_names(postgres_url) == before
    assert len(await kinds(store, task_id)) == 3


async def test_an_open_task_keeps_its_month_and_what_is_over_in_it_is_removed_by_task(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    over = [await ended(store, postgres_url, OLD) for _ in range(3)]
    task_id = await open_since(store, postgres_url, OLD)
    done = await upkeep(store, history=30)
    assert not set(done.dropped) & set(first_month)
    assert done.rows == {"journal": 9, "calls": 3}
    assert await kinds(store, task_id) == ["TaskSubmitted", "TaskClaimed"]
    assert [await kinds(store, each) for each in over] == [[], [], []]


async def test_a_task_that_ended_late_keeps_its_month(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    task_id = await ended(store, postgres_url, 5.0, lived=OLD - 5.0)
    beside = await ended(store, postgres_url, OLD)
    done = await upkeep(store, history=30)
    assert not set(done.dropped) & set(first_month)
    assert (len(await kinds(store, task_id)), await kinds(store, beside)) == (3, [])


async def test_a_task_whose_submitter_believed_it_was_months_ago_keeps_its_month(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    claim = await claimed(store, id=id_of(ago(OLD)))  # the id's time is the submitter's, all others the database's
    await store.commit([ending(claim.lease, 3)])
    beside = await ended(store, postgres_url, OLD)
    done = await upkeep(store, history=30)
    assert not set(done.dropped) & set(first_month)
    assert (len(await kinds(store, claim.lease.task_id)), await kinds(store, beside)) == (3, [])
    date(postgres_url, claim.lease.task_id, "finished_at", 31.0)
    date(postgres_url, claim.lease.task_id, "created_at", 31.0)
    assert set(first_month) <= set((await upkeep(store, history=30)).dropped)


async def test_a_long_history_is_removed_in_several_steps_and_each_task_whole(store: Store, postgres_url: str) -> None:
    await open_since(store, postgres_url, OLD)  # so that it is not simply dropped
    long, next_one = [await ended(store, postgres_url, OLD) for _ in range(2)]
    events = "select task_id, seq + number * 3, tenant_id, fence, at, kind, content from agentplat.journal"
    more = f"insert into agentplat.journal {events}, generate_series(1, {ROWS // 2}) as number where task_id = :task_id"
    execute(postgres_url, more, task_id=str(long))
    steps = [step.rows async for step in store.upkeep(Retention(history=30)) if step.rows]
    assert len(steps) > 1
    assert [step["journal"] for step in steps if step["journal"]] == [3 + ROWS // 2 * 3, 3]
    assert [counted(postgres_url, "journal", each) for each in (long, next_one)] == [0, 0]


async def test_history_in_the_default_partition_is_removed_by_task(store: Store, postgres_url: str) -> None:
    await ended(store, postgres_url, 400.0)  # older than the oldest month
    assert execute(postgres_url, IN_DEFAULT) == [(3,)]
    assert (await upkeep(store, history=30)).rows == {"journal": 3, "calls": 1}
    assert execute(postgres_url, IN_DEFAULT) == [(0,)]


async def test_months_that_are_missing_are_made(store: Store, postgres_url: str) -> None:
    done = await upkeep(store)
    assert len(done.made) == 0
    ahead = sorted(partition_names(postgres_url))
    for name in (latest := [ahead[-1], ahead[len(ahead) // 2 - 1]]):
        execute(postgres_url, f"drop table agentplat.{name}")
    done = await upkeep(store)
    assert sorted(done.made) == sorted(latest)
    assert sorted(partition_names(postgres_url)) == ahead


async def test_a_month_that_cannot_be_made_beside_the_work_is_put_off_with_the_reason(
    store: Store, postgres_url: str
) -> None:
    with changing(postgres_url) as connection:
        last = partitions.present(connection, "journal")[-1]
        connection.execute(text(f"drop table agentplat.{last.name}"))
    many = """insert into agentplat.journal
              select :task_id, number, 'north', 0, clock_timestamp(), 'task_submitted', '{}'
              from generate_series(1, 10001) as number"""
    execute(postgres_url, many, task_id=str(last.low))
    put_off = (await upkeep(store)).put_off
    assert list(put_off) == [last.name]
    assert "agentplat db upgrade" in put_off[last.name]
    assert execute(postgres_url, IN_DEFAULT) == [(10_001,)]


async def test_a_table_that_is_in_use_is_not_waited_for_and_nothing_is_removed_by_row_instead(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    task_id = await ended(store, postgres_url, OLD)
    async with holding(postgres_url, "lock table agentplat.journal in access share mode"):
        done = await upkeep(store, history=30)
        assert set(first_month) & set(done.put_off)
        assert done.rows == {}
        assert len(await kinds(store, task_id)) == 3
    assert set(first_month) <= set((await upkeep(store, history=30)).dropped)


async def test_of_two_processes_one_does_it(store: Store, postgres_url: str) -> None:
    await ended(store, postgres_url, OLD)
    async with holding(postgres_url, "select pg_advisory_xact_lock(%s)", _KEY):
        assert await upkeep(store, history=30) == Upkept(made=[], dropped=[])
    assert (await upkeep(store, history=30)).dropped


async def test_what_is_submitted_under_an_old_id_while_its_month_is_dropped_is_not_lost(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    task = new_task(id=id_of(ago(OLD)))
    async with holding(postgres_url, "lock table only agentplat.journal in access exclusive mode") as held:
        submit = await held.behind(store.submit([task]))
        await held.holder.execute(f"drop table agentplat.{first_month[0]}".encode())
        await held.release()
        await submit
    assert execute(postgres_url, IN_DEFAULT) == [(1,)]
    assert await kinds(store, task.id) == ["TaskSubmitted"]
    assert (await upkeep(store, history=1)).rows == {}


async def test_a_month_is_not_dropped_under_a_submission_that_is_under_way(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    """Its queue row cannot be seen yet, but the table is in use."""
    insert = """insert into agentplat.journal values (%s, 1, 'north', 0, clock_timestamp(), 'task_submitted', '{}')"""
    async with holding(postgres_url, insert, id_of(ago(OLD))):
        done = await upkeep(store, history=30)
    assert set(first_month) & set(done.put_off)
    assert set(first_month) <= partition_names(postgres_url)


@contextmanager
def reader_and_writer(url: str) -> Iterator[str]:
    """The address for a role that owns nothing and may read and write."""
    name, password = f"agentplat_test_{secrets.token_hex(6)}", secrets.token_hex(8)
    with psycopg.connect(Address.parse(url).libpq, autocommit=True) as session:
        for statement in (
            f"create role {name} login password '{password}'",
            f"grant usage on schema agentplat to {name}",
            f"grant select, insert, update, delete on all tables in schema agentplat to {name}",
        ):
            session.execute(statement.encode())
        try:
            yield make_url(url).set(username=name, password=password).render_as_string(hide_password=False)
        finally:
            session.execute(f"drop owned by {name}".encode())
            session.execute(f"drop role {name}".encode())


@needs_own_sessions  # those of the pooler belong to one role
async def test_a_role_that_owns_nothing_removes_by_task_and_says_who_has_to_make_the_months(
    store: Store, postgres_url: str, first_month: Sequence[str]
) -> None:
    task_id = await ended(store, postgres_url, OLD)
    last = max(name for name in partition_names(postgres_url) if name.startswith("calls"))
    execute(postgres_url, f"drop table agentplat.{last}")
    with reader_and_writer(postgres_url) as url:
        limited = open_store(url)
        await limited.open()
        done = await upkeep(limited, history=30, tasks=30)
        await limited.close()
    assert list(done.put_off) == [last]
    assert "another role" in done.put_off[last]
    assert (done.dropped, done.rows) == ([], {"journal": 3, "calls": 1, "tasks": 1})
    assert counted(postgres_url, "journal", task_id) == 0


async def test_upkeep_beside_work_loses_nothing(store: Store, postgres_url: str) -> None:
    """Months are dropped and made while tasks are submitted and ended."""
    ids: list[TaskId] = []
    enough = asyncio.Event()
    working = asyncio.create_task(_work(store, postgres_url, ids, enough))
    made, dropped = 0, 0
    while made < 5 or len(ids) < 20:
        assert not working.done()
        done = await upkeep(store, history=30)
        made, dropped = made + len(done.made), dropped + len(done.dropped)
        name = max(name for name in partition_names(postgres_url) if name.startswith("journal"))
        await asyncio.to_thread(execute, postgres_url, f"drop table if exists agentplat.{name}")
    enough.set()
    await working
    assert dropped >= 2
    for task_id in ids:
        assert len(await kinds(store, task_id)) == 3


async def _work(store: Store, url: str, ids: list[TaskId], enough: asyncio.Event) -> None:
    while not enough.is_set():
        ids.append(await ended(store, url, 0.0))
