"""Hints between processes: what makes an idle worker look at once."""

import asyncio

from agentplat.contracts.store import Hint, Store
from agentplat.store.connect import open_store

from .making import new_task
from .rows_held import needs_own_sessions


@needs_own_sessions
async def test_a_hint_reaches_another_process_even_from_one_that_submits_and_ends(
    store: Store, database_url: str
) -> None:
    begun, heard = asyncio.Event(), asyncio.Event()
    unsubscribe = store.subscribe(lambda _: begun.set())
    listening = asyncio.create_task(store.listen())
    async with asyncio.timeout(30):
        await begun.wait()
        unsubscribe()
        unsubscribe = store.subscribe(lambda hint: heard.set() if hint is Hint.WORK else None)

        brief = open_store(database_url)
        await brief.open()
        await brief.submit([new_task()])
        await brief.close()

        await heard.wait()
    unsubscribe()
    listening.cancel()
