import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import Migrate, SqliteDatabases

from agentplat.contracts.store import Store
from agentplat.store.connect import open_store

from .playing import World

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    return upgrade


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = open_store(database_url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def other_store(store: Store, database_url: str) -> AsyncIterator[Store]:
    """Another process's view of the same database."""
    other = open_store(database_url)
    await other.open()
    yield other
    await other.close()


@pytest.fixture
async def store_on_postgres(postgres_url: str) -> AsyncIterator[Store]:
    """For what SQLite cannot show: there a writing transaction is alone."""
    store = open_store(postgres_url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, migrate: Migrate) -> Iterator[str]:
    """SQLite in memory where that can be: nothing here asks what a disk keeps, and thousands of commits wait for it."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres_url")
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield SqliteDatabases(Path(folder)).fresh(migrate)


@pytest.fixture
def world(url: str) -> Iterator[World]:
    world = World(url)
    yield world
    world.close()
