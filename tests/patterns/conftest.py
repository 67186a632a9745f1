import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.model import ModelProviderSpec
from agentplat.domain.ids import WorkerId
from agentplat.engine.client.identity import user_hasher
from agentplat.engine.client.local import LocalClient
from agentplat.engine.definitions import Definitions
from agentplat.plugins.host import load_plugins
from agentplat.plugins.observers import Observers
from agentplat.plugins.project.generation import load_project
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.runtime.bodies import Bodies
from agentplat.runtime.settings import Settings
from agentplat.runtime.watch import Watcher
from agentplat.runtime.worker import Worker
from agentplat.runtime.worker_state import WorkerOptions
from agentplat.store.connect import open_store

from .stage import FOLDER, SAID, Actor, Said, Stage


@pytest.fixture
def said() -> Iterator[Said]:
    SAID.clear()
    yield SAID
    left = {who: replies for who, replies in SAID.items() if replies}
    assert left == {}, "nobody asked for this"


@pytest.fixture(scope="session")
def registries() -> Registries:
    """What is installed, the folder of patterns, and a model that says what the test wrote down."""
    builder = RegistryBuilder(load_plugins().registries)
    spec = ModelProviderSpec(
        name="said", description="", factory=f"{Actor.__module__}:Actor", default_model="script", generates=True
    )
    builder.register(spec)
    project = load_project(FOLDER, builder.build())
    assert project.faults == ()
    return project.registries


@pytest.fixture
async def stage(database_url: str, registries: Registries) -> AsyncIterator[Stage]:
    store: ScheduleStore = open_store(database_url)
    await store.open()
    definitions = Definitions(store)
    client = LocalClient(
        store,
        lambda: registries,
        definitions,
        hash_user=user_hasher("hmac-sha256", b"0123456789abcdef"),
        plugins=list,
        development=True,
    )
    worker = Worker(
        store,
        lambda: registries,
        definitions,
        Bodies(lambda: registries, Settings(project=FOLDER, model="said:script")).run,
        Watcher(Observers({})),
        options=WorkerOptions(poll_seconds=0.02, lease_seconds=600.0),
        plugins={},
        worker_id=WorkerId(uuid4()),
    )
    serving = asyncio.create_task(worker.serve())
    yield Stage(client, store)
    worker.stop()
    await asyncio.wait([serving], timeout=10)
    await store.close()
