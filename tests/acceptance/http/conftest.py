import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from agentplat_testkit.databases import Migrate, PostgresDatabases, SqliteDatabases

from .processes import PROJECT, Server, served

NewDatabase: TypeAlias = Callable[[], str]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def new_database(
    backend: str, postgres_databases: PostgresDatabases, sqlite_databases: SqliteDatabases, migrate: Migrate
) -> Iterator[NewDatabase]:
    """Makes a migrated database and gives its address, as a setting says it."""
    with ExitStack() as made:

        def new() -> str:
            fresh = sqlite_databases.fresh(migrate) if backend == "sqlite" else None
            url = fresh or made.enter_context(postgres_databases.fresh(migrate))
            return re.sub(r"^(\w+)\+\w+:", r"\1:", url)

        yield new


@pytest.fixture(scope="session")
def folder(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"http-{backend}")


@pytest.fixture(scope="session")
def server(folder: Path, new_database: NewDatabase) -> Iterator[Server]:
    """An API whose tasks are worked on."""
    with served(folder / "working", new_database(), worked=True) as server:
        yield server


@pytest.fixture(scope="session")
def idle(folder: Path, new_database: NewDatabase) -> Iterator[Server]:
    """An API whose tasks nobody works on: they stay pending."""
    # A copy, since workflows may be put into it.
    project = shutil.copytree(PROJECT, folder / "project of idle")
    with served(folder / "idle", new_database(), AGENTPLAT_PROJECT=str(project)) as server:
        yield server
