"""A keeper renews the lease of a worker that is busy, whatever it does, and ends one that must not go on."""

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agentplat_testkit.relay import Fault, Relay
from sqlalchemy import make_url

from agentplat.contracts.interface import Submission
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.store.address import Address

from .processes import Workers, send, stop, wait_for
from .test_kills import check_journal, ended, is_dead, submit, until_succeeded
from .test_poison import crashes

LEASES_HELD = 3.5
SOON = 20.0
"""Seconds, many leases. What has not happened by then does not happen."""

AGENTS = '''
import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import time

from agentplat import Agent, AgentContext


class Heart:
    """Beats beside the agent; knows the longest time in which it did not."""

    def __init__(self):
        self.last = time.monotonic()
        self.longest = 0.0

    def beat(self):
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now

    async def beat_in_the_loop(self):
        while True:
            self.beat()
            await asyncio.sleep(0.01)

    def beat_in_a_thread(self):
        while True:
            self.beat()
            time.sleep(0.01)


class Holder(Agent[dict, dict]):
    """At its first execution: holds the event loop, or the whole interpreter; says for how long hearts stood still."""

    name = "holder"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        with open(os.environ["MARKS"], "a+") as marks:
            marks.seek(0)
            if str(ctx.task_id) in marks.read():
                return {}
            marks.write(f"{ctx.task_id} held\\n")
        loop, thread = Heart(), Heart()
        beating = asyncio.create_task(loop.beat_in_the_loop())
        threading.Thread(target=thread.beat_in_a_thread, daemon=True).start()
        await asyncio.sleep(0.1)
        if input["holds"] == "loop":
            time.sleep(input["seconds"])
        else:
            ctypes.PyDLL(None).usleep(int(input["seconds"] * 1_000_000))  # C that does not let go of the interpreter
        await asyncio.sleep(0.1)
        beating.cancel()
        return {"loop": loop.longest, "interpreter": thread.longest}


class Breeder(Agent[dict, dict]):
    """Starts a process, at its first execution, and waits."""

    name = "breeder"

    async def execute(self, input: dict, ctx: AgentContext) -> dict:
        if not os.path.exists(input["bred"]):
            bred = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            with open(input["bred"], "w") as file:
                file.write(f"{bred.pid}\\n")
        await asyncio.sleep(1000)
        return {}
'''
SHORT = """
name: short
strategy: sequential
steps:
  - {name: held, agent: holder, timeout: 1s, input: {holds: loop, seconds: 1000}}
"""


@pytest.fixture
def agents(workers: Workers) -> None:
    (workers.folder / "agents" / "foreign.py").write_text(AGENTS)
    (workers.folder / "workflows" / "short.yaml").write_text(SHORT)


@dataclass(frozen=True)
class Lease:
    worker_id: UUID
    seconds_left: float


