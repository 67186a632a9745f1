"""The loop that now and then removes what was kept long enough."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from agentplat_migrations.connection import changing
from sqlalchemy import text
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from agentplat.contracts.store import NewTask, Store
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.ids import TaskId
from agentplat.runtime import sweeper
from agentplat.runtime.sweeper import upkeep_forever, upkeep_once
from agentplat.store.connect import open_store
from agentplat.store.transactions import partitions
from agentplat.telemetry import ROWS_REMOVED


def removed(table: str) -> float:
    return float(ROWS_REMOVED.labels(table)._value.get())


def move(file: str, to: str) -> None:
    Path(file).rename(to)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is waited for is a log line or counter of the code under test
            await asyncio.sleep(0.01)


async def keyed(store: Store, url: str, number: int) -> None:
    """Tasks whose idempotency keys are old enough to be removed."""
    tasks = [
        NewTask(id=TaskId(uuid7()), tenant="t", type="agent:x", input={}, trace_id="0" * 32, idempotency_key=f"k{each}")
        for each in range(number)
    ]
    await store.submit(tasks)
    with changing(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("update agentplat.submissions set created_at = created_at - interval '40 days'"))
        else:
            connection.execute(text("update submissions set created_at = created_at - 40 * 86400000000"))


async def test_what_a_pass_removes_is_counted(store: Store, database_url: str) -> None:
    await keyed(store, database_url, 1005)
    before = removed("submissions")
    await upkeep_once(store, Retention())
    assert removed("submissions") == before + 1005


CROWD = """
    insert into agentplat.journal
    select cast(:id as uuid), number, 'north', 0, clock_timestamp(), 'task_submitted', '{}'
    from generate_series(1, 10001) as number"""


async def test_partitions_are_logged_when_they_are_made_or_cannot_be(postgres_url: str) -> None:
    with changing(postgres_url) as connection:
        journal, calls = (partitions.present(connection, table)[-1] for table in partitions.TABLES)
        connection.execute(text(f"drop table agentplat.{journal.name}, agentplat.{calls.name}"))
        connection.execute(text(CROWD), {"id": journal.low})
    store = open_store(postgres_url)
    await store.open()
    with capture_logs() as lines:
        await upkeep_once(store, Retention())
    await store.close()
    put_off, made = lines
    assert (put_off["event"], put_off["log_level"]) == ("partition_put_off", "warning")
    assert put_off["partition"] == journal.name
    assert (made["event"], made["made"], made["dropped"]) == ("partitions_changed", [calls.name], [])


async def test_upkeep_goes_on_when_the_database_is_back(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "_FIRST_UPKEEP", 0.01)
    monkeypatch.setattr(sweeper, "_UPKEEP", 0.01)
    store = open_store(sqlite_url)
    await store.open()
    await keyed(store, sqlite_url, 3)
    file = sqlite_url.partition(":///")[2]
    before = removed("submissions")
    with capture_logs() as lines:
        move(file, f"{file}.away")
        looping = asyncio.create_task(upkeep_forever(store, Retention()))
        await until(lambda: bool(lines))
        move(f"{file}.away", file)
        await until(lambda: removed("submissions") > before)
    looping.cancel()
    await asyncio.wait([looping])
    await store.close()
    assert removed("submissions") == before + 3
    assert lines[0]["event"] == "store_away"
