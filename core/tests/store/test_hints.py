"""Hints between processes: what makes an idle worker look at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentplat.contracts.store import Hint, Store
from agentplat.store.connect import open_store
from agentplat.store.renewal import Renewal

from .making import claimed, new_task
from .rows_held import needs_own_sessions


@needs_own_sessions
async def test_a_hint_reaches_another_process_even_from_one_that_submits_and_ends(
    store: Store, database_url: str
) -> None:
    async with hearing_of_work(store):
        brief = open_store(database_url)
        await brief.open()
        await brief.submit([new_task()])
        await brief.close()


@needs_own_sessions
async def test_the_workers_hear_that_a_keeper_handed_back_what_a_dead_one_owned(
    store: Store, database_url: str
) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    async with hearing_of_work(store):
        with Renewal(database_url) as renewal:
            await asyncio.to_thread(renewal.expire, claim.lease.worker_id)


@asynccontextmanager
async def hearing_of_work(store: Store) -> AsyncIterator[None]:
    """What is done meanwhile, elsewhere, is heard of here."""
    begun, heard = asyncio.Event(), asyncio.Event()
    unsubscribe = store.subscribe(lambda _: begun.set())
    listening = asyncio.create_task(store.listen())
    async with asyncio.timeout(30):
        await begun.wait()
        unsubscribe()
        unsubscribe = store.subscribe(lambda hint: heard.set() if hint is Hint.WORK else None)
        yield
        await heard.wait()
    unsubscribe()
    listening.cancel()
