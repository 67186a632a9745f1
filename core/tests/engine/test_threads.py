"""Plain `execute` methods run in threads: as many at once as a worker has slots, whatever other ones do."""

import asyncio
import threading
import time

import pytest

from agentplat import AgentContext
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState
from agentplat.runtime.lifeline import Lifeline

from .harness import Engine, Given, Script

LATE = 1e9


@pytest.fixture
def one_thread(engine: Engine) -> None:
    worker = engine.settings.worker.model_copy(update={"concurrency": 1})
    engine.settings = engine.settings.model_copy(update={"worker": worker})


async def test_as_many_of_them_run_at_once_as_a_worker_has_slots(engine: Engine, script: Script) -> None:
    everybody = threading.Barrier(60, timeout=20)

    def meet(given: Given, ctx: AgentContext) -> Given:
        everybody.wait()
        return given

    script.plain = meet
    engine.start_worker()
    ids = [await engine.submit("agent:plain") for _ in range(60)]

    assert {(await engine.ended(task_id)).status for task_id in ids} == {TaskState.DONE}


async def test_the_time_of_a_step_begins_with_its_thread(engine: Engine, script: Script, one_thread: None) -> None:
    left: list[float] = []

    def block(given: Given, ctx: AgentContext) -> Given:
        left.append(ctx.deadline)
        time.sleep(0.5)
        return given

    script.plain = block
    engine.start_worker()
    ids = [await engine.submit("workflow:blocks", {"given": {}}) for _ in range(5)]

    assert {(await engine.ended(task_id)).status for task_id in ids} == {TaskState.DONE}
    assert min(left) > 1.2


async def test_whoever_is_cancelled_or_refused_before_its_thread_takes_none_away(
    engine: Engine, script: Script, one_thread: None
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def block(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        go_on.wait(20)
        return given

    script.plain = block
    engine.start_worker()
    first, waiting = await engine.submit("agent:plain"), await engine.submit("agent:plain")
    await asyncio.to_thread(begun.wait, 20)
    await engine.client.cancel(waiting)
    try:
        assert (await engine.ended(waiting)).status is TaskState.CANCELLED
    finally:
        go_on.set()
    assert (await engine.ended(first)).status is TaskState.DONE
    for given, status in (([1], TaskState.ERROR), ([1], TaskState.ERROR), ({}, TaskState.DONE)):
        assert (await engine.ended(await engine.submit("workflow:blocks", {"given": given}))).status is status


async def test_a_thread_that_outlives_its_step_counts_until_it_ends(engine: Engine, script: Script) -> None:
    go_on, line = threading.Event(), Lifeline()

    def hang(given: Given, ctx: AgentContext) -> Given:
        go_on.wait(20)
        return given

    script.plain = hang
    engine.start_worker(line)
    task_id = await engine.submit("workflow:blocks", {"given": {}})
    try:
        task = await engine.ended(task_id)
        assert task.failure is not None
        assert task.failure.code is FailureCode.TIMEOUT
        assert line.overdue(LATE) == task_id
    finally:
        go_on.set()
    async with asyncio.timeout(20):
        while line.overdue(LATE) is not None:  # noqa: ASYNC110 - it is memory
            await asyncio.sleep(0.01)
    script.plain = lambda given, ctx: given
    assert (await engine.ended(await engine.submit("workflow:blocks", {"given": {}}))).status is TaskState.DONE
    assert line.overdue(LATE) is None
