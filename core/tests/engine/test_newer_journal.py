"""A task in whose journal a newer version wrote, among others that this version works on."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from agentplat import AgentContext
from agentplat.contracts.store import Store
from agentplat.domain.task import TaskState
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import journal, queue, tasks

from .harness import Engine, Given, Script


async def written_by_a_newer_version(store: Store, task_id: UUID, what: str) -> None:
    async def write(transaction: Transaction) -> None:
        execute = transaction.connection.execute
        if "event" in what:
            row = (await execute(select(journal).where(journal.c.task_id == task_id))).one()._asdict()
            last = 2 if what == "an event" else 150
            claims = [
                {
                    **row,
                    "seq": n,
                    "fence": n - 1,
                    "kind": "task_claimed",
                    "content": {"fence": n - 1, "worker": "other"},
                }
                for n in range(2, last)
            ]
            event = {**row, "seq": last, "fence": last - 2, "kind": "paused_by_people", "content": {}}
            await execute(insert(journal), [*claims, event])
        else:
            above = {"parent_id": task_id, "dispatch": {"of": "a newer version"}}
            await execute(update(tasks).where(tasks.c.id == task_id).values(**above))

    await cast(SqlStore, store)._database.write(write)


async def standing(store: Store, task_id: UUID) -> Any:
    async def read(transaction: Transaction) -> Any:
        return (await transaction.connection.execute(select(queue).where(queue.c.task_id == task_id))).one()

    return await cast(SqlStore, store)._database.read(read)


@pytest.mark.parametrize("what", ["an event", "a late event", "a parent"])
@pytest.mark.parametrize("suspect", [False, True])
async def test_it_is_left_to_a_worker_that_can_read_it_and_the_others_go_on(
    engine: Engine, script: Script, suspect: bool, what: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await go_on.wait()
        return given

    script.bodies["one"] = one
    newer = await engine.submit("agent:two")
    await written_by_a_newer_version(engine.store, newer, what)
    if suspect:
        await engine.suspect(newer)
    older = await engine.submit("agent:one")
    engine.start_worker()
    async with asyncio.timeout(30):
        await begun.wait()
        while (left := await standing(engine.store, newer)).reason is None:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.02)

    assert "which this version of agentplat does not know" in left.reason
    assert (left.worker_id, left.suspect) == (None, suspect)
    go_on.set()
    assert (await engine.ended(older)).status is TaskState.DONE
    assert not engine.workers[0][1].done(), "the worker ended"
    assert not [asked for asked in script.asked if asked[0] == "two"]
