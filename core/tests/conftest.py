from collections.abc import AsyncIterator

import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import Migrate

from agentplat.contracts.store import Store
from agentplat.store.connect import open_store


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    return upgrade


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = open_store(database_url)
    await store.open()
    yield store
    await store.close()
