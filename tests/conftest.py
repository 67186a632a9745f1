import re

import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import Migrate


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """What the operator does: every database of these suites is made by the migrations."""

    def migrated(url: str) -> None:
        upgrade(re.sub(r"^(\w+)\+\w+:", r"\1:", url))

    return migrated
