"""What meets at one moment: a cancel and a claim, a death and the next owner, a suspect and its neighbours."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from agentplat import AgentContext, AgentSpec, Effect, Tool, ToolContext, ToolSpec
from agentplat.contracts.store import Claim, Store, WorkerRow, Write, WriteResult
from agentplat.domain.commands import ScheduleRetry
from agentplat.domain.events import RetryScheduled, SignalReceived
from agentplat.domain.ids import StepPath, TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.engine.client import steering
from agentplat.engine.history import realise
from agentplat.plugins.registry import RegistryBuilder
from agentplat.runtime.sweeper import sweep_once

from .harness import Anything, Engine, Given, Script, Scripted, until


class Overtaken:
    """The store, through which a worker claims the task in the moment before the first write of whoever uses it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.claims: Sequence[Claim] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        if not self.claims:
            worker = WorkerRow(id=WorkerId(uuid4()), host="here", pid=1, version="0", capacity=1, plugins={})
            await self._store.register_worker(worker, 60.0)
            self.claims = await self._store.claim(worker.id, 1)
        return await self._store.commit(writes)


async def test_a_cancel_that_is_overtaken_by_a_claim_reaches_the_new_owner(engine: Engine) -> None:
    task_id = TaskId(await engine.submit("workflow:pair"))
    store = Overtaken(engine.store)
    await steering.cancel(
        task_id, "on request", store=cast(Store, store), definitions=engine.definitions, catalog=engine.registries
    )
    [claim] = store.claims
    assert claim.lease.task_id == task_id, "the fault did not strike"
    assert [item.kind for item in await engine.store.inbox([claim.lease])] == ["cancel"]
    row = await engine.store.task(task_id)
    assert (row.status, row.cancel_requested) == (TaskState.RUNNING, True)


MADE: list[Given] = []


class Look(Tool[Anything, Given]):
    """Counts how often it is asked."""

    name = "look"
    effect = Effect.READS

    async def execute(self, input: Anything, ctx: ToolContext) -> Given:
        MADE.append(input.model_dump())
        return {"seen": len(MADE)}


class Looking(Scripted):
    name = "looking"
    tools = ("look",)


def let_look(engine: Engine, tool: type[Look] = Look) -> None:
    """Install the agent `looking` with that tool; MADE has what it is asked from now on."""
    builder = RegistryBuilder(engine.registries)
    agent, look = (f"{each.__module__}:{each.__name__}" for each in (Looking, tool))
    builder.register(AgentSpec(name="looking", description="", factory=agent, tools=("look",)))
    builder.register(ToolSpec(name="look", description="", factory=look, effect=tool.effect))
    engine.registries = builder.build()
    MADE.clear()


async def test_calls_that_a_dead_worker_made_are_not_made_again(engine: Engine, script: Script) -> None:
    let_look(engine)
    begun = asyncio.Event()

    async def look_twice(given: Given, ctx: AgentContext) -> Given:
        first = await ctx.tools.call("look", at="first")
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        second = await ctx.tools.call("look", at="second")
        return {"seen": [first["seen"], second["seen"]]}

    script.bodies["looking"] = look_twice
    worker = engine.start_worker()
    task_id = await engine.submit("agent:looking")
    await begun.wait()
    async with asyncio.timeout(30):
        while not await engine.store.calls(TaskId(task_id)):  # noqa: ASYNC110 - a record that nobody waits for
            await asyncio.sleep(0.01)
    await engine.crash(worker)
    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.output == {"seen": [1, 2]}
    assert [name for name, _ in script.asked] == ["looking", "looking"]
    assert [made["at"] for made in MADE] == ["first", "second"]


async def test_a_suspect_waits_until_it_is_alone(engine: Engine, script: Script) -> None:
    ones, twos, go_on = 0, 0, asyncio.Event()

    async def slow(given: Given, ctx: AgentContext) -> Given:
        nonlocal ones
        ones += 1
        await go_on.wait()
        return {}

    async def deadly_once(given: Given, ctx: AgentContext) -> Given:
        nonlocal twos
        twos += 1
        if twos == 1:
            await asyncio.Event().wait()
        return {"alone": ones == 1 and go_on.is_set()}

    script.bodies["one"], script.bodies["two"] = slow, deadly_once
    doomed = engine.start_worker()
    suspect = await engine.submit("agent:two")
    await until(lambda: twos == 1)
    await engine.crash(doomed)
    # Before anybody knows of the death, the next worker has something to do.
    engine.start_worker()
    neighbour = await engine.submit("agent:one")
    await until(lambda: ones == 1)
    async with asyncio.timeout(30):
        while (await engine.store.task(TaskId(suspect))).fence != 2:
            await sweep_once(engine.store)
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)  # several polls, in which it could begin
    assert twos == 1
    go_on.set()

    assert (await engine.ended(suspect)).output == {"alone": True}
    assert (await engine.ended(neighbour)).status is TaskState.DONE


def test_what_failed_together_does_not_come_back_together() -> None:
    command = ScheduleRetry(
        path=StepPath.parse("step"), try_number=2, least=timedelta(seconds=1), most=timedelta(seconds=60)
    )
    events = [realise(command) for _ in range(20)]
    delays = {event.delay for event in events if isinstance(event, RetryScheduled)}
    assert len(delays) > 10
    assert all(1.0 <= delay <= 60.0 for delay in delays)


async def test_children_that_are_told_while_their_parent_is_written_leave_it_an_owner(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent is kept while its children are being told to end; that they know it by the end of a commit is no end."""
    may_tell, is_told = asyncio.Event(), asyncio.Event()
    worker = engine.start_worker(poll_seconds=300.0)
    recall, commit = worker._recall, engine.store.commit

    async def hold(*arguments: Any) -> None:
        await may_tell.wait()
        await recall(*arguments)
        is_told.set()

    async def tell_meanwhile(writes: Sequence[Write]) -> Sequence[WriteResult]:
        results = await commit(writes)
        if any(isinstance(event, SignalReceived) for write in writes for event in write.events):
            may_tell.set()
            await is_told.wait()
            await asyncio.sleep(0)
        return results

    monkeypatch.setattr(worker, "_recall", hold)
    monkeypatch.setattr(engine.store, "commit", tell_meanwhile)
    task_id = await engine.submit("workflow:asks", {"topic": "tea"})
    await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
    await engine.client.cancel(task_id)
    await until(lambda: any(owner._children.recalled for owner in worker._owners.values()))
    await engine.client.signal(task_id, "hello", None, "1")
    assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    assert is_told.is_set()
