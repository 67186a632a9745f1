import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from agentplat import Agent, AgentContext, AgentSpec, BlockView, Decision, Finish, Start, Strategy, StrategySpec
from agentplat.contracts.extension import WorkflowSpec
from agentplat.contracts.interface import Submission, TaskView
from agentplat.contracts.store import Store
from agentplat.domain.ids import WorkerId
from agentplat.engine.client.identity import user_hasher
from agentplat.engine.client.local import LocalClient
from agentplat.engine.definitions import Definitions
from agentplat.plugins.observers import Observers
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.runtime.bodies import Bodies
from agentplat.runtime.settings import Settings
from agentplat.runtime.sweeper import sweep_once
from agentplat.runtime.watch import Watcher
from agentplat.runtime.worker import Worker, WorkerOptions

Execute = Callable[[dict[str, Any], AgentContext], Awaitable[dict[str, Any]]]


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


class InOrder(Strategy):
    name = "in_order"

    def decide(self, block: BlockView) -> Decision:
        done = len(block.settled)
        if done == len(block.steps):
            return Finish(block.settled[-1].output)
        return Start(block.steps[done], input=block.settled[-1].output if done else block.input)


@dataclass
class Engine:
    """A store, a client, and as many workers as a test wants, all in this process."""

    store: Store
    registries: Registries
    definitions: Definitions
    client: LocalClient
    settings: Settings
    workers: list[tuple[Worker, asyncio.Task[None]]] = field(default_factory=list)

    def start_worker(self, **options: Any) -> Worker:
        bodies = Bodies(lambda: self.registries, self.settings, self.definitions)
        worker = Worker(
            self.store,
            lambda: self.registries,
            self.definitions,
            bodies.run,
            Watcher(Observers({})),
            options=WorkerOptions(**{"poll_seconds": 0.02, **options}),
            plugins={},
            worker_id=WorkerId(uuid4()),
        )
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

    async def kinds(self, task_id: UUID) -> Sequence[str]:
        return [event.kind for event in await self.client.journal(task_id)]

    async def crash(self, worker: Worker) -> None:
        """End a worker as a kill would: nothing more is written, its row stays."""
        _, serving = next(pair for pair in self.workers if pair[0] is worker)
        serving.cancel()
        await asyncio.wait([serving])


@pytest.fixture
def script() -> Script:
    SCRIPT.bodies.clear()
    SCRIPT.asked.clear()
    return SCRIPT


@pytest.fixture
async def engine(store: Store, tmp_path: Path, script: Script) -> AsyncIterator[Engine]:
    builder = RegistryBuilder()
    here = __name__
    for agent in (One, Two):
        builder.register(AgentSpec(name=agent.name, description="", factory=f"{here}:{agent.__name__}"))
    builder.register(StrategySpec(name="in_order", description="", factory=f"{here}:InOrder"))
    for file in sorted((Path(__file__).parent / "workflows").glob("*.yaml")):
        builder.register(WorkflowSpec(name=file.stem, file=str(file)))
    registries = builder.build()
    definitions = Definitions(store)
    settings = Settings(project=tmp_path)
    client = LocalClient(
        store,
        lambda: registries,
        definitions,
        hash_user=user_hasher("hmac-sha256", b"0123456789abcdef"),
        plugins=list,
        development=True,
    )
    engine = Engine(store, registries, definitions, client, settings)
    yield engine
    for worker, serving in engine.workers:
        worker.stop()
        await asyncio.wait([serving], timeout=10)
