"""Children end with their parent, also where its end, or their own, is out of the ordinary."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import select, text, update

from agentplat import BlockView, Decision, Finish, Start, StrategySpec
from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.specs import WorkflowSpec
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState
from agentplat.plugins.registry import RegistryBuilder
from agentplat.runtime.sweeper import upkeep_once
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import definitions, limits, tasks

from .harness import Engine, Given, InOrder, Script

NEVER = 300.0
REFUSES = """\
name: refused
strategy: at_once
steps:
  - {name: below, agent: two, queue: elsewhere}
  - name: branch
    strategy: in_order
    steps:
      - {name: first, wait: {duration: 1s}}
      - {name: later, wait: {signal: unspeakable}}
"""
ON_SQLITE = """
CREATE TRIGGER unspeakable BEFORE INSERT ON journal
WHEN NEW.kind IN ('wait_started', 'step_succeeded') AND NEW.content LIKE '%unspeakable%'
BEGIN SELECT RAISE(ABORT, 'unspeakable'); END
"""
ON_POSTGRESQL = (
    """CREATE FUNCTION agentplat.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'unspeakable' USING ERRCODE = '22000'; END $$""",
    """CREATE TRIGGER unspeakable BEFORE INSERT ON agentplat.journal FOR EACH ROW
    WHEN (NEW.kind IN ('wait_started', 'step_succeeded') AND NEW.content::text LIKE '%unspeakable%')
    EXECUTE FUNCTION agentplat.refuse()""",
)


class AtOnce(InOrder):
    name = "at_once"

    def decide(self, block: BlockView) -> Decision:
        return Finish(None) if block.settled else Start(*block.steps, input={})


async def written(engine: Engine, change: Any) -> None:
    await cast(SqlStore, engine.store)._database.write(change)


async def refuse(transaction: Transaction) -> None:
    """Let the database refuse what says something unspeakable."""
    dialect = transaction.connection.dialect.name
    for statement in (ON_SQLITE,) if dialect == "sqlite" else ON_POSTGRESQL:
        await transaction.connection.execute(text(statement))


async def test_they_end_with_a_parent_whose_write_the_database_refuses(engine: Engine, tmp_path: Path) -> None:
    await written(engine, refuse)
    builder = RegistryBuilder()
    for specs in (engine.registries.agents, engine.registries.strategies):
        for spec in specs:
            builder.register(spec)
    builder.register(StrategySpec(name="at_once", description="", factory=f"{__name__}:AtOnce"))
    (tmp_path / "refused.yaml").write_text(REFUSES, encoding="utf-8")
    builder.register(WorkflowSpec(name="refused", file=str(tmp_path / "refused.yaml")))
    engine.registries = builder.build()
    engine.start_worker()
    parent = await engine.ended(await engine.submit("workflow:refused"))
    assert parent.failure is not None
    assert "The database refused the output" in parent.failure.message
    [child] = await engine.client.tasks(TaskFilter(parent=parent.id))
    assert (await engine.ended(child.id)).status is TaskState.CANCELLED


async def test_those_that_come_of_a_refused_output_keep_to_their_limit(engine: Engine, script: Script) -> None:
    async def give(given: Given, ctx: Any) -> Given:
        return {"said": "unspeakable"}

    script.bodies["one"] = give
    await written(engine, refuse)
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:mends"))

    assert task.status is TaskState.DONE
    assert len(await engine.client.tasks(TaskFilter(parent=task.id))) == 1
    assert [(row.limit.key, row.limit.at_once) for row in await engine.client.limits()] == [("mending", 1)]


async def test_a_child_that_cannot_be_read_here_is_told_all_the_same(engine: Engine, script: Script) -> None:
    """Whoever can read it ends it; its parent does not wait for that."""
    engine.start_worker(poll_seconds=NEVER)
    parent = await engine.submit("workflow:asks", {"topic": "tea"})
    await engine.until(parent, lambda task: task.status is TaskState.WAITING)
    [child] = await engine.client.tasks(TaskFilter(parent=parent))

    async def spoil(transaction: Transaction) -> None:
        execute = transaction.connection.execute
        pin = (await execute(select(tasks.c.definition).where(tasks.c.id == child.id))).scalar_one()
        known = (await execute(select(definitions.c.document).where(definitions.c.hash == pin))).scalar_one()
        newer = {**known, "agents": {"two": {"of_a_newer_version": 1}}}
        await execute(update(definitions).where(definitions.c.hash == pin).values(document=newer))

    await written(engine, spoil)
    await engine.client.cancel(parent)
    await engine.until(child.id, lambda task: task.cancel_requested)
    assert not engine.workers[0][1].done()


async def test_children_that_are_retried_keep_to_the_limit_of_their_workflow(engine: Engine, script: Script) -> None:
    running = most = 0
    fails = True

    async def one(_given: Given, _ctx: Any) -> Given:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1
        if fails:
            raise StepError(FailureCode.AGENT_FAILED, "no", retryable=False)
        return {}

    script.bodies["one"] = one
    engine.start_worker()
    parents = [await engine.submit("workflow:one_at_a_time", {"key": "k", "numbers": [n]}) for n in range(4)]
    for parent in parents:
        await engine.ended(parent)
    children = [child for parent in parents for child in await engine.client.tasks(TaskFilter(parent=parent))]
    assert (most, len(children)) == (1, 4)

    async def age(transaction: Transaction) -> None:
        await transaction.connection.execute(update(limits).values(declared_at=datetime.now(UTC) - timedelta(hours=2)))

    await written(engine, age)
    await upkeep_once(engine.store, Retention())
    assert not await engine.store.limits()
    fails = False
    again = [await engine.client.retry(child.id) for child in children]
    for task in again:
        assert (await engine.ended(task.id)).status is TaskState.DONE
    assert most == 1
