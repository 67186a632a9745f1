"""A store, a client and as many workers as a test wants, all in this process; agents do what the test says."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import update

from agentplat import Agent, AgentContext, BlockView, Decision, Finish, Start, Strategy
from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.interface import Submission, TaskView
from agentplat.domain.ids import WorkerId
from agentplat.engine.client.local import LocalClient
from agentplat.engine.definitions import Definitions
from agentplat.plugins.observers import Observers
from agentplat.plugins.registry import Registries
from agentplat.runtime.bodies import Bodies
from agentplat.runtime.settings import Settings
from agentplat.runtime.sweeper import sweep_once
from agentplat.runtime.watch import Watcher
from agentplat.runtime.worker import Worker
from agentplat.runtime.worker_state import WorkerOptions
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import queue, tasks
from agentplat.telemetry import LEASES_LOST

Given: TypeAlias = dict[str, Any]
Execute: TypeAlias = Callable[[Given, AgentContext], Awaitable[Given]]


class Anything(BaseModel):
    model_config = {"extra": "allow"}


@dataclass
class Script:
    """What the agents of a test do, and what they were asked: agents are made by path, so the script is found here."""

    bodies: dict[str, Execute] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


SCRIPT = Script()


class Scripted(Agent[Anything, dict[str, Any]]):
    """Does what the test says."""

    async def execute(self, input: Anything, ctx: AgentContext) -> dict[str, Any]:
        given = input.model_dump()
        SCRIPT.asked.append((self.name, given))
        body = SCRIPT.bodies.get(self.name)
        return await body(given, ctx) if body is not None else {"from": self.name}


class One(Scripted):
    name = "one"


class Two(Scripted):
    name = "two"


class Free(Agent[Anything, Any]):
    """Gives whatever the test says, whatever that is."""

    name = "free"

    async def execute(self, input: Anything, ctx: AgentContext) -> Any:
        given = input.model_dump()
        return await SCRIPT.bodies[self.name](given, ctx)


class InOrder(Strategy):
    name = "in_order"

    def decide(self, block: BlockView) -> Decision:
        done = len(block.settled)
        if done == len(block.steps):
            return Finish(block.settled[-1].output)
        return Start(block.steps[done], input=block.settled[-1].output if done else block.input)


class Sequential(InOrder):
    name = "sequential"


@dataclass
class Engine:
    """A store, a client, and as many workers as a test wants, all in this process."""

    store: ScheduleStore
    registries: Registries
    definitions: Definitions
    client: LocalClient
    settings: Settings
    workers: list[tuple[Worker, asyncio.Task[None]]] = field(default_factory=list)
    ids: dict[Worker, WorkerId] = field(default_factory=dict)

    def start_worker(self, **options: Any) -> Worker:
        return self.start_worker_that(**options)

    def start_worker_that(self, decides: Callable[[str], None] = lambda _: None, **options: Any) -> Worker:
        bodies = Bodies(lambda: self.registries, self.settings)
        worker_id = WorkerId(uuid4())
        worker = Worker(
            self.store,
            lambda: self.registries,
            self.definitions,
            bodies.run,
            Watcher(Observers({})),
            # Nobody renews it here, so it has to be long: see `lapse`.
            options=WorkerOptions(**{"poll_seconds": 0.02, "lease_seconds": 600.0, **options}),
            plugins={},
            worker_id=worker_id,
            decides=decides,
        )
        self.ids[worker] = worker_id
        self.workers.append((worker, asyncio.create_task(worker.serve())))
        return worker

    async def submit(self, type: str, input: dict[str, Any] | None = None, **more: Any) -> UUID:
        return (await self.client.submit(Submission(type=type, input=input or {}, **more))).id

    async def ended(self, task_id: UUID) -> TaskView:
        return await self.until(task_id, lambda task: task.status.is_terminal)

    async def until(self, task_id: UUID, holds: Callable[[TaskView], bool]) -> TaskView:
        async with asyncio.timeout(30):
            while True:
                await sweep_once(self.store)
                task = await self.client.task(task_id)
                if holds(task):
                    return task
                await asyncio.sleep(0.02)

    async def suspect(self, task_id: UUID, type: str | None = None) -> None:
        """As if a worker had died with it; of another type, if one is given. It is in the workers' queue then."""

        async def write(transaction: Transaction) -> None:
            execute = transaction.connection.execute
            await execute(update(queue).where(queue.c.task_id == task_id).values(suspect=True, queue="default"))
            if type is not None:
                await execute(update(tasks).where(tasks.c.id == task_id).values(type=type))

        await cast(SqlStore, self.store)._database.write(write)

    async def kinds(self, task_id: UUID) -> Sequence[str]:
        return [event.kind for event in await self.client.journal(task_id)]

    async def crash(self, worker: Worker) -> None:
        """End a worker as a kill would: nothing more is written, its row stays, and its lease is over."""
        _, serving = next(pair for pair in self.workers if pair[0] is worker)
        serving.cancel()
        await asyncio.wait([serving])
        await self.lapse(worker)

    async def lapse(self, worker: Worker) -> None:
        """Let the worker's lease end now, as if the time for which nobody renewed it were over."""
        assert await self.store.renew_worker(self.ids[worker], 0.0)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until `holds`, for half a minute at most."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is waited for is a counter of the code under test
            await asyncio.sleep(0.01)


def leases_lost() -> float:
    """How many writes of this process were refused so far."""
    return sum(sample.value for metric in LEASES_LOST.collect() for sample in metric.samples if "total" in sample.name)
