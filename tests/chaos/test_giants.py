"""Results of a hundred megabytes: refused, in bounded memory, and nobody else is harmed."""

from pathlib import Path

import pytest

from agentplat.contracts.interface import Submission
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient

from .processes import Workers
from .test_kills import check_journal, ended, submit

GIANT = '''
from agentplat import Agent, AgentContext


class Giant(Agent[dict, dict]):
    """Gives back more than anybody can keep."""

    name = "giant"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        if input["how"] == "one text":
            return {"text": "x" * 100_000_000}
        if input["how"] == "many texts":
            return {"texts": ["x" * 1000 for _ in range(100_000)]}
        raise ValueError("x" * 100_000_000)
'''
MOST = 1024 * 1024 * 1024


@pytest.fixture
def giant(workers: Workers) -> None:
    (workers.folder / "agents" / "giant.py").write_text(GIANT)


def peak(pid: int) -> int:
    """The most bytes that the process has ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


async def test_a_result_of_a_hundred_megabytes_is_refused_and_costs_nobody_else(
    workers: Workers, giant: None, client: LocalClient
) -> None:
    workers.lease_seconds = 15.0
    keeper = workers.start()
    worker = keeper.worker
    neighbours = [await submit(client, pause=0.05) for _ in range(2)]
    wanted = {
        "one text": FailureCode.INVALID_OUTPUT,
        "many texts": FailureCode.INVALID_OUTPUT,
        "an error": FailureCode.AGENT_FAILED,
    }
    giants = {how: (await client.submit(Submission(type="agent:giant", input={"how": how}))).id for how in wanted}
    for how, task_id in giants.items():
        assert await ended(client, task_id) is TaskState.ERROR
        failure = (await client.task(task_id)).failure
        assert failure is not None
        assert failure.code is wanted[how], how
        assert len(failure.message) < 10_000
        if failure.code is FailureCode.INVALID_OUTPUT:
            assert "bytes as JSON" in failure.message
            assert failure.details["limit"] == 1024 * 1024
    for task_id in neighbours:
        assert await ended(client, task_id) is TaskState.DONE
        check_journal(list(await client.journal(task_id)))
    assert keeper.worker == worker, keeper.log.read_text()

    assert 100_000_000 < peak(worker) < MOST, f"{peak(worker):,} bytes"
