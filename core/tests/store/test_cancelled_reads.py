"""Reads that are cancelled, once and again, while their connections are made."""

import asyncio
import gc
from random import Random
from uuid import uuid4

import psycopg
from agentplat_testkit.pytest_plugin import needs_own_sessions

from agentplat.domain.ids import WorkerId
from agentplat.store.address import Address
from agentplat.store.connect import open_store

OTHERS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@needs_own_sessions
async def test_reads_that_are_cancelled_twice_while_they_connect_leave_no_session_behind(postgres_url: str) -> None:
    """The moment at which one was left is short: some hundred tries found it once or a few times."""
    gc.disable()  # it would close what was left behind, some time
    struck = 0
    try:
        for seed in range(100):
            random = Random(seed)
            store = open_store(postgres_url)
            if random.random() < 0.7:
                await store.woken(WorkerId(uuid4()))
            reading = [asyncio.create_task(store.woken(WorkerId(uuid4()))) for _ in range(random.randint(2, 4))]
            await asyncio.sleep(random.random() * 0.012)
            struck += sum([each.cancel() for each in reading])
            for _ in range(random.randint(0, 6)):
                await asyncio.sleep(0)
            struck += sum([each.cancel() for each in reading])
            await asyncio.wait(reading)
            await store.close()
        async with asyncio.timeout(10):
            while sessions(postgres_url):  # noqa: ASYNC110 - one that was closed ends a moment later
                await asyncio.sleep(0.05)
    finally:
        gc.enable()
    assert struck > 100


def sessions(url: str) -> int:
    with psycopg.connect(Address.parse(url).libpq) as session:
        [count] = session.execute(OTHERS).fetchone() or (0,)
        return int(count)
