"""A database that refuses every write about one task for a while, its being given back included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from agentplat_migrations.connection import changing
from sqlalchemy import text
from structlog.testing import capture_logs

from agentplat import AgentContext
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState

from .harness import Engine, Given, Script, until

_POSTGRESQL = (
    "create function agentplat.refuse() returns trigger language plpgsql as 'begin raise exception ''not now''; end'",
    """create trigger refuse before update or delete on agentplat.queue
       for each row when (old.task_id = '{id}') execute function agentplat.refuse()""",
)
_SQLITE = tuple(
    f"create trigger refuse_{what} before {what} on queue when old.task_id = '{{hex}}'"
    " begin select raise(abort, 'not now'); end"
    for what in ("update", "delete")
)
_MENDED = {
    "postgresql": ("drop trigger refuse on agentplat.queue",),
    "sqlite": ("drop trigger refuse_update", "drop trigger refuse_delete"),
}


@asynccontextmanager
async def refused(url: str, task_id: UUID) -> AsyncIterator[None]:
    def change(statements: Mapping[str, Sequence[str]]) -> None:
        with changing(url) as connection:
            for statement in statements[connection.dialect.name]:
                connection.execute(text(statement.format(id=task_id, hex=task_id.hex)))

    await asyncio.to_thread(change, {"postgresql": _POSTGRESQL, "sqlite": _SQLITE})
    try:
        yield
    finally:
        await asyncio.to_thread(change, _MENDED)


async def test_the_task_does_not_stay_for_ever_with_a_worker_that_has_dropped_it(
    engine: Engine, script: Script, database_url: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await go_on.wait()
        return given

    script.bodies["one"] = one
    worker = engine.start_worker(lease_seconds=600.0)  # it lives, and is renewed: no sweeper will help
    task_id = await engine.submit("agent:one")
    async with asyncio.timeout(30):
        await begun.wait()
    with capture_logs() as lines:
        async with refused(database_url, task_id):
            go_on.set()
            await until(lambda: not worker._adopted)
            other = await engine.ended(await engine.submit("agent:two"))
            await until(lambda: any(line["event"] == "tasks_not_given_back" for line in lines))
            row = await engine.store.task(TaskId(task_id))

    assert (row.status, row.worker_id) == (TaskState.RUNNING, engine.ids[worker]), "the fault did not strike"
    assert other.status is TaskState.DONE, "the others go on"
    assert (await engine.ended(task_id)).status is TaskState.DONE
