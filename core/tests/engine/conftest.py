import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentplat import AgentSpec, StrategySpec
from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.specs import WorkflowSpec
from agentplat.engine.client.identity import user_hasher
from agentplat.engine.client.local import LocalClient
from agentplat.engine.definitions import Definitions
from agentplat.plugins.registry import RegistryBuilder
from agentplat.runtime.settings import Settings

from .harness import SCRIPT, Engine, Free, One, Plain, Script, Two


@pytest.fixture
def script() -> Script:
    SCRIPT.bodies.clear()
    SCRIPT.asked.clear()
    return SCRIPT


@pytest.fixture
async def engine(store: ScheduleStore, tmp_path: Path, script: Script) -> AsyncIterator[Engine]:
    builder = RegistryBuilder()
    here = One.__module__
    for agent in (One, Two, Free, Plain):
        builder.register(AgentSpec(name=agent.name, description="", factory=f"{here}:{agent.__name__}"))
    builder.register(StrategySpec(name="in_order", description="", factory=f"{here}:InOrder"))
    builder.register(StrategySpec(name="sequential", description="", factory=f"{here}:Sequential"))
    for file in sorted((Path(__file__).parent / "workflows").glob("*.yaml")):
        builder.register(WorkflowSpec(name=file.stem, file=str(file)))
    registries = builder.build()
    definitions = Definitions(store)
    settings = Settings(project=tmp_path)
    client = LocalClient(
        store,
        lambda: made.registries,
        definitions,
        hash_user=user_hasher("hmac-sha256", b"0123456789abcdef"),
        plugins=list,
        development=True,
    )
    made = Engine(store, registries, definitions, client, settings)
    yield made
    for worker, serving in made.workers:
        worker.stop()
        await asyncio.wait([serving], timeout=10)
