"""Hints between processes: what makes an idle worker look at once."""

import asyncio

from agentplat.contracts.store import Hint, Store
from agentplat.store.connect import open_store

from .making import new_task


async def test_a_hint_reaches_another_process_even_from_one_that_submits_and_ends(
    store: Store, database_url: str
) -> None:
    heard = asyncio.Event()
    listening = asyncio.create_task(store.listen())
    async with asyncio.timeout(30):
        while not store.hears:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # what is said at the beginning is over
        unsubscribe = store.subscribe(lambda hint: heard.set() if hint is Hint.WORK else None)

        brief = open_store(database_url)
        await brief.open()
        await brief.submit([new_task()])
        await brief.close()

        await heard.wait()
    unsubscribe()
    listening.cancel()
