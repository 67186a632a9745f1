"""A task whose history was kept long enough can still be read, listed and retried."""

from agentplat_migrations.connection import changing
from sqlalchemy import text

from agentplat.contracts.interface import TaskFilter
from agentplat.domain.task import TaskState

from .harness import Engine


def forget_history(url: str) -> None:
    """As upkeep leaves tasks that ended long ago."""
    with changing(url) as connection:
        prefix = "agentplat." if connection.dialect.name == "postgresql" else ""
        for table in ("journal", "calls"):
            connection.execute(text(f"delete from {prefix}{table}"))


async def test_a_task_without_history_shows_its_end_and_no_steps(engine: Engine, database_url: str) -> None:
    engine.start_worker()
    task_id = await engine.submit("workflow:pair", {"topic": "tea"})
    before = await engine.ended(task_id)
    assert len(before.steps) == 2
    forget_history(database_url)
    task = await engine.client.task(task_id)
    assert (task.status, task.output, task.steps) == (TaskState.DONE, before.output, ())
    assert task.workflow_state is not None
    assert (task.workflow_state.current, task.workflow_state.outputs) == ("completed", {})
    assert await engine.client.journal(task_id) == []
    assert [each.id for each in await engine.client.tasks(TaskFilter())] == [task_id]


async def test_a_task_without_history_can_be_retried(engine: Engine, database_url: str) -> None:
    engine.start_worker()
    task_id = await engine.submit("workflow:pair", {"topic": "tea"})
    await engine.ended(task_id)
    forget_history(database_url)
    again = await engine.client.retry(task_id)
    assert len((await engine.ended(again.id)).steps) == 2
