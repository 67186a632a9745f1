"""Workers whose tasks wait for limits, and how they hear that there is room."""

import asyncio
from typing import Any

import pytest

from agentplat.contracts.interface import Submission
from agentplat.contracts.limits import Limit
from agentplat.domain.errors import InputRejected, NotFound
from agentplat.domain.task import TaskState

from .harness import Engine, Given, Script, until

NEVER = 300.0
"""A worker that looks this rarely has to be told."""


async def test_room_that_one_worker_makes_is_heard_of_by_another(engine: Engine, script: Script) -> None:
    """They serve different queues, so that the freed slot of the one is of no use."""
    may_end = asyncio.Event()

    async def wait(given: Given, _ctx: Any) -> Given:
        if given["name"] == "first":
            await may_end.wait()
        return {}

    script.bodies["one"] = wait
    await engine.client.set_limit(Limit(tenant="default", at_once=1))
    engine.start_worker(queues=("a",), poll_seconds=NEVER)
    engine.start_worker(queues=("b",), poll_seconds=NEVER)
    first = await engine.submit("agent:one", {"name": "first"}, queue="a")
    await until(lambda: len(script.asked) == 1)
    second = await engine.submit("agent:one", {"name": "second"}, queue="b")
    held = await engine.until(second, lambda task: task.reason is not None)
    assert held.reason == "waits for the limit of the tenant `default`: 1 of 1 running"
    may_end.set()
    for task_id in (first, second):
        assert (await engine.ended(task_id)).status is TaskState.DONE


async def test_a_limit_holds_over_workers_and_all_tasks_end(engine: Engine, script: Script) -> None:
    running, most = 0, 0

    async def count(_given: Given, _ctx: Any) -> Given:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return {}

    script.bodies["one"] = count
    await engine.client.set_limit(Limit(tenant="default", key="crm", at_once=2))
    submission = Submission(type="agent:one", input={}, concurrency_key="crm")
    accepted = await engine.client.submit_all([submission] * 30)
    for _ in range(3):
        engine.start_worker(poll_seconds=NEVER)
    for each in accepted:
        assert (await engine.ended(each.id)).status is TaskState.DONE
    assert most == 2


async def test_tasks_under_a_rate_start_when_it_has_room(engine: Engine) -> None:
    await engine.client.set_limit(Limit(tenant="default", key="crm", starts=1, seconds=0.2))
    engine.start_worker(poll_seconds=NEVER)
    tasks = [await engine.submit("agent:one", concurrency_key="crm") for _ in range(3)]
    ended = [await engine.ended(task_id) for task_id in tasks]
    claims = [(await engine.client.journal(task.id))[1].at for task in ended]
    assert (claims[2] - claims[0]).total_seconds() > 0.3


async def test_a_retry_stands_where_its_source_stood(engine: Engine) -> None:
    engine.start_worker(queues=("slow",))
    source = await engine.submit("agent:one", queue="slow", concurrency_key="crm", priority=4)
    await engine.ended(source)
    again = await engine.client.retry(source)
    row = await engine.store.task((await engine.ended(again.id)).id)  # type: ignore[arg-type]
    assert (row.queue, row.concurrency_key, row.priority) == ("slow", "crm", 4)


async def test_of_many_submissions_with_a_fault_nothing_is_kept(engine: Engine) -> None:
    good = Submission(type="agent:one", input={})
    wrong = [Submission(type="agent:nobody", input={}), Submission(type="agent:one", input={}, queue="")]
    with pytest.raises(InputRejected) as refused:
        await engine.client.submit_all([good, *wrong])
    assert [pointer for pointer, _ in refused.value.faults] == ["/tasks/1/type", "/tasks/2/queue"]
    for many in ([], [good] * 1001):
        with pytest.raises(InputRejected):
            await engine.client.submit_all(many)
    assert not await engine.store.audit()


async def test_a_limit_that_is_not_there_cannot_be_removed(engine: Engine) -> None:
    with pytest.raises(NotFound):
        await engine.client.remove_limit("default", "crm")
