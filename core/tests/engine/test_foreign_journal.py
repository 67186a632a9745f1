"""A write that is refused because the journal ends elsewhere: somebody wrote to it by hand, or a backup is older."""

from __future__ import annotations

import asyncio
from typing import cast
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from agentplat import AgentContext
from agentplat.contracts.store import Store
from agentplat.domain.task import TaskState
from agentplat.runtime import worker
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import journal

from .harness import Engine, Given, Script, leases_lost, until


async def written_by_hand(store: Store, task_id: UUID) -> None:
    """One more event at the end of the task's journal."""

    async def write(transaction: Transaction) -> None:
        last = select(journal).where(journal.c.task_id == task_id).order_by(journal.c.seq.desc()).limit(1)
        row = (await transaction.connection.execute(last)).one()._asdict()
        more = {"seq": row["seq"] + 1, "kind": "cancel_requested", "content": {"reason": "by hand"}}
        await transaction.connection.execute(insert(journal).values({**row, **more}))

    await cast(SqlStore, store)._database.write(write)


async def test_the_task_goes_back_and_does_not_stay_with_a_worker_that_has_dropped_it(
    engine: Engine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_SELDOM", 3600.0)  # it is not found by the look that comes anyway, twice a minute
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await go_on.wait()
        return given

    script.bodies["one"] = one
    engine.start_worker(lease_seconds=600.0)  # it lives, and is renewed: no sweeper will help
    task_id = await engine.submit("agent:one")
    async with asyncio.timeout(30):
        await begun.wait()
    lost = leases_lost()
    await written_by_hand(engine.store, task_id)
    go_on.set()
    await until(lambda: leases_lost() > lost)

    task = await engine.ended(task_id)

    assert task.status is TaskState.CANCELLED, "whoever claims it next goes on from the journal as it is"
    assert (await engine.kinds(task_id)).count("task_claimed") == 2
