from collections.abc import AsyncIterator

import pytest
from agentplat_testkit.databases import Migrate
from sqlalchemy import create_engine, text
from sqlalchemy.schema import CreateSchema

from agentplat.contracts.store import Store
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.tables import REVISION, SCHEMA, VERSION_TABLE, metadata


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    def create(url: str) -> None:
        address = Address.parse(url)
        if address.dialect == "sqlite":
            engine = create_engine(
                f"sqlite:///{address.file}", execution_options={"schema_translate_map": {SCHEMA: None}}
            )
        else:
            engine = create_engine(url)
        with engine.begin() as connection:
            prefix = ""
            if address.dialect == "postgresql":
                connection.execute(CreateSchema(SCHEMA))
                prefix = f"{SCHEMA}."
            metadata.create_all(connection)
            connection.execute(text(f"create table {prefix}{VERSION_TABLE} (version_num varchar(32))"))
            connection.execute(text(f"insert into {prefix}{VERSION_TABLE} values ('{REVISION}')"))
        engine.dispose()

    return create


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = open_store(database_url)
    await store.open()
    yield store
    await store.close()
