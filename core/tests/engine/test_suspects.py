"""A task that has to run alone is found, also when the database was away at the first look for it."""

import asyncio
from dataclasses import replace
from typing import Any, cast

from agentplat import AgentContext
from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Claim, Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.store.sql_store import SqlStore

from .harness import Engine, Given, Script, until


class AwayOnce:
    """A store that does not answer the first look for suspects."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.struck = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim_suspect(self, *arguments: Any, **options: Any) -> Claim | None:
        if not self.struck:
            self.struck = True
            raise StoreUnavailable("The database is away.")
        return await self._store.claim_suspect(*arguments, **options)


async def test_a_look_that_failed_is_made_up_for_at_the_next_occasion(engine: Engine, script: Script) -> None:
    begun = asyncio.Event()

    async def hang_once(given: Given, ctx: AgentContext) -> Given:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return {}

    script.bodies["one"] = hang_once
    first = engine.start_worker()
    suspect = TaskId(await engine.submit("agent:one"))
    await begun.wait()
    await engine.crash(first)
    await engine.until(suspect, lambda task: task.status is TaskState.PENDING)

    store = AwayOnce(engine.store)
    replace(engine, store=cast(Store, store)).start_worker(poll_seconds=600.0)
    await until(lambda: store.struck)
    await asyncio.sleep(0.1)  # until it waits
    cast(SqlStore, engine.store)._database.hints.heard([Hint.TOLD])  # anything but new work

    async with asyncio.timeout(20):
        while (await engine.store.task(suspect)).status is not TaskState.DONE:  # noqa: ASYNC110 - no sweep, which may hint at work
            await asyncio.sleep(0.02)
