"""A real database, the installed plugins and a worker, all in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from agentplat import JsonObject, Submission
from agentplat.contracts.interface import JournalView, TaskView
from agentplat.domain.ids import WorkerId
from agentplat.runtime.app import Platform, open_platform
from agentplat.runtime.bodies import Bodies
from agentplat.runtime.settings import load_settings
from agentplat.runtime.watch import Watcher
from agentplat.runtime.worker import Worker
from agentplat.runtime.worker_state import WorkerOptions

from .iterations import DOCUMENTS

Run: TypeAlias = Callable[[str, JsonObject], Awaitable[tuple[TaskView, list[JournalView]]]]


@pytest.fixture
async def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    """Everything that is installed, over a new database and the documents of these tests."""
    monkeypatch.setenv("AGENTPLAT_MODEL", "offline:extractive")
    monkeypatch.setenv("AGENTPLAT_DOCUMENTS", str(DOCUMENTS))
    settings = load_settings(tmp_path, database_url=f"sqlite:///{tmp_path}/agentplat.db")
    async with open_platform(settings) as platform:
        yield platform


@pytest.fixture
async def run(platform: Platform) -> AsyncIterator[Run]:
    """Submits a task and gives it back when it has ended, with its journal."""
    worker = Worker(
        platform.store,
        lambda: platform.registries,
        platform.definitions,
        Bodies(lambda: platform.registries, platform.settings).run,
        Watcher(platform.plugins.observers),
        options=WorkerOptions(poll_seconds=0.02),
        plugins={},
        worker_id=WorkerId(uuid4()),
    )
    serving = asyncio.create_task(worker.serve())
    client = platform.client(development=True)

    async def run(type: str, given: JsonObject) -> tuple[TaskView, list[JournalView]]:
        task = await client.submit(Submission(type=type, input=given))
        async with asyncio.timeout(60):
            while not task.status.is_terminal:
                await asyncio.sleep(0.02)
                task = await client.task(task.id)
        return task, list(await client.journal(task.id))

    yield run
    worker.stop()
    await asyncio.wait([serving], timeout=30)
