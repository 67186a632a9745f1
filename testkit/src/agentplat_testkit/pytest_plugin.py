"""The pytest plugin of agentplat-testkit: databases of both kinds, fresh for every test.

A suite whose databases should hold tables overrides the fixture `migrate` in its conftest.py:

    @pytest.fixture(scope="session")
    def migrate() -> Migrate:
        return upgrade  # a function that takes an address; it runs once per backend, tests get clones
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run of an environment imports this module, most of them need no database
    from agentplat_testkit.databases import Migrate, PostgresDatabases, SqliteDatabases

__all__ = ["database_url", "migrate", "needs_own_sessions", "postgres_url", "sqlite_url"]

SERVER_VARIABLE = "AGENTPLAT_TEST_POSTGRES_URL"
POOLER_VARIABLE = "AGENTPLAT_TEST_POOLER"

needs_own_sessions = pytest.mark.skipif(
    POOLER_VARIABLE in os.environ, reason="it is about sessions of the server, and a pooler has them instead"
)


@pytest.fixture(scope="session")
def migrate() -> "Migrate | None":
    """What is run on every new database; override it. None leaves databases empty."""
    return None


@pytest.fixture(scope="session")
def postgres_databases() -> "Iterator[PostgresDatabases]":
    """Databases on the server that AGENTPLAT_TEST_POSTGRES_URL names, else on one that this session owns.

    AGENTPLAT_TEST_POOLER puts a pooler by transaction before each: ours ("unkind"), or the real one ("pgbouncer").
    A session that can have neither fails: a suite that skipped a backend would look as if it had passed.
    """
    from agentplat_testkit.databases import PostgresDatabases
    from agentplat_testkit.postgres import PostgresServer

    pooler = os.environ.get(POOLER_VARIABLE)
    if given := os.environ.get(SERVER_VARIABLE):
        databases = PostgresDatabases(given, pooler)
        yield databases
        databases.close()
        return
    with PostgresServer() as server:
        yield PostgresDatabases(server.url(), pooler)


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> "SqliteDatabases":
    """Database files in a folder of this session."""
    from agentplat_testkit.databases import SqliteDatabases

    return SqliteDatabases(tmp_path_factory.mktemp("databases"))


@pytest.fixture
def postgres_url(postgres_databases: "PostgresDatabases", migrate: "Migrate | None") -> Iterator[str]:
    """The SQLAlchemy address of a PostgreSQL database that only this test sees."""
    with postgres_databases.fresh(migrate) as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_databases: "SqliteDatabases", migrate: "Migrate | None") -> str:
    """The SQLAlchemy address of an SQLite file that only this test sees."""
    return sqlite_databases.fresh(migrate)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a database that only this test sees; the test runs once on each backend."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url
