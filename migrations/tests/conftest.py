import pytest
from agentplat_migrations.schema import upgrade


@pytest.fixture
def upgraded_url(database_url: str) -> str:
    upgrade(database_url)
    return database_url
