"""An agent that asks for the end of its process, where nobody can catch it but the event loop."""

from __future__ import annotations

import pytest

from agentplat.contracts.interface import Submission
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient

from .processes import Workers
from .test_kills import until

LEAVING = '''
import asyncio
import os
import sys

from agentplat import Agent, AgentContext


class Leaving(Agent[dict, dict]):
    """Leaves at its first execution, in a task of its own."""

    name = "leaving"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        with open(os.environ["MARKS"], "a+") as marks:
            marks.write(f"{ctx.task_id} leaving\\n")
            marks.seek(0)
            if len(marks.readlines()) == 1:
                await asyncio.gather(self.leave())
        return {"stayed": True}

    async def leave(self) -> None:
        sys.exit()
'''


@pytest.fixture
def leaving(workers: Workers) -> None:
    (workers.folder / "agents" / "leaving.py").write_text(LEAVING)


async def test_a_worker_whose_agent_leaves_is_replaced_and_hands_its_task_back(
    workers: Workers, leaving: None, client: LocalClient
) -> None:
    workers.lease_seconds = 300.0  # nobody waits for its end
    keeper = workers.start()
    task_id = (await client.submit(Submission(type="agent:leaving", input={}))).id

    async def is_over() -> bool:
        assert keeper.process.poll() is None, "the keeper took it for an end"
        return (await client.task(task_id)).status.is_terminal

    await until(is_over)

    task = await client.task(task_id)
    assert (task.status, task.output) == (TaskState.DONE, {"stayed": True})
    assert [event["exit_code"] for event in keeper.events("worker_died")] == [1]
    assert workers.executions(task_id) == {"leaving": 2}
