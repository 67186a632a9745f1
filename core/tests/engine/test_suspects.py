"""A task that has to run alone is found, also when the database was away at the first look for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from agentplat import AgentContext
from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Claim
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.engine.definitions import Definitions, Pinned
from agentplat.runtime.sweeper import sweep_once
from agentplat.store.sql_store import SqlStore

from .harness import Engine, Given, Script, until


class AwayOnce:
    """A store that does not answer the first look for suspects."""

    def __init__(self, store: ScheduleStore) -> None:
        self._store = store
        self.struck = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim_suspect(self, *arguments: Any, **options: Any) -> Claim | None:
        if not self.struck:
            self.struck = True
            raise StoreUnavailable("The database is away.")
        return await self._store.claim_suspect(*arguments, **options)


async def test_a_look_that_failed_is_made_up_for_at_the_next_occasion(engine: Engine, script: Script) -> None:
    begun = asyncio.Event()

    async def hang_once(given: Given, ctx: AgentContext) -> Given:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return {}

    script.bodies["one"] = hang_once
    first = engine.start_worker()
    suspect = TaskId(await engine.submit("agent:one"))
    await begun.wait()
    await engine.crash(first)
    await engine.until(suspect, lambda task: task.status is TaskState.PENDING)

    store = AwayOnce(engine.store)
    replace(engine, store=cast(ScheduleStore, store)).start_worker(poll_seconds=600.0)
    await until(lambda: store.struck)
    await asyncio.sleep(0.1)  # until it waits
    cast(SqlStore, engine.store)._database.hints.heard([Hint.TOLD])  # anything but new work

    async with asyncio.timeout(20):
        while (await engine.store.task(suspect)).status is not TaskState.DONE:  # noqa: ASYNC110 - no sweep, which may hint at work
            await asyncio.sleep(0.02)


async def test_a_busy_worker_leaves_a_suspect_to_an_idle_one(engine: Engine, script: Script) -> None:
    begun: set[str] = set()
    go_on, deaths = asyncio.Event(), 0

    async def deadly_once(given: Given, ctx: AgentContext) -> Given:
        nonlocal deaths
        deaths += 1
        if deaths == 1:
            await asyncio.Event().wait()
        return {}

    async def slow(given: Given, ctx: AgentContext) -> Given:
        begun.add(given["name"])
        await go_on.wait()
        return {}

    script.bodies["one"], script.bodies["two"] = slow, deadly_once
    doomed = engine.start_worker(concurrency=1)
    suspect = await engine.submit("agent:two")
    await until(lambda: deaths == 1)
    engine.start_worker(poll_seconds=600.0, concurrency=2)
    await engine.submit("agent:one", {"name": "first"})
    await until(lambda: "first" in begun)
    await engine.crash(doomed)
    await engine.submit("agent:one", {"name": "second"})
    await until(lambda: "second" in begun)  # of the only worker, which does not wait until it is alone
    engine.start_worker(poll_seconds=600.0)
    assert (await engine.ended(suspect)).status is TaskState.DONE
    go_on.set()


async def test_others_begin_beside_a_suspect_as_soon_as_its_step_has_succeeded(engine: Engine, script: Script) -> None:
    deaths, second, go_on = 0, asyncio.Event(), asyncio.Event()

    async def deadly_once(given: Given, ctx: AgentContext) -> Given:
        nonlocal deaths
        deaths += 1
        if deaths == 1:
            await asyncio.Event().wait()
        return {}

    async def long(given: Given, ctx: AgentContext) -> Given:
        if given.get("beside"):
            return {}
        second.set()
        await go_on.wait()
        return {}

    script.bodies["one"], script.bodies["two"] = deadly_once, long
    doomed = engine.start_worker()
    suspect = await engine.submit("workflow:pair")
    await until(lambda: deaths == 1)
    await engine.crash(doomed)
    await sweep_once(engine.store)
    engine.start_worker(poll_seconds=600.0)
    await second.wait()  # of the suspect, whose first step has succeeded
    beside = await engine.submit("agent:two", {"beside": True})
    assert (await engine.ended(beside)).status is TaskState.DONE
    assert (await engine.store.task(TaskId(suspect))).status is TaskState.RUNNING
    go_on.set()
    assert (await engine.ended(suspect)).status is TaskState.DONE


async def test_a_suspect_does_not_begin_beside_another_one_that_goes_on(engine: Engine, script: Script) -> None:
    doomed, steps, others = True, 0, 0
    goes_on, beside = False, False

    async def first(given: Given, ctx: AgentContext) -> Given:
        nonlocal steps, goes_on
        steps += 1
        if doomed:
            await asyncio.Event().wait()
        goes_on = True
        # Long enough for the worker to want the other suspect; the next ones, for it to begin too early.
        await asyncio.sleep(2.5 if steps == 3 else 0.1)
        goes_on = False
        return {}

    async def second(given: Given, ctx: AgentContext) -> Given:
        nonlocal others, beside
        others += 1
        if doomed:
            await asyncio.Event().wait()
        if given.get("last"):
            beside = goes_on  # which of them comes first is nobody's promise
            await asyncio.sleep(0.3)
            beside = beside or goes_on
        return {}

    script.bodies["one"], script.bodies["two"] = first, second
    worker = engine.start_worker()
    await engine.submit("workflow:ten")
    await until(lambda: steps == 1)
    last = await engine.submit("agent:two", {"last": True})
    await until(lambda: others == 1)
    await engine.crash(worker)
    doomed = False
    await sweep_once(engine.store)
    engine.start_worker(poll_seconds=600.0)
    assert (await engine.ended(last)).status is TaskState.DONE
    assert not beside


async def test_a_suspect_waits_for_the_end_of_a_step_and_not_for_that_of_a_task(engine: Engine, script: Script) -> None:
    order: list[str] = []
    doomed, go_on = asyncio.Event(), asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        if given.get("suspect"):
            order.append("suspect")
            if not doomed.is_set():
                doomed.set()
                await asyncio.Event().wait()
            return {}
        order.append("first step")
        await go_on.wait()
        return {}

    async def two(given: Given, ctx: AgentContext) -> Given:
        order.append("second step")
        return {}

    script.bodies["one"], script.bodies["two"] = one, two
    first = engine.start_worker(concurrency=1)
    suspect = await engine.submit("agent:one", {"suspect": True})
    await until(doomed.is_set)
    busy = engine.start_worker(concurrency=5)
    long = await engine.submit("workflow:pair")
    await until(lambda: "first step" in order)
    await engine.crash(first)
    await engine.until(suspect, lambda task: task.status is TaskState.RUNNING)  # claimed by the busy one
    await until(lambda: busy._hands_on)  # until then it waits for the end of everything
    go_on.set()
    assert (await engine.ended(suspect)).status is TaskState.DONE
    assert (await engine.ended(long)).status is TaskState.DONE
    assert order == ["suspect", "first step", "suspect", "second step"]


class SlowToRead:
    """Definitions of which those of workflows are there when the test says so."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.asked, self.there = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._definitions, name)

    async def pinned(self, type: str, hash: str | None) -> Pinned:
        if type.startswith("workflow:"):
            self.asked.set()
            await self.there.wait()
        return await self._definitions.pinned(type, hash)


