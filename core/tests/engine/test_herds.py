"""Many at one moment: workers that start together, tasks that wake together, workers of which none can do everything.

AGENTPLAT_HERD= says how many tasks.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.interface import TaskFilter
from agentplat.domain.events import WaitStarted
from agentplat.domain.task import TaskState
from agentplat.plugins.registry import Registry
from agentplat.store.connect import open_store

from .harness import Engine, Script

HERD = int(os.environ.get("AGENTPLAT_HERD", "100"))
WORKERS = 20


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[list[ScheduleStore]]:
    """One for each worker, as separate processes have them."""
    stores = [open_store(database_url, pool_size=2) for _ in range(WORKERS)]
    await asyncio.gather(*(store.open() for store in stores))
    yield stores
    await asyncio.gather(*(store.close() for store in stores))


async def all_are(engine: Engine, status: TaskState) -> bool:
    return len(await engine.store.tasks(TaskFilter(status=status, limit=1000))) == HERD


async def until_all_are(engine: Engine, status: TaskState) -> None:
    async with asyncio.timeout(240):
        while not await all_are(engine, status):
            await engine.store.sweep()
            await asyncio.sleep(0.05)


async def until_all_wait_for_a_signal(engine: Engine) -> None:
    async with asyncio.timeout(240):
        while True:
            await engine.store.sweep()
            waiting = await engine.store.tasks(TaskFilter(status=TaskState.WAITING, limit=1000))
            journals = await engine.store.journals([row.id for row in waiting])
            last = [journal[-1].event for journal in journals.values()]
            if sum(isinstance(event, WaitStarted) and event.signal is not None for event in last) == HERD:
                return
            await asyncio.sleep(0.1)


def asked(script: Script) -> Counter[tuple[str, Any]]:
    return Counter((name, given.get("number")) for name, given in script.asked)


async def test_workers_that_start_at_once_share_what_waits_and_nothing_runs_twice(
    stores: list[ScheduleStore], engine: Engine, script: Script
) -> None:
    await asyncio.gather(*(engine.submit("agent:one", {"number": number}) for number in range(HERD)))
    for store in stores:
        replace(engine, store=store).start_worker(concurrency=10, lease_seconds=300.0)
    await until_all_are(engine, TaskState.DONE)

    assert asked(script) == Counter({("one", number): 1 for number in range(HERD)})


async def test_tasks_that_are_woken_at_once_all_end_and_nothing_runs_twice(
    stores: list[ScheduleStore], engine: Engine, script: Script
) -> None:
    for store in stores[:3]:
        replace(engine, store=store).start_worker(concurrency=50, lease_seconds=300.0)
    ids = await asyncio.gather(*(engine.submit("workflow:patient", {"number": number}) for number in range(HERD)))
    await until_all_wait_for_a_signal(engine)
    await asyncio.gather(
        *(engine.client.signal(task_id, "go", {"number": number}, key="1") for number, task_id in enumerate(ids))
    )
    await until_all_are(engine, TaskState.DONE)

    wanted = Counter({(name, number): 1 for name in ("one", "two") for number in range(HERD)})
    assert asked(script) == wanted
    kinds = [await engine.kinds(task_id) for task_id in ids]
    assert all(each.count("signal_received") == each.count("task_finished") == 1 for each in kinds)


async def test_of_workers_that_lack_an_agent_each_leaves_the_task_to_one_that_has_it(
    engine: Engine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentplat.engine.ownership.HAND_BACK_DELAY", 0.05)
    whole = engine.registries
    for name in ("one", "two"):
        agents = Registry("agent", [whole.agents.offer(name)])
        replace(engine, registries=replace(whole, agents=agents)).start_worker()
    lone = [await engine.submit(f"agent:{name}", {"number": number}) for number in range(5) for name in ("one", "two")]
    for task_id in lone:
        assert (await engine.ended(task_id)).status is TaskState.DONE
    pair = await engine.submit("workflow:pair", {"number": 9})
    left = await engine.until(pair, lambda task: task.reason is not None)
    assert "has no agent" in (left.reason or "")
    assert asked(script) == Counter({(name, number): 1 for name in ("one", "two") for number in range(5)})

    engine.start_worker()
    assert (await engine.ended(pair)).output == {"from": "two"}
