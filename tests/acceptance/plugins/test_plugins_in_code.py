"""Registration in code: a program that brings its own agent, beside everything that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agentplat import Agent, AgentContext, AgentSpec, Submission, TaskView
from agentplat.domain.ids import WorkerId
from agentplat.engine.client.identity import user_hasher
from agentplat.engine.client.local import LocalClient
from agentplat.plugins.offers import OfferInvalid
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.runtime.app import Platform, open_platform
from agentplat.runtime.bodies import Bodies
from agentplat.runtime.settings import load_settings
from agentplat.runtime.watch import Watcher
from agentplat.runtime.worker import Worker
from agentplat.runtime.worker_state import WorkerOptions


class Shout(Agent[dict[str, Any], dict[str, Any]]):
    """Says it in capitals."""

    name = "shout"

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> dict[str, Any]:
        return {"text": str(input["text"]).upper() + str(ctx.config.get("end", ""))}


class Research(Agent[dict[str, Any], dict[str, Any]]):
    """Knows one thing."""

    name = "research"

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> dict[str, Any]:
        return {"findings": f"On {input['topic']}: A lease ends by itself when nobody renews it.", "sources": []}


SHOUT = AgentSpec(name="shout", description="Says it in capitals.", factory=f"{__name__}:Shout", config={"end": "!"})
RESEARCH = AgentSpec(name="research", description="Knows one thing.", factory=f"{__name__}:Research")


@pytest.fixture
async def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    monkeypatch.setenv("AGENTPLAT_MODEL", "offline")
    settings = load_settings(tmp_path, database_url=f"sqlite:///{tmp_path}/agentplat.db")
    async with open_platform(settings) as platform:
        yield platform


async def finished(platform: Platform, registries: Registries, submission: Submission) -> TaskView:
    """The task, worked on with these registries."""
    worker = Worker(
        platform.store,
        lambda: registries,
        platform.definitions,
        Bodies(lambda: registries, platform.settings).run,
        Watcher(platform.plugins.observers),
        options=WorkerOptions(poll_seconds=0.02),
        plugins={},
        worker_id=WorkerId(uuid4()),
    )
    client = LocalClient(
        platform.store,
        lambda: registries,
        platform.definitions,
        hash_user=user_hasher("sha256", b""),
        plugins=platform.described_plugins,
        development=True,
    )
    serving = asyncio.create_task(worker.serve())
    try:
        task = await client.submit(submission)
        async with asyncio.timeout(120):
            while not task.status.is_terminal:
                await asyncio.sleep(0.02)
                task = await client.task(task.id)
    finally:
        worker.stop()
        await asyncio.wait([serving], timeout=60)
    return task


async def test_an_agent_that_is_registered_in_code_works_beside_the_installed_ones(platform: Platform) -> None:
    builder = RegistryBuilder(platform.registries)
    builder.register(SHOUT)
    registries = builder.build()

    assert set(registries.agents.names) - set(platform.registries.agents.names) == {"shout"}
    assert registries.agents.offer("shout").origin == "code"
    task = await finished(platform, registries, Submission(type="agent:shout", input={"text": "hello"}))
    assert (task.status.value, task.output) == ("done", {"text": "HELLO!"})


async def test_code_replaces_an_installed_name_only_when_it_says_so(platform: Platform) -> None:
    builder = RegistryBuilder(platform.registries)
    with pytest.raises(OfferInvalid, match="Agent 'research' is offered by plugin agent-research already"):
        builder.register(RESEARCH)

    builder.register(replace(RESEARCH, replaces=True))
    registries = builder.build()
    task = await finished(
        platform, registries, Submission(type="workflow:simple_sequential", input={"topic": "leases"})
    )
    assert task.status.value == "done"
    assert task.output is not None
    assert "A lease ends by itself" in str(task.output["summary"])
