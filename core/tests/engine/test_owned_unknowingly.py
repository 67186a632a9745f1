"""A task that a worker owns in the database and does not know of, however that came about."""

import asyncio

import pytest

from agentplat import AgentContext
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.runtime.worker import Worker

from .harness import Engine, Given, Script


async def owned(engine: Engine, worker: Worker) -> TaskId:
    """Claimed in the worker's name, from a queue that it does not serve."""
    task_id = TaskId(await engine.submit("agent:one", queue="later"))
    async with asyncio.timeout(30):
        while not await engine.store.claim(engine.ids[worker], 1, queues=("later",)):  # noqa: ASYNC110 - it registers
            await asyncio.sleep(0.01)
    return task_id


async def test_it_is_given_back_by_and_by(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentplat.runtime.worker._SELDOM", 0.1)
    task_id = await owned(engine, engine.start_worker())
    await engine.until(task_id, lambda task: task.status is TaskState.PENDING)
    engine.start_worker(queues=("later",))
    assert (await engine.ended(task_id)).status is TaskState.DONE


@pytest.mark.parametrize("busy", [False, True])
async def test_its_cancel_is_heard_at_once(engine: Engine, script: Script, busy: bool) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def two(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await go_on.wait()
        return given

    script.bodies["two"] = two
    worker = engine.start_worker(poll_seconds=600.0)
    beside = await engine.submit("agent:two") if busy else None
    if busy:
        async with asyncio.timeout(30):
            await begun.wait()
    task_id = await owned(engine, worker)
    await engine.client.cancel(task_id)
    await engine.until(task_id, lambda task: task.status is TaskState.PENDING)
    engine.start_worker(queues=("later",))
    assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    go_on.set()
    if beside is not None:
        assert (await engine.ended(beside)).status is TaskState.DONE
        assert (await engine.kinds(beside)).count("task_claimed") == 1, "what it knows stays with it"
