import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agentplat.engine.client.local import LocalClient
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import Settings

from .processes import Workers, write_project
from .traffic import SEED


@pytest.fixture(autouse=True)
def seed() -> None:
    """Say it before anything happens: pytest shows it of a test that fails, wherever it fails."""
    print(f"all chance is of the seed {SEED}; AGENTPLAT_CHAOS_SEED={SEED} gives it again")  # noqa: T201


@pytest.fixture
def workers(tmp_path: Path, database_url: str) -> Iterator[Workers]:
    write_project(tmp_path)
    workers = Workers(tmp_path, re.sub(r"^(\w+)\+\w+:", r"\1:", database_url))
    yield workers
    workers.end()


@pytest.fixture
async def client(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalClient]:
    monkeypatch.setenv("AGENTPLAT_IDENTITY__KEY", "0123456789abcdef")
    settings = Settings(project=workers.folder, database_url=workers.database_url)
    async with open_platform(settings) as platform:
        yield platform.client()