async def test_a_task_whose_definition_comes_late_does_not_begin_before_a_suspect_that_waits(
    engine: Engine, script: Script
) -> None:
    order: list[str] = []
    doomed = asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        order.append("suspect" if given.get("suspect") else "other")
        if not doomed.is_set():
            doomed.set()
            await asyncio.Event().wait()
        return {}

    script.bodies["one"] = script.bodies["two"] = one
    first = engine.start_worker(concurrency=1)
    suspect = await engine.submit("agent:one", {"suspect": True})
    await until(doomed.is_set)
    slow = SlowToRead(engine.definitions)
    busy = replace(engine, definitions=cast(Definitions, slow)).start_worker(concurrency=5)
    other = await engine.submit("workflow:pair")
    await until(slow.asked.is_set)
    await engine.crash(first)
    await engine.until(suspect, lambda task: task.status is TaskState.RUNNING)
    await until(lambda: busy._hands_on)  # until then it waits for the end of everything
    slow.there.set()
    assert (await engine.ended(suspect)).status is TaskState.DONE
    assert (await engine.ended(other)).status is TaskState.DONE
    assert order == ["suspect", "suspect", "other", "other"]


async def test_a_worker_that_cannot_run_a_suspect_does_not_stop_for_it(engine: Engine, script: Script) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        begun.append(given["name"])
        await go_on.wait()
        return {}

    script.bodies["one"] = one
    unknown = await engine.submit("agent:two", queue="of another worker")
    engine.start_worker(concurrency=5, poll_seconds=600.0)
    await engine.submit("agent:one", {"name": "first"})
    await until(lambda: begun == ["first"])
    await engine.suspect(unknown, type="agent:of_another_worker")
    cast(SqlStore, engine.store)._database.hints.heard([Hint.SUSPECT])
    await engine.until(unknown, lambda task: task.reason is not None)
    await engine.submit("agent:one", {"name": "second"})
    await until(lambda: begun == ["first", "second"])
    go_on.set()


async def test_who_runs_a_suspect_looks_for_what_it_was_told_only_when_somebody_was_told(
    engine: Engine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0

    async def hang(given: Given, ctx: AgentContext) -> Given:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = hang
    first = engine.start_worker()
    suspect = TaskId(await engine.submit("agent:one"))
    await until(lambda: begun == 1)
    await engine.crash(first)
    await sweep_once(engine.store)
    engine.start_worker(poll_seconds=600.0)
    await until(lambda: begun == 2)

    looks, woken = 0, engine.store.woken

    async def look(worker_id: WorkerId) -> Sequence[TaskId]:
        nonlocal looks
        looks += 1
        return await woken(worker_id)

    monkeypatch.setattr(engine.store, "woken", look)
    hints = cast(SqlStore, engine.store)._database.hints
    for _ in range(20):
        hints.heard([Hint.WORK])  # on SQLite whoever commits anything is heard
        await asyncio.sleep(0.01)
    assert looks <= 1
    await engine.client.cancel(suspect)
    assert (await engine.ended(suspect)).status is TaskState.CANCELLED
    assert looks > 0