def leases(url: str) -> list[Lease]:
    """Of all workers, as the database has them."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as connection:
            rows = connection.execute("SELECT id, lease_until FROM workers").fetchall()
        return [Lease(UUID(worker_id), until / 1e6 - time.time()) for worker_id, until in rows]
    with psycopg.connect(Address.parse(url).libpq) as session:
        asked = "SELECT id, extract(epoch FROM lease_until - clock_timestamp())::float FROM agentplat.workers"
        return [Lease(*row) for row in session.execute(asked)]


async def claims(client: LocalClient, task_id: UUID) -> int:
    return [event.kind for event in await client.journal(task_id)].count("task_claimed")


# --- a busy worker keeps its lease ---


@pytest.mark.parametrize("holds", ["loop", "interpreter"])
async def test_a_step_that_blocks_its_worker_for_longer_than_a_lease_costs_no_lease(
    holds: str, workers: Workers, agents: None, client: LocalClient
) -> None:
    workers.lease_seconds = 3.0
    keepers = [workers.start(), workers.start()]  # the other one would take the task over, were its lease lost
    wait_for(lambda: len(leases(workers.database_url)) == 2)
    seconds = LEASES_HELD * workers.lease_seconds
    task_id = (await client.submit(Submission(type="agent:holder", input={"holds": holds, "seconds": seconds}))).id

    state, task = await ended(client, task_id), await client.task(task_id)
    assert state is TaskState.DONE, task.failure
    assert await claims(client, task_id) == 1
    stood_still: Any = task.output
    assert stood_still["loop"] >= seconds, "the loop was not blocked"
    assert (stood_still["interpreter"] >= seconds) == (holds == "interpreter")
    for event in ("worker_died", "lease_lost", "lease_not_confirmed_in_time", "workers_swept"):
        assert [keeper.events(event) for keeper in keepers] == [[], []]


# --- a stopped one loses it ---


async def test_a_worker_that_is_stopped_alone_is_ended_and_another_takes_its_tasks_over(
    workers: Workers, client: LocalClient
) -> None:
    workers.lease_seconds = 4.0
    keeper = workers.start()
    task_id = await submit(client, pause=0.3)
    await until_succeeded(client, task_id, 1)
    stopped = keeper.worker
    stop(stopped, workers.database_url)

    wait_for(lambda: is_dead(stopped), SOON)
    assert await ended(client, task_id) is TaskState.DONE
    check_journal(list(await client.journal(task_id)))
    assert await claims(client, task_id) > 1
    assert keeper.events("lease_not_confirmed_in_time")


# --- one that must not go on is ended ---


@pytest.mark.timeout(180)
async def test_a_step_beyond_its_hard_deadline_costs_its_worker_its_life_and_its_task_is_blamed(
    workers: Workers, agents: None, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute: so much patience has a keeper beyond the timeout of the step itself."""
    monkeypatch.setenv("AGENTPLAT_WORKER__STEP_DEADLINE_SECONDS", "1")
    workers.lease_seconds = 15.0
    keeper = workers.start()
    neighbour = (await client.submit(Submission(type="agent:stubborn", input={"number": 1}))).id
    wait_for(lambda: workers.executions(neighbour))
    worker = keeper.worker
    overdue = (await client.submit(Submission(type="workflow:short", input={}))).id

    wait_for(lambda: is_dead(worker), 60)
    assert [event["task_id"] for event in keeper.events("step_outlived_its_deadline")] == [str(overdue)]
    wait_for(lambda: crashes(workers.database_url, [overdue]) == [1], SOON)
    assert crashes(workers.database_url, [neighbour]) == [0]


async def test_what_a_step_started_does_not_outlive_its_worker(
    workers: Workers, agents: None, client: LocalClient
) -> None:
    keeper = workers.start()
    bred = workers.folder / "bred"
    await client.submit(Submission(type="agent:breeder", input={"bred": str(bred)}))
    child = int(wait_for(lambda: bred.exists() and bred.read_text().strip()))
    try:
        assert not is_dead(child)
        keeper.kill_worker()

        wait_for(lambda: is_dead(child), SOON)
    finally:
        send(child, signal.SIGKILL)


# --- no later than its lease ---


@contextmanager
def silent_wire(workers: Workers) -> Iterator[Callable[[], object]]:
    """What lets nobody get an answer of the database any more, at none of its two addresses."""
    with Relay(workers.database_url) as relay:
        url = make_url(relay.url)
        twice = {"host": f"{url.host},{url.host}", "port": f"{url.port},{url.port}"}
        url = url.set(drivername="postgresql", host="", query={**url.query, **twice})._replace(port=None)
        workers.database_url = url.render_as_string(hide_password=False)
        yield relay.black_hole
        assert relay.struck[Fault.BLACK_HOLE], "the fault did not strike"


@contextmanager
def held_file(workers: Workers) -> Iterator[Callable[[], object]]:
    """What lets nobody write into the database any more."""
    file = workers.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as connection:
        yield partial(connection.execute, "BEGIN IMMEDIATE")
        assert connection.in_transaction, "the fault did not strike"


async def test_a_worker_whose_lease_cannot_be_confirmed_is_dead_before_it_ends(
    workers: Workers, client: LocalClient
) -> None:
    url = workers.database_url
    taken_away: AbstractContextManager[Callable[[], object]]
    taken_away = held_file(workers) if url.startswith("sqlite") else silent_wire(workers)
    with taken_away as take_away:
        keeper = workers.start()
        task_id = await submit(client, pause=600)
        wait_for(lambda: workers.executions(task_id))
        worker = keeper.worker
        [before] = leases(url)
        take_away()

        wait_for(lambda: is_dead(worker), SOON)
        [lease] = leases(url)
        assert lease.worker_id == before.worker_id
        assert lease.seconds_left > 0, "others may have taken its tasks already"
        assert keeper.events("lease_not_confirmed_in_time")
