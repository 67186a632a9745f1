"""An owner that is told more than it reads at one time."""

import asyncio

import pytest

from agentplat import AgentContext
from agentplat.store.transactions import claims

from .harness import Engine, Given, Script


async def test_it_reads_all_of_it_without_being_told_again(
    engine: Engine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_MOST_ITEMS", 3)
    go_on = asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        await go_on.wait()
        return given

    script.bodies["one"] = one
    task_id = await engine.submit("agent:one")
    for number in range(10):
        await engine.client.signal(task_id, "go", number, key=str(number))
    engine.start_worker(poll_seconds=600.0)
    async with asyncio.timeout(30):
        while (await engine.kinds(task_id)).count("signal_received") < 10:  # noqa: ASYNC110 - what is read is asked for
            await asyncio.sleep(0.02)
    go_on.set()
    await engine.ended(task_id)
