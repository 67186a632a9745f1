"""A task that kills every worker it meets, and those that happen to be in the same process."""

import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from uuid import UUID

import psycopg
import pytest

from agentplat.contracts.interface import Submission
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.store.address import Address

from .processes import STEPS, Workers
from .test_kills import check_journal, submit, succeeded, until

DEADLY = '''
import os
import signal

from agentplat import Agent, AgentContext


class Deadly(Agent[dict, dict]):
    """Kills the process that runs it."""

    name = "deadly"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        with open(os.environ["MARKS"], "a") as marks:
            marks.write(f"{ctx.task_id} deadly\\n")
        os.kill(os.getpid(), signal.SIGKILL)
        return {}
'''


@pytest.fixture
def poison(workers: Workers) -> None:
    (workers.folder / "agents" / "deadly.py").write_text(DEADLY)


def crashes(url: str, tasks: Sequence[UUID]) -> list[int]:
    """How many crashes the database counts for each of those tasks that have not ended."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as connection:
            marks = ", ".join("?" * len(tasks))
            statement = f"SELECT crashes FROM queue WHERE task_id IN ({marks})"
            return [row[0] for row in connection.execute(statement, [task.hex for task in tasks])]
    with psycopg.connect(Address.parse(url).libpq) as session:
        rows = session.execute("SELECT crashes FROM agentplat.queue WHERE task_id = ANY (%s)", [list(tasks)])
        return [row[0] for row in rows]


async def test_what_kills_its_worker_ends_as_poison_and_its_neighbours_end_well(
    workers: Workers, poison: None, client: LocalClient
) -> None:
    workers.lease_seconds = 15.0
    keeper = workers.start()

    neighbours = [await submit(client, pause=0.2) for _ in range(2)]
    for task_id in neighbours:
        await until(lambda task_id=task_id: _has_begun(client, task_id))  # type: ignore[misc]
    deadly = (await client.submit(Submission(type="agent:deadly", input={}))).id
    counted: set[int] = set()

    async def all_are_over() -> bool:
        counted.update(crashes(workers.database_url, neighbours))
        return all([(await client.task(task_id)).status.is_terminal for task_id in (deadly, *neighbours)])

    await until(all_are_over)
    died = keeper.events("worker_died")
    assert len(died) == 4, "first among others, then three times alone"
    assert {event["exit_code"] for event in died} == {-signal.SIGKILL}
    task = await client.task(deadly)
    assert task.status is TaskState.ERROR
    assert task.failure is not None
    assert task.failure.code is FailureCode.POISONED
    assert workers.executions(deadly) == {"deadly": 4}
    assert counted == {0}
    for task_id in neighbours:
        assert (await client.task(task_id)).status is TaskState.DONE
        check_journal(list(await client.journal(task_id)))
        assert set(workers.executions(task_id)) == set(STEPS)


async def _has_begun(client: LocalClient, task_id: UUID) -> bool:
    return succeeded(await client.journal(task_id)).total() > 0
