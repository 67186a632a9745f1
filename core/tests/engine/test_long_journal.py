"""A task whose journal is longer than what a claim brings."""

from __future__ import annotations

from typing import cast

from sqlalchemy import insert, select, update

from agentplat import AgentContext
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import journal, queue

from .harness import Engine, Given, Script

OWNERS = 2_300


async def test_its_owner_goes_on_from_the_end_of_it(engine: Engine, script: Script) -> None:
    async def one(given: Given, ctx: AgentContext) -> Given:
        return {"heard": given}

    async def owned_often(transaction: Transaction) -> None:
        execute = transaction.connection.execute
        row = (await execute(select(journal).where(journal.c.task_id == task_id))).one()._asdict()
        claims = [
            {
                **row,
                "seq": fence + 1,
                "fence": fence,
                "kind": "task_claimed",
                "content": {"fence": fence, "worker": "w"},
            }
            for fence in range(1, OWNERS + 1)
        ]
        await execute(insert(journal), claims)
        await execute(update(queue).where(queue.c.task_id == task_id).values(fence=OWNERS))

    script.bodies["one"] = one
    task_id = await engine.submit("agent:one", {"topic": "tea"})
    await cast(SqlStore, engine.store)._database.write(owned_often)
    engine.start_worker()
    ended = await engine.ended(task_id)

    assert (ended.status, ended.output) == (TaskState.DONE, {"heard": {"topic": "tea"}})
    events = await engine.store.journal(TaskId(ended.id))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [type(event.event).__name__ for event in events]
    assert kinds.count("TaskClaimed") == OWNERS + 1
    assert kinds.count("StepStarted") == kinds.count("StepSucceeded") == 1
